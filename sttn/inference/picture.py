"""The picture and the black bars around it, which are neither copied from nor a sign of anything.

Beside a bar nothing tells how a picture moves, and what is fetched for a hole there would be
matched to black. So real pixels and texture are looked for inside the picture alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sttn.errors import CancelledError
from sttn.inference.clip import Clip, Origins, Pixels
from sttn.model.region import Region
from sttn.propagation.shown import in_8_bits

DARK = 8
"""Steps of 8 bits up to which a bar is black: movies are coded with a little loss."""

AT_FIRST = 8
"""Frames that are looked at first; where they show no bars, no other is."""

SMALLEST = 48
"""Rows and columns that a picture has at least; what leaves less is a dark shot without bars."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Where in the frames of a clip the picture lies."""

    size: tuple[int, int]
    """Height and width of a frame."""
    region: Region
    """All that is no bar."""

    @property
    def even(self) -> Region:
        """The largest part of it whose sides are even, as the fusion wants them."""
        top, bottom, left, right = self.region
        return Region(top, bottom - (bottom - top) % 2, left, right - (right - left) % 2)

    def placed(self, part: Region) -> Region:
        """A part of the picture, as a part of the frame."""
        top, _, left, _ = self.even
        return Region(part.top + top, part.bottom + top, part.left + left, part.right + left)

    def laid(self, clip: Clip, index: int, completed: Pixels) -> Pixels:
        """A frame with the hole of its picture filled; where a hole covers a bar, the bar goes on.

        Args:
            clip: The clip.
            index: Of the frame.
            completed: (h, w, 3), :attr:`even` of it, filled.
        """
        if self.even.size == self.size:
            return completed
        result, mask = clip.frame(index).copy(), clip.mask(index)
        bars = np.ones(self.size, np.bool_)
        self.region.of(bars)[...] = False
        shown = result[bars & ~mask]
        black = np.median(shown, axis=0) if len(shown) else np.zeros(3)
        result[bars & mask] = black.astype(result.dtype)
        inside, hole = self.region.of(result), self.region.of(mask)
        (rows, columns), (height, width) = self.region.size, self.even.size
        odd = ((0, rows - height), (0, columns - width), (0, 0))
        inside[hole] = np.pad(completed, odd, mode="edge")[hole]
        return result

    def origins(self, fetched: Origins) -> Origins:
        """What is told of the picture, told of the frame."""
        top, _, left, _ = self.even
        if self.even.size == self.size:
            return fetched
        result = np.zeros((*self.size, fetched.shape[-1]), np.float32)
        result[..., 0], result[..., 4] = -1, 1
        inside = self.even.of(result)
        inside[...] = fetched
        inside[..., 1:3] += (left, top)
        return result


def whole_frame(clip: Clip) -> Picture:
    """The picture of frames that are nothing else."""
    height, width = clip.size
    return Picture(size=clip.size, region=Region(0, height, 0, width))


def picture_of(clip: Clip, cancelled: Callable[[], bool]) -> Picture:
    """Find what lies inside of bars that are black in every frame.

    Raises:
        CancelledError: the caller does not want to go on.
    """
    frames = [index for index in range(len(clip)) if index not in clip.clean]
    some = frames[:: max(1, len(frames) // AT_FIRST)]
    height, width = clip.size
    region = _within_bars(clip, some, cancelled)
    if region != (0, height, 0, width):
        region = _within_bars(clip, frames, cancelled)
    return Picture(size=clip.size, region=region)


def _within_bars(clip: Clip, frames: Iterable[int], cancelled: Callable[[], bool]) -> Region:
    lit, shown = ([np.zeros(side, np.bool_) for side in clip.size] for _ in range(2))
    for index in frames:
        if cancelled():
            raise CancelledError("cancelled by the caller")
        known = ~clip.mask(index)
        red, green, blue = np.moveaxis(in_8_bits(clip.frame(index)), -1, 0)
        bright = (np.maximum(np.maximum(red, green), blue) > DARK) & known
        if bright.any():
            for axis in (0, 1):
                lit[axis] |= bright.any(axis=1 - axis)
                shown[axis] |= known.any(axis=1 - axis)
    (top, bottom), (left, right) = (_ends(lit[axis] | ~shown[axis]) for axis in (0, 1))
    if min(bottom - top, right - left) < SMALLEST:
        return Region(0, clip.size[0], 0, clip.size[1])
    return Region(top, bottom, left, right)


def _ends(picture: NDArray[np.bool_]) -> tuple[int, int]:
    """The first row or column of a picture, and the one after its last."""
    at = np.flatnonzero(picture)
    return (int(at[0]), int(at[-1]) + 1) if len(at) else (0, len(picture))
