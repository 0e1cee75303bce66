"""In which precision is computed, within which memory, and by how many threads."""

import os
from dataclasses import asdict, dataclass
from typing import Literal

Precision = Literal["auto", "float32", "bfloat16"]
"""As users name it; ``auto`` measures."""

THREADS = min(8, os.cpu_count() or 1)
"""Frames of which one thing is found at once, while other threads, or the network, compute too."""


@dataclass(frozen=True, kw_only=True)
class MemoryBudget:
    """Memory that what is kept of a clip may take; the rest waits on disk."""

    device_gigabytes: float = 2.0
    """Features on the device that computes, beside the network and the window under way."""
    host_gigabytes: float = 4.0
    """Features in host memory, for what the device has no room for."""
    real_pixels_gigabytes: float = 2.0
    """Frames and their motion in host memory, while hidden places are followed through them: 2.9 KB
    for every pixel of the raster where nothing waits on disk."""

    def __post_init__(self) -> None:
        for name, gigabytes in asdict(self).items():
            if not gigabytes >= 0:  # nor NaN
                raise ValueError(f"{name} must be at least 0, got {gigabytes}")
