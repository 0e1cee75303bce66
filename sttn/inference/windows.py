"""How a clip is cut into windows, and how much of a frame each window decides (Eq. 1)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from sttn.settings.schedule import WindowConfig


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
