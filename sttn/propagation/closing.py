"""Holes and what surrounds them: growing a mask, continuing an image smoothly into it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.model.region import around_mask

CAUTION = 10
"""Pixels across which a hole's edge disturbs the flow beside it."""

COARSEST = 4
"""Pixels of the short side at which an image is not reduced further."""

PAD = 16
"""Known pixels around a hole that a membrane hangs from."""

SWEEPS = 8
"""Rounds of averaging with the neighbors at each size."""


def grown(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """(H, W), the mask larger by some pixels on every side."""
    result, there = mask.copy(), around_mask(mask)
    if there is not None:
        part = there.grown(pixels, mask.shape)
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
        part.of(result)[...] = np.asarray(cv2.dilate(part.of(mask).astype(np.uint8), disc)) > 0
    return result


def touched(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W), the mask and all eight neighbors: what a bilinear sample might see of it."""
    return np.asarray(cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8))) > 0


def closed(values: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Fill what is not known with a membrane spanned over what is.

    Solves Laplace's equation from coarse to fine: reduced images know what any of their pixels
    knew, and what they find is where the finer ones begin.

    Args:
        values: (H, W, C); read where ``known``.
        known: (H, W).

    Returns:
        (H, W, C) float32; ``values`` where known, 0 everywhere if nothing is.
    """
    if not known.any():
        return np.zeros_like(values, np.float32)
    weights = known.astype(np.float32)[..., None]
    return _solved(values * weights, weights)


def _solved(sums: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    known = weights > 0
    values = sums / np.where(known, weights, np.float32(1))
    height, width = values.shape[:2]
    if min(height, width) <= COARSEST:
        result = np.empty_like(values)
        result[...] = sums.sum((0, 1)) / weights.sum((0, 1))
    else:
        size = ((width + 1) // 2, (height + 1) // 2)
        coarse = _solved(*(_area(part, size) for part in (sums, weights)))
        enlarged = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
        result = np.asarray(enlarged, np.float32)
    fixed = known[..., 0].view(np.uint8)
    cv2.copyTo(values, fixed, result)
    for _ in range(SWEEPS):
        result = np.asarray(cv2.blur(result, (3, 3), borderType=cv2.BORDER_REPLICATE), np.float32)
        cv2.copyTo(values, fixed, result)
    return np.asarray(result, np.float32).reshape(values.shape)


def _area(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    reduced = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(reduced, np.float32).reshape(size[1], size[0], -1)
