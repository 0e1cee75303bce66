"""Fine detail of the plate, too fine for the model raster, fetched for a fill.

What the server completes is as large as the model raster. Where it fetched a pixel from another
frame it tells from where, and there the plate itself knows what got lost when it was shrunk. That
difference alone is carried over, as high frequencies are in a Laplacian pyramid (Burt and Adelson,
1983): the server decides about color and light, which it matched to the surroundings, and
the plate about everything finer.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.clips import Region
from node.color import Float
from node.grain import Grain
from node.raster import catmull_rom, resample

APART = 1.0
"""Model pixels by which origins of neighbors may drift apart and still be of one surface."""

NEIGHBORHOOD = 7
"""Pixels along a square in which detail is told from grain."""


MOST_OWN = 0.5
"""Share of the plate's variance of grain that a fill is credited with at most: what is fetched is a
mean of several frames; texture looks like grain, or brings all of it, and stands still."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where the pixels of a box come from; N of them come from anywhere."""

    rows: NDArray[np.int64]
    """(N,) in the box."""
    columns: NDArray[np.int64]
    """(N,)."""
    frames: NDArray[np.int64]
    """(N,) index of the frame."""
    at: Float
    """(N, 2) x and y in that frame's crop, in pixels of the plate."""
    share: Float
    """(N,) in (0, 1], how much of a pixel comes from there."""


def lost(code: Float, seen: Float) -> NDArray[np.float16]:
    """What of a crop the model raster does not show.

    Args:
        code: (H, W, 3), the crop, 0 or more: no half float holds the code of -65504.
        seen: (h, w, 3), what the network sees of it.

    Returns:
        (H, W, 3) half floats: differences are small, so these are finer than the plate's.
    """
    shown = resample(seen, code.shape[1], code.shape[0])
    return np.subtract(code, shown, out=shown).astype(np.float16)


def fetched(
    origins: Float, crop: tuple[int, int], box: Region, layer: Callable[[int], NDArray[np.float16]]
) -> Float:
    """The detail of a fill, from the frames that it was fetched from.

    Args:
        origins: (h, w, 4) of the model raster, as the server tells them: frame, x, y, share.
        crop: Width and height of the crop, in pixels of the plate.
        box: The part of the crop that is wanted.
        layer: Gives what a frame's crop lost, by index, as :func:`lost` does.

    Returns:
        (box.height, box.width, 3); 0 where nothing was fetched.
    """
    places = _enlarged(origins, crop, box)
    found = np.zeros((len(places.rows), 3), np.float32)
    for frame in np.unique(places.frames):
        some = places.frames == frame
        found[some] = _sampled(layer(int(frame)), places.at[some])
    result = np.zeros((box.height, box.width, 3), np.float32)
    result[places.rows, places.columns] = found * places.share[:, None]
    return result


def without_grain(detail: Float, grain: Grain, code: Float) -> tuple[Float, Float]:
    """Detail without the grain that came with it: it would stand still where the plate's lives.

    A Wiener filter: what varies no more than grain does is left out, what varies much more stays.

    Args:
        detail: (H, W, 3), code values.
        grain: Of the plate.
        code: (H, W, 3), the fill that the detail belongs to, which tells how strong grain is.

    Returns:
        The detail, and (H, W, 3) in [0, 1] which share of it stayed.
    """
    varies = _mean_around(np.square(detail))
    noise = np.square(grain.strength(code))
    stays = np.maximum(varies - noise, 0) / np.maximum(varies, np.float32(1e-12))
    return np.asarray(detail * stays, np.float32), np.asarray(stays, np.float32)


def own_grain(code: Float, grain: Grain, scale: float) -> Float:
    """How much of the plate's grain a fill has already: what was fetched brought it along.

    Args:
        code: (H, W, 3), the fill, code values.
        grain: Of the plate.
        scale: Pixels of the model raster, which the fill was made at, per pixel.

    Returns:
        (H, W, 1) in [0, 0.5], share of the variance, as far as what is so fine is grain at all.
    """
    filters = np.moveaxis(grain.kernel.reshape(9, *grain.kernel.shape[2:]), 0, -1)
    # A soft fill has nothing as fine as what the mean over a model pixel and those beside it lacks.
    side = 2 * max(1, round(1 / scale)) + 1
    # What of grain is so fine, by channel; grain of variance 1 is white noise through the filters.
    finest = (
        np.square(filters - _mean_around(filters, side)).sum(axis=(0, 1)).reshape(3, 3).sum(axis=1)
    )
    expected = np.maximum(finest * np.square(grain.strength(code)), np.float32(1e-12))
    share = _mean_around(np.square(code - _mean_around(code, side))) / expected
    return np.asarray(share.mean(axis=-1, keepdims=True).clip(0, MOST_OWN), np.float32)


