"""Figures that compare a completed clip with the truth."""

import numpy as np
from numpy.typing import NDArray


def hole_psnr(
    completed: NDArray[np.generic], truth: NDArray[np.generic], masks: NDArray[np.bool_]
) -> float:
    """Peak signal-to-noise ratio over the pixels of the hole, mean over frames, in dB, peak 255.

    Args:
        completed: (T, H, W, 3), values in [0, 255].
        truth: The same shape and range.
        masks: (T, H, W), True inside the hole; frames without a hole do not count.

    Returns:
        inf where a frame's hole agrees exactly.
    """
    figures = []
    for frame, known, mask in zip(completed, truth, masks, strict=True):
        if mask.any():
            error = np.mean((frame[mask].astype(np.float64) - known[mask].astype(np.float64)) ** 2)
            figures.append(10 * np.log10(255.0**2 / error) if error else np.inf)
    return float(np.mean(figures))
