"""Figures that compare a completed clip with the truth."""

import numpy as np
from numpy.typing import NDArray


def hole_psnr(
    completed: NDArray[np.generic], truth: NDArray[np.generic], masks: NDArray[np.bool_]
) -> float:
    """Peak signal-to-noise ratio over the pixels of the hole, in dB, peak 255.

    Args:
        completed: (T, H, W, 3), values in [0, 255].
        truth: The same shape and range.
        masks: (T, H, W), True inside the hole.

    Returns:
        One figure for all holes of the clip together; inf where they agree exactly.
    """
    error = completed[masks].astype(np.float64) - truth[masks].astype(np.float64)
    return float(10 * np.log10(255.0**2 / np.mean(error**2))) if error.any() else float("inf")
