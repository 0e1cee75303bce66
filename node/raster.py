"""From a crop of the plate to the model raster and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.clips import Region

MULTIPLE = 48
"""Width and height of a model raster are multiples of this."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """Which part of the plate the network sees, and at which size."""

    region: Region
    """The part, in pixels of the plate."""
    width: int
    """Columns of the model raster."""
    height: int
    """Rows of the model raster."""


def fit(covered: Region, size: tuple[int, int], *, surroundings: float, model_pixels: int) -> Fit:
    """Choose the part of a plate that the network sees, and its model raster.

    Args:
        covered: Box around everything any matte of the shot covers.
        size: Width and height of the plate.
        surroundings: Margin as a share of the box's longer side; at least 48 pixels.
        model_pixels: Pixels of the model raster at most, roughly.

    Returns:
        A part that is not resampled at all where it fits the budget and the plate has room.
    """
    margin = max(MULTIPLE, round(surroundings * max(covered.width, covered.height)))
    spans = (
        (covered.left, covered.right, size[0]),
        (covered.top, covered.bottom, size[1]),
    )
    wanted = [min(high - low + 2 * margin, limit) for low, high, limit in spans]
    shrink = min(1.0, (model_pixels / (wanted[0] * wanted[1])) ** 0.5)
    chosen, raster = [], []
    for (low, high, limit), length in zip(spans, wanted, strict=True):
        steps = length * shrink / MULTIPLE
        whole = max(1, round(steps) if shrink < 1 else int(np.ceil(steps)))
        if shrink == 1 and whole * MULTIPLE > limit:
            whole = max(1, whole - 1)
        # The part grows to what the raster holds; it shrinks only to spare a resampling.
        room = min(limit, max(round(whole * MULTIPLE / shrink), high - low))
        start = min(max(0, (low + high - room) // 2), limit - room)
        chosen.append((start, start + room))
        raster.append(whole * MULTIPLE)
    (left, right), (top, bottom) = chosen
    region = Region(left=left, top=top, right=right, bottom=bottom)
    return Fit(region=region, width=raster[0], height=raster[1])


def resample(image: NDArray[Any], width: int, height: int) -> NDArray[np.float32]:
    """Resize with a Catmull-Rom kernel, widened where it shrinks; pixel centers stay aligned.

    Args:
        image: (H, W) or (H, W, C), finite.
        width: Columns of the result.
        height: Rows of the result.

    Returns:
        (height, width) or (height, width, C) float32; the image itself, to the bit, where
        the size does not change.
    """
    values = image.astype(np.float32)
    if values.shape[0] != height:
        values = np.tensordot(_weights(values.shape[0], height), values, axes=(1, 0))
    if values.shape[1] != width:
        values = np.moveaxis(
            np.tensordot(_weights(values.shape[1], width), values, axes=(1, 1)), 0, 1
        )
    return np.ascontiguousarray(values, dtype=np.float32)


def _weights(old: int, new: int) -> NDArray[np.float32]:
    # (new, old): each row holds what one new pixel takes from the old ones.
    ratio = old / new
    support = max(1.0, ratio)
    centers = (np.arange(new) + 0.5) * ratio - 0.5
    distance = np.abs(centers[:, np.newaxis] - np.arange(old)) / support
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    kernel = np.where(distance < 1, near, np.where(distance < 2, far, 0))
    weights: NDArray[np.float32] = (kernel / kernel.sum(axis=1, keepdims=True)).astype(np.float32)
    return weights


def hole(matte: NDArray[np.float32], chosen: Fit, grow: int) -> NDArray[np.bool_]:
    """The network's mask: everything the matte covers at all, grown.

    Args:
        matte: (H, W) of the whole plate.
        chosen: Part and model raster.
        grow: Pixels of the model raster to grow by, in every direction.

    Returns:
        (height, width) bool of the model raster.
    """
    covered = chosen.region.of(matte) > 0
    cells = _touched(_touched(covered, chosen.height, 0), chosen.width, 1)
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
