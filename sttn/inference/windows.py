"""How a clip is cut into windows, and how windows that overlap share a frame (Eq. 1)."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WindowConfig:
    """How a clip is cut into windows."""

    neighbor_stride: int = 5
    """Frames between the centers of successive windows."""
    neighbor_radius: int = 5
    """Frames completed together on either side of a center."""
    reference_stride: int = 10
    """Frames between reference frames."""
    max_references: int = 12
    """Reference frames at most; longer clips spread them wider."""

    def __post_init__(self) -> None:
        for name in ("neighbor_stride", "reference_stride"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.max_references < 0:
            raise ValueError(f"max_references must be at least 0, got {self.max_references}")
        if 2 * self.neighbor_radius + 1 < self.neighbor_stride:
            raise ValueError(
                f"neighbor_radius {self.neighbor_radius} leaves gaps between windows "
                f"{self.neighbor_stride} frames apart; it must be at least "
                f"{self.neighbor_stride // 2}"
            )


@dataclass(frozen=True, kw_only=True)
class Window:
    """What the network sees at once, as indices into the clip."""

    center: int
    neighbors: range
    """Frames completed."""
    references: tuple[int, ...]
    """Frames only copied from; none is a neighbor."""

    def weight(self, index: int) -> float:
        """Share of a neighbor in the mean over windows: 1 at the center, falling evenly.

        Symmetric, unlike the released running half-and-half mean, which pulses every
        five frames.
        """
        reach = max(self.center - self.neighbors.start, self.neighbors.stop - 1 - self.center) + 1
        return 1.0 - abs(index - self.center) / reach


def reference_frames(clip_length: int, stride: int, limit: int) -> list[int]:
    """Pick the far frames from which hidden background may be copied.

    They are spread over the whole clip, so that a wall uncovered forty frames later is
    still within reach of attention.

    Args:
        clip_length: Frames in the clip.
        stride: Frames between two references, at least 1.
        limit: References at most; more are thinned out evenly.

    Returns:
        Indices in rising order.

    >>> reference_frames(clip_length=30, stride=10, limit=12)
    [0, 10, 20]
    >>> reference_frames(clip_length=100, stride=10, limit=4)
    [0, 30, 60, 90]
    """
    candidates = list(range(0, clip_length, stride))
    if len(candidates) <= limit:
        return candidates
    if limit < 2:
        return candidates[:limit]
    last = len(candidates) - 1
    return [candidates[round(step * last / (limit - 1))] for step in range(limit)]


def windows(clip_length: int, config: WindowConfig) -> Iterator[Window]:
    """The windows of a clip in order; their neighbors cover every frame."""
    references = reference_frames(clip_length, config.reference_stride, config.max_references)
    for step in range(0, clip_length + config.neighbor_radius, config.neighbor_stride):
        center = min(step, clip_length - 1)
        neighbors = range(
            max(0, center - config.neighbor_radius),
            min(clip_length, center + config.neighbor_radius + 1),
        )
        yield Window(
            center=center,
            neighbors=neighbors,
            references=tuple(index for index in references if index not in neighbors),
        )
        if neighbors.stop == clip_length:
            break
