"""How a clip is cut into windows, and how much of a frame each window decides (Eq. 1)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
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
    truncate: bool = False
    """Cut completed pixels down to 8 bits window by window, as released; rounds once otherwise."""

    def __post_init__(self) -> None:
        for name in ("neighbor_stride", "reference_stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_references is not None and self.max_references < 0:
            raise ValueError(f"max_references must be at least 0, got {self.max_references}")
        if 2 * self.neighbor_radius + 1 < self.neighbor_stride:
            raise ValueError(
                f"neighbor_radius {self.neighbor_radius} leaves gaps between windows "
                f"{self.neighbor_stride} frames apart; it must be at least "
                f"{self.neighbor_stride // 2}"
            )

    @classmethod
    def released(cls) -> WindowConfig:
        """The test procedure of the released code, to compare with published numbers."""
        return cls(
            max_references=None,
            overlap="running",
            propagate=False,
            part_at_cuts=False,
            truncate=True,
        )


@dataclass(frozen=True, kw_only=True)
class Window:
    """What the network sees at once, as indices into the clip."""

    neighbors: tuple[int, ...]
    """Frames completed, in order."""
    shares: tuple[float, ...]
    """What this window's opinion of each neighbor weighs in the mean over windows."""
    references: tuple[int, ...]
    """Frames only copied from; none is a neighbor."""


def reference_frames(clip_length: int, stride: int, limit: int | None) -> list[int]:
    """Pick the far frames from which hidden background may be copied.

    They are spread over the whole clip, so that a wall uncovered forty frames later is
    still within reach of attention.

    Args:
        clip_length: Frames in the clip.
        stride: Frames between two references, at least 1.
        limit: References at most; more are thinned out evenly. None keeps all.

    Returns:
        Indices in rising order.

    >>> reference_frames(clip_length=30, stride=10, limit=12)
    [0, 10, 20]
    >>> reference_frames(clip_length=100, stride=10, limit=4)
    [0, 30, 60, 90]
    """
    candidates = list(range(0, clip_length, stride))
    if limit is None or len(candidates) <= limit:
        return candidates
    if limit < 2:
        return candidates[:limit]
    last = len(candidates) - 1
    return [candidates[round(step * last / (limit - 1))] for step in range(limit)]


def clip_references(clip_length: int, config: WindowConfig, clean: Collection[int]) -> list[int]:
    """Every frame that windows copy from, in rising order; clean frames are always among them."""
    moments = [index for index in range(clip_length) if index not in clean]
    chosen = reference_frames(len(moments), config.reference_stride, config.max_references)
    return sorted([*clean, *(moments[position] for position in chosen)])


def windows(
    clip_length: int, config: WindowConfig, clean: Collection[int] = ()
) -> Iterator[Window]:
    """The windows of a clip in order; their neighbors cover every frame that is not clean.

    Args:
        clip_length: Frames in the clip, clean ones included.
        config: The schedule.
        clean: Indices of clean frames: references in every window, never neighbors.
    """
    moments = [index for index in range(clip_length) if index not in clean]
    references = clip_references(clip_length, config, clean)
    for step in range(0, len(moments) + config.neighbor_radius, config.neighbor_stride):
        if config.overlap == "running" and step >= len(moments):
            break
        window = _window(min(step, len(moments) - 1), moments, config, references)
        yield window
        if config.overlap == "symmetric" and window.neighbors[-1] == moments[-1]:
            break


def window_around(
    index: int, clip_length: int, config: WindowConfig, clean: Collection[int] = ()
) -> Window:
    """The window that a frame is the center of; arguments as in :func:`windows`."""
    moments = [moment for moment in range(clip_length) if moment not in clean]
    return _window(
        moments.index(index), moments, config, clip_references(clip_length, config, clean)
    )


def _window(
    center: int, moments: Sequence[int], config: WindowConfig, references: Sequence[int]
) -> Window:
    start = max(0, center - config.neighbor_radius)
    neighbors = tuple(moments[start : center + config.neighbor_radius + 1])
    return Window(
        neighbors=neighbors,
        shares=_shares(start - center, len(neighbors)),
        references=tuple(index for index in references if index not in neighbors),
    )


def _shares(first: int, count: int) -> tuple[float, ...]:
    """1 at the center, falling evenly towards both ends; ``first`` is counted from the center."""
    distances = [abs(first + position) for position in range(count)]
    reach = max(distances) + 1
    return tuple(1.0 - distance / reach for distance in distances)


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
