"""How a clip is cut into windows, and schedules by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How a clip is cut into windows."""

    neighbor_stride: int = 5
    """Frames between the centers of successive windows."""
    neighbor_radius: int = 5
    """Frames completed together on either side of a center."""
    reference_stride: int = 10
    """Frames between reference frames."""
    max_references: int | None = 12
    """Reference frames at most; longer clips spread them wider. None takes them all."""
    share_references: bool = False
    """Refine references once for the whole clip, among themselves, not anew in every window."""
    overlap: Literal["symmetric", "running"] = "symmetric"
    """How windows that overlap share a frame: by distance from their centers, or half and half in
    the order they come, as released, which pulses every five frames."""
    propagate: bool = True
    """Take what a hole hides from frames that show it, where any does; the network fills the
    rest."""
    texture: bool = True
    """Give what no frame shows texture of its surroundings, once in several frames, and carry it
    along; the network alone leaves it soft. Nothing without ``propagate``."""
    part_at_cuts: bool = True
    """Complete what lies between two cuts on its own, so that nothing is copied from another
    picture."""
    shrink: bool = True
    """Show the network frames that are larger than it was trained at about as large as those, and
    enlarge what it says; released shows them as they are."""
    truncate: bool = False
    """Cut completed pixels down to 8 bits window by window, as released; rounds once otherwise."""

    def __post_init__(self) -> None:
        for name in ("neighbor_stride", "reference_stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_references is not None and self.max_references < 0:
            raise ValueError(f"max_references must be at least 0, got {self.max_references}")
        # No further window follows the last running one, which may be that many frames too early.
        running = self.overlap == "running"
        least = self.neighbor_stride - 1 if running else self.neighbor_stride // 2
        if self.neighbor_radius < least:
            raise ValueError(
                f"neighbor_radius {self.neighbor_radius} leaves gaps between {self.overlap} "
                f"windows {self.neighbor_stride} frames apart; it must be at least {least}"
            )

    @classmethod
    def released(cls) -> WindowConfig:
        """The test procedure of the released code, to compare with published numbers."""
        return cls(
            max_references=None,
            overlap="running",
            propagate=False,
            part_at_cuts=False,
            shrink=False,
            truncate=True,
        )


Preset = Literal["thorough", "balanced", "fast", "released"]
"""Names of :data:`PRESETS`."""

PRESETS: dict[Preset, WindowConfig] = {
    "thorough": WindowConfig(),
    "balanced": WindowConfig(neighbor_stride=8, share_references=True),
    "fast": WindowConfig(neighbor_stride=10, share_references=True, max_references=6),
    "released": WindowConfig.released(),
}
"""Schedules by name, slowest first; ``released`` is for comparison with published numbers."""

DEFAULT_PRESET: Preset = "balanced"
"""What artists get who do not choose."""
