"""The nearest frame in which the camera shows what a hole hides."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.evaluation.baselines.still import telea
from sttn.footage import Image
from sttn.propagation.camera import camera_motion
from sttn.propagation.closing import CAUTION, grown
from sttn.propagation.flow import DisFlow

FARTHEST = 40
"""Frames away that are looked at."""


def nearest_visible(frames: Image, masks: NDArray[np.bool_]) -> Image:
    """Copy each hidden pixel from the nearest frame that shows it, by the camera's motion alone.

    Successive frames are registered by homographies; where no frame within :data:`FARTHEST` shows
    a pixel, Telea fills it.

    Args:
        frames: (T, H, W, 3) uint8.
        masks: (T, H, W), True inside the hole.

    Returns:
        (T, H, W, 3) uint8.
    """
    filled = telea(frames, masks)
    found, copied = carried_along(filled, masks, masks)
    return np.where(found[..., None], copied, filled)


def carried_along(
    filled: Image, masks: NDArray[np.bool_], asked: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], Image]:
    """What the nearest frames show where the camera's motion alone leads.

    Args:
        filled: (T, H, W, 3) uint8, holes filled in some way.
        masks: (T, H, W), True inside the hole; never copied.
        asked: (T, H, W), pixels to look for.

    Returns:
        (T, H, W), where something was found, and (T, H, W, 3) uint8 with it.
    """
    count, height, width = masks.shape
    # A sample looks at its neighbors too, and they may be hidden.
    shown = [(~grown(mask, 1)).astype(np.uint8) for mask in masks]
    steps = _registered(filled, masks)
    missing, pixels = asked.copy(), np.zeros_like(filled)
    for t in range(count):
        to = {1: np.eye(3), -1: np.eye(3)}
        for distance in range(1, FARTHEST + 1):
            for side in (1, -1):
                source = t + side * distance
                if not (0 <= source < count and missing[t].any()):
                    continue
                step = steps[source - 1] if side == 1 else np.linalg.inv(steps[source])
                to[side] = step @ to[side]
                flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
                there = cv2.warpPerspective(shown[source], to[side], (width, height), flags=flags)
                now = missing[t] & (np.asarray(there) > 0)
                if now.any():
                    copied = cv2.warpPerspective(
                        filled[source], to[side], (width, height), flags=flags
                    )
                    pixels[t][now] = copied[now]
                    missing[t] &= ~now
    return asked & ~missing, pixels


def _registered(filled: Image, masks: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """T - 1 homographies (3, 3) from each frame to the next."""
    estimate = DisFlow()
    return [
        camera_motion(estimate(filled[t], filled[t + 1]), ~grown(masks[t], CAUTION))
        for t in range(len(filled) - 1)
    ]
