"""The camera's own motion, as a homography that most of a frame agrees with."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.propagation.flow import Flow, grid

FEWEST_POINTS = 12
"""Points below which no homography is fitted."""

LEAST_AREA = 0.1
"""By how much no camera shrinks the picture's area from a frame to the next."""

MOST_POINTS = 2000
"""Points that a homography is fitted to at most."""


def camera_motion(flow: Flow, known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Fit the homography that carries one frame over another.

    Args:
        flow: (H, W, 2).
        known: (H, W), where the flow can be trusted.

    Returns:
        (3, 3), invertible; the identity where too little is known.
    """
    rows, columns = np.nonzero(known)
    if len(rows) < FEWEST_POINTS:
        return np.eye(3)
    some = slice(None, None, max(1, len(rows) // MOST_POINTS))
    points = np.stack([columns, rows], axis=1)[some].astype(np.float32)
    moved = points + flow[rows[some], columns[some]]
    cv2.setRNGSeed(0)  # the same footage gives the same figures
    fitted, _ = cv2.findHomography(points, moved, cv2.RANSAC, 1.0)
    if fitted is None or abs(np.linalg.det(fitted)) < LEAST_AREA:
        return np.eye(3)
    return np.asarray(fitted, np.float64)


def homography_flow(homography: NDArray[np.float64], height: int, width: int) -> Flow:
    """The flow (height, width, 2) of a homography."""
    places = grid(height, width)
    moved = cv2.perspectiveTransform(places.reshape(1, -1, 2), homography)
    return np.asarray(moved.reshape(places.shape) - places, np.float32)
