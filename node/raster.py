"""From a crop of the plate to the model raster and back."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.clips import Region

MULTIPLE = 48
"""Width and height of a model raster are multiples of this."""

AT_ONCE = 32
"""Rows that are resampled at once: most old rows have no part in them."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """How large a part of the plate the network sees, and at which size."""

    crop: tuple[int, int]
    """Width and height of the part, in pixels of the plate."""
    width: int
    """Columns of the model raster."""
    height: int
    """Rows of the model raster."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is resampled."""
        return self.crop == (self.width, self.height)

    def placed(self, middle: tuple[float, float], size: tuple[int, int]) -> Region:
        """The part around a point (x, y), moved as far as it must to lie inside the plate."""
        left, top = (
            min(max(0, int(np.floor(at - length / 2 + 0.5))), limit - length)
            for at, length, limit in zip(middle, self.crop, size, strict=True)
        )
        return Region(left=left, top=top, right=left + self.crop[0], bottom=top + self.crop[1])


def fit(needed: tuple[int, int], margin: int, size: tuple[int, int], model_pixels: int) -> Fit:
    """Choose how large a part of a plate the network sees, and its model raster.

    Args:
        needed: Width and height that the part must have.
        margin: Pixels that it should have more on every side.
        size: Width and height of the plate.
        model_pixels: Pixels of the model raster at most, roughly.

    Returns:
        A part that is not resampled at all where it fits the budget and the plate has room.
    """
    wanted = [min(length + 2 * margin, limit) for length, limit in zip(needed, size, strict=True)]
    shrink = min(1.0, (model_pixels / (wanted[0] * wanted[1])) ** 0.5)
    crop, raster = [], []
    for least, limit, length in zip(needed, size, wanted, strict=True):
        steps = length * shrink / MULTIPLE
        whole = max(1, round(steps) if shrink < 1 else int(np.ceil(steps)))
        if shrink == 1 and whole * MULTIPLE > limit:
            whole = max(1, whole - 1)
        # The part grows to what the raster holds; it shrinks only to spare a resampling.
        crop.append(min(limit, max(round(whole * MULTIPLE / shrink), least)))
        raster.append(whole * MULTIPLE)
    return Fit(crop=(crop[0], crop[1]), width=raster[0], height=raster[1])


def resample(
    image: NDArray[Any], width: int, height: int, part: Region | None = None
) -> NDArray[np.float32]:
    """Resize with a Catmull-Rom kernel, widened where it shrinks; pixel centers stay aligned.

    Args:
        image: (H, W) or (H, W, C), finite.
        width: Columns of the result.
        height: Rows of the result.
        part: What of the result is wanted; None for all of it.

    Returns:
        (height, width) or (height, width, C) float32, or the part of it; the image itself, to the
        bit, where the size does not change.
    """
    part = part or Region(left=0, top=0, right=width, bottom=height)
    sides = {0: (height, part.top, part.bottom), 1: (width, part.left, part.right)}
    values = image.astype(np.float32)
    # The way by which there is less to do: rows go first where they become fewer.
    for axis in sorted(sides, reverse=height > values.shape[0]):
        values = np.moveaxis(_resized(np.moveaxis(values, axis, 0), *sides[axis]), 0, axis)
    return np.ascontiguousarray(values, dtype=np.float32)


def _resized(values: NDArray[np.float32], length: int, first: int, end: int) -> NDArray[np.float32]:
    """Of rows (old, ...) made (length, ...) those from the first to before the end."""
    if len(values) == length:
        return values[first:end]
    flat = np.ascontiguousarray(values).reshape(len(values), -1)
    begin = first - first % AT_ONCE
    result = np.empty((end - begin, flat.shape[1]), np.float32)
    for start, reach, weights in _weights(len(values), length):
        if begin <= start < end:
            some = result[start - begin : start - begin + len(weights)]
            np.matmul(weights[: len(some)], flat[reach], out=some)
    return result[first - begin :].reshape(end - first, *values.shape[1:])


def catmull_rom(distance: NDArray[np.floating]) -> NDArray[np.floating]:
    """Weight of a sample, by its distance from where the value is wanted, in samples."""
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    return np.asarray(np.where(distance < 1, near, np.where(distance < 2, far, 0)))


@lru_cache(maxsize=16)
def _weights(old: int, new: int) -> list[tuple[int, slice, NDArray[np.float32]]]:
    """Of :data:`AT_ONCE` new rows at a time: the first, old ones that they take from, and of each
    how much, (M, N).
    """
    ratio = old / new
    support = max(1.0, ratio)
    found = []
    for start in range(0, new, AT_ONCE):
        centers = (np.arange(start, min(start + AT_ONCE, new)) + 0.5) * ratio - 0.5
        first = max(0, int(np.floor(centers[0] - 2 * support)))
        last = min(old - 1, int(np.ceil(centers[-1] + 2 * support)))
        distance = np.abs(centers[:, np.newaxis] - np.arange(first, last + 1)) / support
        kernel = catmull_rom(distance)
        weights = (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
        found.append((start, slice(first, last + 1), weights))
    return found


def hole(covered: NDArray[np.bool_], width: int, height: int, grow: int) -> NDArray[np.bool_]:
    """The network's mask: every model pixel that touches something covered, grown.

    Args:
        covered: (H, W) of the part of the plate that the network sees.
        width: Columns of the model raster.
        height: Rows of the model raster.
        grow: Pixels of the model raster to grow by, in every direction.

    Returns:
        (height, width).
    """
    cells = _touched(_touched(covered, height, 0), width, 1)
    return _grown(_grown(cells, grow, 0), grow, 1)


def _touched(mask: NDArray[np.bool_], new: int, axis: int) -> NDArray[np.bool_]:
    # A new pixel is set where any old pixel it overlaps is set.
    old = mask.shape[axis]
    starts = (np.arange(new) * old) // new
    stops = -((-(np.arange(new) + 1) * old) // new)
    padded = np.pad(mask, [(0, 1) if each == axis else (0, 0) for each in (0, 1)])
    ranges = np.stack([starts, stops], axis=1).ravel()
    touched = np.logical_or.reduceat(padded, ranges, axis=axis)
    return np.take(touched, np.arange(0, 2 * new, 2), axis=axis)


def _grown(mask: NDArray[np.bool_], grow: int, axis: int) -> NDArray[np.bool_]:
    if grow == 0:
        return mask
    padded = np.pad(mask, [(grow, grow) if each == axis else (0, 0) for each in (0, 1)])
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * grow + 1, axis=axis)
    return np.asarray(views.any(axis=-1))
