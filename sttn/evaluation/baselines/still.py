"""Filling each frame on its own."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.footage import Image

RADIUS = 3.0
"""Pixels around a missing one that OpenCV's methods look at."""


def telea(frames: Image, masks: NDArray[np.bool_]) -> Image:
    """Fill each frame by fast marching (Telea 2004, OpenCV's implementation).

    Args:
        frames: (T, H, W, 3) uint8.
        masks: (T, H, W), True inside the hole.

    Returns:
        (T, H, W, 3) uint8.
    """
    return _each(frames, masks, cv2.INPAINT_TELEA)


def navier_stokes(frames: Image, masks: NDArray[np.bool_]) -> Image:
    """Continue each frame's lines of equal brightness (Bertalmio et al. 2001, OpenCV's).

    Args and result as for :func:`telea`.
    """
    return _each(frames, masks, cv2.INPAINT_NS)


def _each(frames: Image, masks: NDArray[np.bool_], method: int) -> Image:
    return np.stack(
        [
            cv2.inpaint(frame, mask.astype(np.uint8) * 255, RADIUS, method)
            for frame, mask in zip(frames, masks, strict=True)
        ]
    ).astype(np.uint8, copy=False)
