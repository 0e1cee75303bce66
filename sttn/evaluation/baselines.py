"""What the network has to beat."""

import cv2
import numpy as np
from numpy.typing import NDArray

TELEA_RADIUS = 3.0
"""Pixels around a missing one that OpenCV's Telea method looks at."""


def telea(frames: NDArray[np.uint8], masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Fill each frame on its own by fast marching (Telea 2004, OpenCV's implementation).

    Args:
        frames: (T, H, W, 3) uint8.
        masks: (T, H, W), True inside the hole.

    Returns:
        (T, H, W, 3) uint8.
    """
    return np.stack(
        [
            cv2.inpaint(frame, mask.astype(np.uint8) * 255, TELEA_RADIUS, cv2.INPAINT_TELEA)
            for frame, mask in zip(frames, masks, strict=True)
        ]
    ).astype(np.uint8, copy=False)
