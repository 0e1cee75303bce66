"""What a host hands to the node: frames by number, and the part of them that is worked on."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
"""(H, W, 3) RGB or (H, W, 4) RGBA as the host stores it: uint8, uint16, float16 or float32, top
row first."""

Matte = NDArray[np.float32]
"""(H, W), 1 = replace, 0 = keep."""


class Clip(Protocol):
    """Frames that can be fetched by their number on the host's timeline, in any order.

    While the node works it reads from threads of its own, of all clips one frame at a time.
    """

    @property
    def name(self) -> str:
        """What to call it in a message."""

    @property
    def frames(self) -> Sequence[int]:
        """Numbers that exist, in rising order."""

    def read(self, frame: int) -> NDArray[Any]:
        """Pixels (H, W, 3 or 4) of a plate, or (H, W) float32 of a matte.

        Raises:
            ClipError: the frame cannot be read.
        """


@runtime_checkable
class StampedClip(Protocol):
    """A clip that can tell without reading whether a frame changed."""

    def stamp(self, frame: int) -> str:
        """Differs whenever the frame's pixels do: path, size and time of a file, say."""


@runtime_checkable
class ForeseeingClip(Protocol):
    """A clip that can read frames before they are asked for."""

    def expect(self, frames: Sequence[int]) -> None:
        """Frames that are read next, in order; each exists."""


@dataclass(frozen=True, kw_only=True)
class Clips:
    """What is connected to one node."""

    source: Clip
    """The plate."""
    matte: Clip | None = None
    """1 = replace; None takes the source's alpha."""
    clean_frames: Clip | None = None
    """Frames that the artist painted, by their number; color space and size of the source."""
    hold_out: Clip | None = None
    """1 = never changed and never copied from."""

    def connected(self) -> dict[str, Clip]:
        """What there is, by the name a host shows."""
        named = {
            "Source": self.source,
            "Matte": self.matte,
            "CleanFrames": self.clean_frames,
            "HoldOut": self.hold_out,
        }
        return {name: clip for name, clip in named.items() if clip is not None}


def stamp(clip: Clip, frame: int) -> str:
    """What tells a frame from itself after a change; its pixels' digest where a clip has none."""
    if frame not in set(clip.frames):
        return "missing"
    if isinstance(clip, StampedClip):
        return clip.stamp(frame)
    return hashlib.blake2b(np.ascontiguousarray(clip.read(frame)).data, digest_size=16).hexdigest()


def nearest(frames: Sequence[int], frame: int) -> int:
    """Which of these frames stands in for one: itself, or the nearest, the earlier of two.

    >>> nearest([1, 2, 8], 5)
    2
    """
    return min(frames, key=lambda other: abs(other - frame))


def runs(frames: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of every stretch without gaps.

    >>> runs([1, 2, 3, 7, 9, 10])
    [(1, 3), (7, 7), (9, 10)]
    """
    found: list[tuple[int, int]] = []
    for frame in sorted(set(frames)):
        if found and frame == found[-1][1] + 1:
            found[-1] = (found[-1][0], frame)
        else:
            found.append((frame, frame))
    return found


def in_words(frames: Iterable[int]) -> str:
    """Frame numbers as people write them.

    >>> in_words([1, 2, 3, 7, 9, 10])
    '1-3, 7, 9-10'
    """
    return ", ".join(
        f"{first}-{last}" if first < last else f"{first}" for first, last in runs(frames)
    )


@dataclass(frozen=True, kw_only=True)
class Region:
    """A box of pixels: left and top inside, right and bottom outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    def of(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """The part (height, width, ...) of an image, as a view."""
        return pixels[self.top : self.bottom, self.left : self.right]

    def moved(self, right: int, down: int) -> "Region":
        """The same box elsewhere."""
        return Region(
            left=self.left + right,
            top=self.top + down,
            right=self.right + right,
            bottom=self.bottom + down,
        )

    def grown(self, pixels: int) -> "Region":
        """Larger on every side."""
        return Region(
            left=self.left - pixels,
            top=self.top - pixels,
            right=self.right + pixels,
            bottom=self.bottom + pixels,
        )

    def within(self, width: int, height: int) -> "Region":
        """What of the box lies inside an image."""
        return Region(
            left=min(max(self.left, 0), width),
            top=min(max(self.top, 0), height),
            right=min(max(self.right, 0), width),
            bottom=min(max(self.bottom, 0), height),
        )

    def touches(self, other: "Region") -> bool:
        """Whether the boxes share a pixel."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def united(self, other: "Region") -> "Region":
        """The smallest box around both."""
        return Region(
            left=min(self.left, other.left),
            top=min(self.top, other.top),
            right=max(self.right, other.right),
            bottom=max(self.bottom, other.bottom),
        )


def covered_region(matte: Matte) -> Region | None:
    """The smallest box around every pixel above 0; None where there is none."""
    rows, columns = (np.flatnonzero((matte > 0).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return None
    return Region(
        left=int(columns[0]),
        top=int(rows[0]),
        right=int(columns[-1]) + 1,
        bottom=int(rows[-1]) + 1,
    )
