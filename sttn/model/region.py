"""Rectangles of a raster, so that only what a hole needs is computed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


class Region(NamedTuple):
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right``, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.bottom - self.top, self.right - self.left

    def grown(self, cells: int, size: tuple[int, int]) -> Region:
        """Larger by some cells on every side, within a raster of (height, width).

        >>> Region(2, 4, 0, 3).grown(1, size=(5, 9))
        Region(top=1, bottom=5, left=0, right=4)
        """
        height, width = size
        return Region(
            max(0, self.top - cells),
            min(height, self.bottom + cells),
            max(0, self.left - cells),
            min(width, self.right + cells),
        )

    def coarser(self, vertical: int, horizontal: int) -> Region:
        """The cells of a coarser raster that this region touches.

        >>> Region(3, 9, 0, 4).coarser(4, 4)
        Region(top=0, bottom=3, left=0, right=1)
        """
        return Region(
            self.top // vertical,
            -(-self.bottom // vertical),
            self.left // horizontal,
            -(-self.right // horizontal),
        )

    def finer(self, vertical: int, horizontal: int) -> Region:
        """The same place on a finer raster.

        >>> Region(0, 3, 0, 1).finer(4, 4)
        Region(top=0, bottom=12, left=0, right=4)
        """
        return Region(
            self.top * vertical,
            self.bottom * vertical,
            self.left * horizontal,
            self.right * horizontal,
        )

    def within(self, outer: Region) -> Region:
        """The same place, counted from the corner of a region that holds it.

        >>> Region(3, 9, 0, 4).within(Region(2, 10, 0, 9))
        Region(top=1, bottom=7, left=0, right=4)
        """
        return Region(
            self.top - outer.top,
            self.bottom - outer.top,
            self.left - outer.left,
            self.right - outer.left,
        )

    def cut(self, tensor: Tensor) -> Tensor:
        """The part (..., height, width, C) of a tensor (..., H, W, C); a view."""
        return tensor[..., self.top : self.bottom, self.left : self.right, :]

    def of(self, image: NDArray[Any]) -> NDArray[Any]:
        """The part (height, width, ...) of an image (H, W, ...); a view."""
        return image[self.top : self.bottom, self.left : self.right]


class Span(NamedTuple):
    """Successive frames of a window, and the part of them that is needed."""

    start: int
    """Of the window's frames, counted from 0."""
    stop: int
    """The frame after the last one."""
    region: Region

    def of(self, region: Region) -> Span:
        """Another part of the same frames."""
        return self._replace(region=region)

    def cut(self, features: Tensor) -> Tensor:
        """The part (B, stop - start, height, width, C) of (B, T, H, W, C); a view."""
        return self.region.cut(features[:, self.start : self.stop])


def around_mask(mask: NDArray[np.bool_]) -> Region | None:
    """The smallest region that holds what is True in (H, W); None where nothing is."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if len(rows) == 0:
        return None
    return Region(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def whole(size: tuple[int, int]) -> Region:
    """The region that is a whole raster of (height, width)."""
    return Region(0, size[0], 0, size[1])


def around(regions: Iterable[Region]) -> Region:
    """The smallest region that holds all of some regions, at least one.

    >>> around([Region(0, 3, 5, 6), Region(2, 4, 1, 2)])
    Region(top=0, bottom=4, left=1, right=6)
    """
    tops, bottoms, lefts, rights = zip(*regions, strict=True)
    return Region(min(tops), max(bottoms), min(lefts), max(rights))
