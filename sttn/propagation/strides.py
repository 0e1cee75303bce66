"""How the plane behind a hole moves over several frames at once: errors of single steps add up."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.footage import Image
from sttn.model.region import around_mask
from sttn.propagation.behind import plane_behind
from sttn.propagation.closing import CAUTION, grown
from sttn.propagation.flow import LOOKED_AT, FlowEstimator
from sttn.propagation.shown import Shown

STRIDE = 8
"""Frames in a stride."""


def stridden(
    start: Shown, end: Shown, walked: NDArray[np.float64], estimate: FlowEstimator
) -> NDArray[np.float64]:
    """Make precise how the plane behind a hole moves from a frame to a later or earlier one.

    The other frame is laid over the first as the steps between them say; the flow that is left
    between the two tells how far these went astray.

    Args:
        start: The frame with the hole.
        end: The frame a stride away.
        walked: (3, 3), the product of the steps' homographies.
        estimate: Finds the flow that is left.

    Returns:
        (3, 3); ``walked`` where the two frames do not come closer.
    """
    hole = around_mask(start.hole)
    if hole is None:
        return walked
    part = hole.grown(LOOKED_AT, start.hole.shape)
    corner = np.array([[1, 0, part.left], [0, 1, part.top], [0, 0, 1]], np.float64)
    here = np.ascontiguousarray(part.of(start.image))
    clear_here, clear_there = part.of(_clear(start)), _clear(end)
    there = walked @ corner
    laid, seen = _laid(end.image, clear_there, there, part.size)
    left = estimate(here, laid)
    off = plane_behind(left, clear_here & seen, part.of(start.hole))
    again, seen_again = _laid(end.image, clear_there, there @ off, part.size)
    both = clear_here & seen & seen_again
    if not both.any() or _apart(here, again, both) >= _apart(here, laid, both):
        return walked
    precise = there @ off @ np.linalg.inv(corner)
    return np.asarray(precise / precise[2, 2], np.float64)


def _clear(frame: Shown) -> NDArray[np.bool_]:
    """(H, W), where a frame shows what no hole disturbs."""
    return ~grown(frame.hole, CAUTION)


def _laid(
    image: Image, clear: NDArray[np.bool_], place: NDArray[np.float64], size: tuple[int, int]
) -> tuple[Image, NDArray[np.bool_]]:
    """A frame, and where it is clear, laid over a part (h, w) of another by a homography."""
    inverse = cv2.WARP_INVERSE_MAP
    laid = cv2.warpPerspective(image, place, size[::-1], flags=cv2.INTER_LINEAR | inverse)
    seen = cv2.warpPerspective(
        clear.astype(np.uint8), place, size[::-1], flags=cv2.INTER_NEAREST | inverse
    )
    return np.asarray(laid, np.uint8), np.asarray(seen) > 0


def _apart(one: Image, other: Image, where: NDArray[np.bool_]) -> float:
    """By how much two images differ somewhere, the mean in 8-bit steps."""
    return float(cv2.absdiff(one, other)[where].mean())
