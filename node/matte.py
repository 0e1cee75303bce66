"""The artist's matte into the matte that is composited: invert, grow, feather, hold out."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from node.clips import Matte, covered_region
from node.color import bounded
from node.params import Params


def used_matte(given: Matte, hold_out: Matte | None, params: Params) -> Matte:
    """What is composited.

    The order is invert, grow, feather, hold out. Nothing that the matte covers fully is left
    uncovered by the feather: it fades outside the matte.

    Args:
        given: (H, W), any values; NaN counts as 0, the rest is clamped to [0, 1].
        hold_out: (H, W); 1 is never changed.
        params: What the artist set.

    Returns:
        (H, W) float32 in [0, 1].
    """
    matte = clamped(given)
    if params.matte_invert:
        matte = 1 - matte
    if params.matte_grow > 0:
        matte = _near_what_is_covered(matte, params.matte_grow, _grown)
    elif params.matte_grow < 0:
        matte = 1 - _grown(1 - matte, -params.matte_grow)
    if params.matte_feather > 0:
        matte = _near_what_is_covered(matte, params.matte_feather, _feathered)
    if hold_out is not None:
        matte = matte * (1 - clamped(hold_out))
    return matte


def clamped(matte: Matte) -> Matte:
    """(H, W) in [0, 1]; NaN is 0."""
    return bounded(matte.astype(np.float32, copy=False), 0, 1)


def _near_what_is_covered(matte: Matte, reach: int, change: Callable[[Matte, int], Matte]) -> Matte:
    # A 4K matte is mostly empty: only what lies within reach of it can change.
    box = covered_region(matte)
    if box is None:
        return matte
    near = box.grown(reach).within(matte.shape[1], matte.shape[0])
    result = matte.copy()
    near.of(result)[...] = change(near.of(matte), reach)
    return result


def _grown(matte: Matte, pixels: int) -> Matte:
    return _largest(_largest(matte, pixels, 0), pixels, 1)


def _largest(matte: Matte, pixels: int, axis: int) -> Matte:
    # Largest value within `pixels` on either side; windows double until they are wide enough.
    length = matte.shape[axis]
    margin = [(pixels, pixels) if each == axis else (0, 0) for each in (0, 1)]
    values = np.pad(matte, margin, mode="edge")
    width = 1
    while width < 2 * pixels + 1:
        step = min(width, 2 * pixels + 1 - width)
        size = values.shape[axis] - step
        values = np.maximum(
            values.take(range(size), axis), values.take(range(step, size + step), axis)
        )
        width += step
    assert values.shape[axis] == length
    return values


def _feathered(matte: Matte, pixels: int) -> Matte:
    # The mean over a window of largest values over that window is nowhere below the matte itself.
    blur = pixels // 2
    grown = _grown(matte, pixels - blur)
    return np.clip(_mean(_mean(grown, blur - blur // 2), blur // 2), 0, 1)


def _mean(matte: Matte, pixels: int) -> Matte:
    for axis in (0, 1):
        margin = [(pixels + 1, pixels) if each == axis else (0, 0) for each in (0, 1)]
        sums: NDArray[np.float64] = np.pad(matte, margin, mode="edge").cumsum(axis, np.float64)
        width = 2 * pixels + 1
        size = sums.shape[axis] - width
        high, low = sums.take(range(width, size + width), axis), sums.take(range(size), axis)
        matte = ((high - low) / width).astype(np.float32)
    return matte
