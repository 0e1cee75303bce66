"""Holes to train on: closed random contours that stand still or move (Algorithm 1)."""

import cv2
import numpy as np
from numpy.typing import NDArray

CURVE_STEPS = 8

HEIGHTS, WIDTHS = (0.25, 0.8), (0.125, 0.5)
"""Least and greatest sides of a hole, as shares of the raster's."""


def blob(height: int, width: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw one closed contour that fills a box.

    Control points lie around a circle at random distances and are joined smoothly, as in
    Algorithm 1; the contour is then stretched to touch all four sides of the box.

    Args:
        height: Rows of the box.
        width: Columns of the box.
        rng: Source of the shape.

    Returns:
        (height, width) uint8, 255 inside the contour.
    """
    count = int(rng.integers(4, 13))
    angles = np.sort(rng.uniform(0, 2 * np.pi, count)) + rng.uniform(0, 2 * np.pi)
    radii = rng.uniform(0.25, 1.0, count)
    control = np.stack([np.cos(angles) * radii, np.sin(angles) * radii], axis=1)
    contour = _smooth_closed(control)
    low, high = contour.min(axis=0), contour.max(axis=0)
    contour = (contour - low) / np.maximum(high - low, 1e-6) * [width - 1, height - 1]
    canvas = np.zeros((height, width), np.uint8)
    cv2.fillPoly(canvas, [np.round(contour).astype(np.int32)], 255)
    return canvas


def _smooth_closed(control: NDArray[np.float64]) -> NDArray[np.float64]:
    # A closed Catmull-Rom spline: cubic Bezier pieces through every control point.
    before, after = np.roll(control, 1, axis=0), np.roll(control, -1, axis=0)
    second = np.roll(control, -2, axis=0)
    pieces = []
    for step in np.linspace(0, 1, CURVE_STEPS, endpoint=False):
        pieces.append(
            0.5
            * (
                2 * control
                + (after - before) * step
                + (2 * before - 5 * control + 4 * after - second) * step**2
                + (3 * control - before - 3 * after + second) * step**3
            )
        )
    return np.stack(pieces, axis=1).reshape(-1, 2)


def random_masks(
    times: NDArray[np.float64],
    height: int,
    width: int,
    rng: np.random.Generator,
    heights: tuple[float, float] = HEIGHTS,
    widths: tuple[float, float] = WIDTHS,
) -> NDArray[np.bool_]:
    """One hole through a clip, standing still for half of all clips and moving for the others.

    Args:
        times: (T,) position of each frame on the clip's timeline, in frames.
        height: Rows of the raster.
        width: Columns of the raster.
        rng: Source of shape and path.
        heights: Least and greatest height of the hole, as shares of the raster's.
        widths: Least and greatest width, likewise.

    Returns:
        (T, height, width) bool, True inside the hole.
    """
    box_height = int(rng.uniform(height * heights[0], height * heights[1]))
    box_width = int(rng.uniform(width * widths[0], width * widths[1]))
    shape = blob(box_height, box_width, rng)
    start = rng.uniform([0, 0], [width - box_width, height - box_height])
    # A tenth of the raster's width per frame is the fastest object a matte is drawn for.
    speed = rng.normal(0, 0.02, 2) * width * float(rng.random() < 0.5)
    masks = np.zeros((len(times), height, width), np.bool_)
    for index, time in enumerate(times - times.mean()):
        move = np.array([[1, 0, start[0] + speed[0] * time], [0, 1, start[1] + speed[1] * time]])
        drawn = cv2.warpAffine(shape, move, (width, height), flags=cv2.INTER_LINEAR)
        masks[index] = np.asarray(drawn) > 127
    return masks


def object_masks(
    drawn: NDArray[np.bool_],
    times: NDArray[np.float64],
    height: int,
    width: int,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """The shape of a real object, moving as it moved, somewhere in the raster.

    Args:
        drawn: (N, h, w), True where the object is; enlarged or shrunk to the raster.
        times: (T,) position of each frame on the clip's timeline; beyond N it goes back and forth.
        height: Rows of the raster.
        width: Columns of the raster.
        rng: Source of the place.

    Returns:
        (T, height, width) bool, True inside the hole.
    """
    last = max(1, len(drawn) - 1)
    steps = (times.astype(np.int64) + int(rng.integers(len(drawn)))) % (2 * last)
    shift = (int(rng.integers(height)), int(rng.integers(width)))
    masks = []
    for step in np.minimum(steps, 2 * last - steps):
        shape = drawn[min(step, len(drawn) - 1)].astype(np.uint8)
        placed = cv2.resize(shape, (width, height), interpolation=cv2.INTER_NEAREST)
        masks.append(np.roll(placed, shift, axis=(0, 1)) > 0)
    return np.stack(masks)
