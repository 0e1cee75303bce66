"""The camera's own motion, as a homography that most of a frame agrees with."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.propagation.flow import Flow, grid, squared_length

FEWEST_POINTS = 12
"""Points below which no homography is fitted."""

LEAST_AREA = 0.1
"""By how much no camera shrinks the picture's area from a frame to the next."""

MOST_POINTS = 2000
"""Points that a homography is fitted to at most."""

DRAWN = 0.5
"""Pixels by which a point may miss a homography that was drawn and still speak for it. With twice
as many, one that lies between the background and what sways before it wins too often."""

AGREES = 1.0
"""Pixels by which a point may miss the first homography and still have a say in the next ones."""

ROUNDS = 6
"""Of weighing points by how well they agree, and fitting again."""

LEAST_NOISE = 0.025
"""Pixels by which even the best flow errs."""

DOUBTED = 3
"""Multiples of the noise at which a point counts for a quarter."""

FARTHEST_OFF = 4
"""Multiples of the noise beyond which points do not tell how large the noise is."""


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
    found, _ = cv2.findHomography(points, moved, cv2.RANSAC, DRAWN)
    drawn = np.eye(3) if found is None else np.asarray(found, np.float64)
    if not _likely(drawn):
        return np.eye(3)
    fitted = _agreed(drawn, points.astype(np.float64), moved.astype(np.float64))
    return fitted if _likely(fitted) else drawn


def _likely(homography: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(homography).all() and abs(np.linalg.det(homography)) >= LEAST_AREA)


def _agreed(
    drawn: NDArray[np.float64], points: NDArray[np.float64], moved: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A homography made precise by all points that nearly agree with it.

    What RANSAC finds depends on the points it happens to draw, and a tenth of a pixel in every step
    is four pixels after forty. Reweighted least squares, with the weights of Geman and McClure
    (1985) and a scale that follows the noise of the points that agree.

    Args:
        drawn: (3, 3), where to begin.
        points: (N, 2) in pixels.
        moved: (N, 2), where they went.
    """
    center, size = points.mean(axis=0), points.std() + 1
    scaling = np.array([[1, 0, -center[0]], [0, 1, -center[1]], [0, 0, size]]) / size
    unscaling = np.linalg.inv(scaling)
    (x, y), (u, v) = ((part - center).T / size for part in (points, moved))
    one, zero = np.ones_like(x), np.zeros_like(x)
    across = np.stack([x, y, one, zero, zero, zero, -u * x, -u * y])
    down = np.stack([zero, zero, zero, x, y, one, -v * x, -v * y])
    found, limit = drawn, AGREES
    for _ in range(ROUNDS):
        off = np.asarray(cv2.perspectiveTransform(points[None], found) - moved, np.float32)
        missed = squared_length(off)[0]
        agree = missed < limit**2
        if agree.sum() < FEWEST_POINTS:
            return drawn
        noise = max(float(np.sqrt(np.median(missed[agree]))), LEAST_NOISE)
        limit = FARTHEST_OFF * max(noise, 2 * LEAST_NOISE)
        weights = 1 / (1 + missed / (DOUBTED * noise) ** 2) ** 2
        squares = (across * weights) @ across.T + (down * weights) @ down.T
        products = (across * weights) @ u + (down * weights) @ v
        try:
            solved = np.append(np.linalg.solve(squares, products), 1).reshape(3, 3)
        except np.linalg.LinAlgError:
            return drawn
        found = unscaling @ solved @ scaling
        found /= found[2, 2]
    return found


def homography_flow(homography: NDArray[np.float64], height: int, width: int) -> Flow:
    """The flow (height, width, 2) of a homography."""
    places = grid(height, width)
    moved = cv2.perspectiveTransform(places.reshape(1, -1, 2), homography)
    return np.asarray(moved.reshape(places.shape) - places, np.float32)