def _enlarged(origins: Float, crop: tuple[int, int], box: Region) -> Places:
    """Where every pixel of the box comes from: between what the model pixels around it say."""
    height, width = origins.shape[:2]
    scale = np.array([width / crop[0], height / crop[1]])
    columns = (np.arange(box.left, box.right) + 0.5) * scale[0] - 0.5
    rows = (np.arange(box.top, box.bottom) + 0.5) * scale[1] - 0.5
    moved = origins.copy()
    moved[..., 1] -= np.arange(width)
    moved[..., 2] -= np.arange(height)[:, None]
    own = moved[np.ix_(_inside(np.rint(rows), height), _inside(np.rint(columns), width))]
    where = np.nonzero(own[..., 0] >= 0)
    own, at = own[where], np.stack([columns[where[1]], rows[where[0]]], axis=1)
    shift, weights, share = np.zeros((len(at), 2)), np.zeros((len(at), 1)), np.zeros(len(at))
    low = np.floor(at)
    for corner in ((0, 0), (1, 0), (0, 1), (1, 1)):
        beside = moved[
            _inside(low[:, 1] + corner[1], height), _inside(low[:, 0] + corner[0], width)
        ]
        near = (1 - np.abs(low + corner - at)).prod(axis=1)
        share += near * beside[:, 3]
        # Across an edge in depth the way is that of the own side.
        apart = np.abs(beside[:, 1:3] - own[:, 1:3]).max(axis=1)
        near *= (beside[:, 0] == own[:, 0]) & (apart <= APART)
        shift += near[:, None] * beside[:, 1:3]
        weights += near[:, None]
    return Places(
        rows=where[0],
        columns=where[1],
        frames=own[:, 0].astype(np.int64),
        at=((at + shift / weights + 0.5) / scale - 0.5).astype(np.float32),
        share=share.astype(np.float32),
    )


def _sampled(image: NDArray[np.floating], at: Float) -> Float:
    """What an image (H, W, C) shows at N places, by a Catmull-Rom kernel: (N, C)."""
    low = np.floor(at)
    x, y = (
        catmull_rom(np.abs(at[:, i, None] - low[:, i, None] - np.arange(-1, 3))) for i in (0, 1)
    )
    height, width = image.shape[:2]
    result = np.zeros((len(at), image.shape[2]), np.float32)
    for j in range(4):
        row = _inside(low[:, 1] + j - 1, height)
        for i in range(4):
            column = _inside(low[:, 0] + i - 1, width)
            result += (y[:, j] * x[:, i])[:, None].astype(np.float32) * image[row, column]
    return result


def _inside(places: NDArray[np.floating], limit: int) -> NDArray[np.int64]:
    return places.clip(0, limit - 1).astype(np.int64)


def _mean_around(values: Float, side: int = NEIGHBORHOOD) -> Float:
    reach = side // 2
    padded = np.pad(values, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return np.asarray(_sums(_sums(padded, side, 0), side, 1) / np.float32(side * side), np.float32)


def _sums(values: Float, side: int, axis: int) -> Float:
    """Sums over so many successive rows or columns, wherever they fit."""

    def from_to(image: Float, first: int, end: int) -> Float:
        return image[(slice(None),) * axis + (slice(first, end),)]

    # Sums of 2, 4, 8 ... are made of one another; the result is made of those.
    count = values.shape[axis] - side + 1
    total: Float = np.zeros((), np.float32)
    done, sums, width = 0, values, 1
    while True:
        if side & width:
            total = np.add(total, from_to(sums, done, done + count))
            done += width
        if done == side:
            return total
        length = sums.shape[axis] - width
        sums, width = from_to(sums, 0, length) + from_to(sums, width, width + length), 2 * width
