"""Frames as flow sees them: in 8 bits, with something in their holes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sttn.footage import Image
from sttn.model.region import around_mask
from sttn.propagation.closing import PAD, closed


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A frame as the flow is estimated in it."""

    image: Image
    """(H, W, 3), with something in its hole."""
    hole: NDArray[np.bool_]
    """(H, W)."""
    unknown: NDArray[np.bool_]
    """(H, W), the part of the hole in which that moves like nothing in the shot."""


def behind_membrane(frame: NDArray[Any], mask: NDArray[np.bool_]) -> Shown:
    """A frame (H, W, 3) with a membrane over its hole (H, W), of which nothing is known."""
    image, hole = in_8_bits(frame), around_mask(mask)
    if hole is None:
        return Shown(image=image, hole=mask, unknown=mask)
    box = hole.grown(PAD, mask.shape)
    known = ~box.of(mask)
    result = image.copy()
    filled = closed(box.of(image).astype(np.float32), known)
    box.of(result)[~known] = filled.clip(0, 255)[~known].astype(np.uint8)
    return Shown(image=result, hole=mask, unknown=mask)


def in_8_bits(frame: NDArray[Any]) -> Image:
    """(H, W, 3) uint8 of a frame that is uint8, or float in [0, 1]."""
    if frame.dtype == np.uint8:
        return frame
    scaled = np.asarray(frame, np.float32) * np.float32(255)
    np.clip(scaled, 0, 255, out=scaled)
    return np.asarray(np.rint(scaled, out=scaled), np.uint8)


def in_float(frame: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W, 3) float32 in [0, 1] of a frame that is uint8, or float in [0, 1]."""
    return np.asarray(frame, np.float32) / np.float32(steps(frame))


def steps(frame: NDArray[Any]) -> int:
    """What a frame that is uint8, or float in [0, 1], calls white."""
    return 255 if frame.dtype == np.uint8 else 1
