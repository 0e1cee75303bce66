"""Completing clips of any length with a trained generator."""

from sttn.inference.engine import complete, completed_frames
from sttn.inference.store import MemoryBudget
from sttn.inference.windows import PRESETS, WindowConfig

__all__ = ["PRESETS", "MemoryBudget", "WindowConfig", "complete", "completed_frames"]
