"""How near a completed frame is to the truth: PSNR and SSIM.

Every figure comes twice, over the whole frame and over the pixels of the hole.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.footage import Image

Smoothing = Callable[[NDArray[np.float64]], NDArray[Any]]
Map = NDArray[np.float64]

PEAK = 255.0

PSNR_LIMIT = 100.0
"""dB given to what agrees exactly, so that means stay finite."""

WIDE_WINDOW = 65
"""Pixels of the uniform window with which the field reports SSIM."""

STANDARD_SIGMA, STANDARD_TAPS = 1.5, 11
"""Of the Gaussian window of Wang et al. (2004)."""


class Figure(NamedTuple):
    """One figure of one frame."""

    whole: float
    hole: float


def psnr(completed: Image, truth: Image, mask: NDArray[np.bool_]) -> Figure:
    """Peak signal-to-noise ratio in dB, peak 255, at most :data:`PSNR_LIMIT`.

    Args:
        completed: (H, W, 3) uint8.
        truth: The same shape.
        mask: (H, W), True inside the hole; not empty.
    """
    error = np.square(completed.astype(np.float64) - truth)
    return Figure(_decibel(error.mean()), _decibel(error[mask].mean()))


def _decibel(error: float) -> float:
    return min(PSNR_LIMIT, 10 * float(np.log10(PEAK**2 / max(error, 1e-10))))


def hole_psnr(completed: Image, truth: Image, masks: NDArray[np.bool_]) -> float:
    """PSNR inside the hole, the mean over the frames of a clip that have one.

    Args:
        completed: (T, H, W, 3) uint8.
        truth: The same shape.
        masks: (T, H, W), True inside the hole.
    """
    figures = [
        psnr(frame, known, mask).hole
        for frame, known, mask in zip(completed, truth, masks, strict=True)
        if mask.any()
    ]
    return float(np.mean(figures))


def ssim_wide(completed: Image, truth: Image, mask: NDArray[np.bool_]) -> Figure:
    """Structural similarity with the uniform 65-pixel window of published tables.

    As scikit-image computes it with ``win_size=65``: unbiased covariances, the mean over color
    channels, the frame's margin of half a window left out. The figure of the hole is the mean of
    the map over the hole, margin included.

    Args:
        completed: (H, W, 3) uint8, at least 65 pixels on each side.
        truth: The same shape.
        mask: (H, W), True inside the hole; not empty.
    """
    count = WIDE_WINDOW**2
    size = (WIDE_WINDOW, WIDE_WINDOW)
    similarity = _similarity(
        completed,
        truth,
        lambda image: cv2.boxFilter(image, cv2.CV_64F, size, borderType=cv2.BORDER_REFLECT),
        count / (count - 1),
    )
    return _figure(similarity, mask, WIDE_WINDOW // 2)


def ssim_standard(completed: Image, truth: Image, mask: NDArray[np.bool_]) -> Figure:
    """Structural similarity with the 11-tap Gaussian window of Wang et al. (2004).

    Args and result as for :func:`ssim_wide`, for frames of at least 11 pixels.
    """
    size = (STANDARD_TAPS, STANDARD_TAPS)
    similarity = _similarity(
        completed,
        truth,
        lambda image: cv2.GaussianBlur(image, size, STANDARD_SIGMA, borderType=cv2.BORDER_REFLECT),
        1.0,
    )
    return _figure(similarity, mask, STANDARD_TAPS // 2)


def _similarity(completed: Image, truth: Image, mean: Smoothing, unbiased: float) -> Map:
    """Equation (13) of Wang et al.; ``mean`` is over a pixel's surroundings."""
    x, y = completed.astype(np.float64), truth.astype(np.float64)
    mean_x, mean_y = mean(x), mean(y)
    variance_x = unbiased * (mean(x * x) - mean_x * mean_x)
    variance_y = unbiased * (mean(y * y) - mean_y * mean_y)
    covariance = unbiased * (mean(x * y) - mean_x * mean_y)
    small, smaller = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    alike = (2 * mean_x * mean_y + small) * (2 * covariance + smaller)
    most = (mean_x**2 + mean_y**2 + small) * (variance_x + variance_y + smaller)
    return np.asarray((alike / most).mean(-1), np.float64)


def _figure(similarity: Map, mask: NDArray[np.bool_], margin: int) -> Figure:
    inner = similarity[margin:-margin, margin:-margin]
    return Figure(float(inner.mean()), float(similarity[mask].mean()))
