"""Completing clips of any length with a trained generator."""

from sttn.inference.engine import complete, completed_frames
from sttn.inference.windows import WindowConfig

__all__ = ["WindowConfig", "complete", "completed_frames"]
