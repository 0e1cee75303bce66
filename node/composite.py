"""Completed pixels into the plate, under the matte."""

import numpy as np

from node.clips import Matte, Pixels
from node.color import Float, PlateColor


def clean_plate(plate: Pixels, completed: Float, matte: Matte, color: PlateColor) -> Pixels:
    """Lay completed pixels over the plate, under the matte, mixed in scene-linear light.

    Args:
        plate: (H, W, 3) of the plate's type and color space, unpremultiplied.
        completed: (H, W, 3) scene-linear Rec.709.
        matte: (H, W) in [0, 1]; 1 replaces the pixel, 0 keeps it.
        color: Conversion of the plate.

    Returns:
        (H, W, 3) of the plate's type; bit for bit the plate wherever the matte is 0.
    """
    covered = matte > 0
    weight = matte[covered, np.newaxis]
    # Under a full matte the plate may hold inf, and 0 * inf is NaN.
    kept = np.where(weight < 1, color.to_linear(plate[covered]), 0)
    result = plate.copy()
    result[covered] = color.from_linear(kept * (1 - weight) + completed[covered] * weight)
    return result
