"""Completing clips of any length with a trained generator."""

from sttn.inference.clip import Origins
from sttn.inference.completing import complete, completed_frames
from sttn.settings.computing import MemoryBudget
from sttn.settings.schedule import DEFAULT_PRESET, PRESETS, Preset, WindowConfig

__all__ = [
    "DEFAULT_PRESET",
    "PRESETS",
    "MemoryBudget",
    "Origins",
    "Preset",
    "WindowConfig",
    "complete",
    "completed_frames",
]
