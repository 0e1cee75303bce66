"""One frame put together: real pixels, the network's beside them without a seam, texture."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.inference.clip import Pixels
from sttn.model.region import Region
from sttn.propagation import Fill
from sttn.propagation.closing import closed, grown
from sttn.propagation.shown import in_float, steps

SEAM = 6
"""Pixels around what the network fills, at which its colors are matched to what is there."""


def put_together(
    frame: Pixels,
    mask: NDArray[np.bool_],
    fill: Fill | None,
    asked: Region | None,
    said: NDArray[np.float32] | None,
) -> Pixels:
    """The frame with its hole filled, every other pixel untouched.

    Args:
        frame: (H, W, 3).
        mask: (H, W), True inside the hole.
        fill: Real pixels, if they were looked for.
        asked: A rectangle around what is left; None where nothing is.
        said: (h, w, 3) in [0, 1], what the network, or texture, says of it.
    """
    result = np.array(frame)
    if fill is not None:
        lay(result, fill.box, fill.pixels, fill.trust >= 1)
    if asked is None:
        return result
    assert said is not None, "somebody has to fill what is left"
    rest = asked.of(mask)
    if fill is not None:
        pixels, trust = fill.over(mask.shape, asked)
        rest = rest & (trust < 1)
        said = without_seam(said, in_float(asked.of(result)), rest)
        said = said + trust[..., None] * (pixels - said)
    lay(result, asked, said, rest)
    return result


def without_seam(
    said: NDArray[np.float32], around: NDArray[np.float32], hole: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Correct a fill by a membrane spanned over what it misses its surroundings by.

    Args:
        said: (h, w, 3) in [0, 1], what the network says of the hole and its surroundings.
        around: (h, w, 3), the surroundings; what lies in the hole is not looked at.
        hole: (h, w).
    """
    ring = grown(hole, SEAM) & ~hole
    if not ring.any():
        return said
    missed = np.where(ring[..., None], around - said, 0).astype(np.float32)
    return said + closed(missed, ring)


def lay(frame: Pixels, box: Region, pixels: NDArray[np.float32], where: NDArray[np.bool_]) -> None:
    """Lay pixels in [0, 1] into a frame, of whatever type it is."""
    white = steps(frame)
    laid = pixels * np.float32(white)
    np.clip(laid, 0, white, out=laid)
    if white > 1:
        np.rint(laid, out=laid)
    inside = box.of(frame)
    # NumPy takes ten times as long to choose pixels by a mask.
    there, chosen = np.ascontiguousarray(inside), where.view(np.uint8)
    inside[...] = cv2.copyTo(laid.astype(frame.dtype), chosen, there)
