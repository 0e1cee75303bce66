"""Completed pixels into the plate, under the matte."""

import numpy as np

from node.clips import Matte, Pixels
from node.color import Float, PlateColor, stored, unit


def clean_plate(
    plate: Pixels, fill: Float, matte: Matte, color: PlateColor, *, premultiplied: bool = False
) -> Pixels:
    """Lay completed pixels over the plate, under the matte, mixed in scene-linear light.

    Args:
        plate: (H, W, 3 or 4) of the plate's type and color space; alpha stays what it is.
        fill: (H, W, 3) scene-linear, unpremultiplied.
        matte: (H, W) in [0, 1]; 1 replaces the pixel, 0 keeps it.
        color: Conversion of the plate.
        premultiplied: Whether the plate's colors are multiplied by its alpha.

    Returns:
        The plate's shape and type; bit for bit the plate wherever the matte is 0.
    """
    covered = matte > 0
    weight = matte[covered, np.newaxis]
    under = plate[covered]
    alpha = alpha_of(under, premultiplied)
    # Under a soft matte inf and NaN stay what they are, and that is no cause for alarm.
    with np.errstate(invalid="ignore", over="ignore"):
        # Under a full matte the plate may hold inf, and 0 * inf is NaN.
        kept = np.where(weight < 1, color.to_linear(under[:, :3], alpha), 0)
        under[:, :3] = color.from_linear(kept * (1 - weight) + fill[covered] * weight, alpha)
    result = plate.copy()
    result[covered] = under
    return result


def fill_only(
    plate: Pixels, fill: Float, matte: Matte, color: PlateColor, *, premultiplied: bool = False
) -> Pixels:
    """The fill alone, to be laid over the plate by the host.

    Over the plate, in scene-linear light, its colors are those of :func:`clean_plate`; over code
    values of a plate that is not scene-linear they are so under a full matte only. The clean
    plate's alpha is the plate's, which no fill laid over it can tell.

    Args:
        plate: (H, W, 3 or 4) of the plate's type.
        fill: (H, W, 3) scene-linear, unpremultiplied.
        matte: (H, W) in [0, 1].
        color: Conversion of the plate.
        premultiplied: Whether the plate's colors are multiplied by its alpha.

    Returns:
        (H, W, 4) of the plate's type: color in the plate's space, multiplied by the matte, and by
        the plate's alpha as the plate's own is; and the matte as alpha.
    """
    covered = matte > 0
    weight, alpha = matte[covered], alpha_of(plate[covered], premultiplied)
    result = np.zeros((*matte.shape, 4), color.dtype)
    result[covered, :3] = color.from_linear(
        fill[covered], weight if alpha is None else weight * alpha
    )
    result[..., 3] = stored(matte, color.dtype)
    return result


def alpha_of(plate: Pixels, premultiplied: bool) -> Float | None:
    """(...) in [0, 1] where a plate's colors are multiplied by it."""
    return unit(plate[..., 3]) if premultiplied and plate.shape[-1] == 4 else None
