"""How what a hole hides moves: like most of what lies around it, not like what only passes by."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.model.region import around_mask
from sttn.propagation.camera import camera_motion, homography_flow
from sttn.propagation.closing import PAD, closed
from sttn.propagation.flow import Flow, squared_length

RING = 40
"""Pixels around a hole that tell how most of what it hides moves."""

FEWEST_WITNESSES = 500
"""Pixels of the ring below which the whole frame has to tell."""

SAME_LAYER = 2.0
"""Pixels by which motion beside a hole may differ from the most of it and go on into the hole: a
person who walks past its edge differs by more."""


def plane_behind(
    flow: Flow, known: NDArray[np.bool_], hole: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """The homography (3, 3) that most of a hole and the ring around it moves by.

    Args:
        flow: (H, W, 2).
        known: (H, W), where the flow can be trusted.
        hole: (H, W).
    """
    # Growing the hole by a disc this large takes six times as long.
    away = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 3)
    near = known & (np.asarray(away) <= RING)
    return camera_motion(flow, near if near.sum() >= FEWEST_WITNESSES else known)


def moved_behind(flow: Flow, known: NDArray[np.bool_], plane: NDArray[np.float64]) -> Flow:
    """The flow where it is known; elsewhere a plane's, bent by a membrane.

    The membrane hangs from those known pixels that move nearly like the plane.

    Args:
        flow: (H, W, 2).
        known: (H, W), where the flow can be trusted.
        plane: (3, 3), the homography of the plane.
    """
    unknown = around_mask(~known)
    if unknown is None:
        return flow
    on_plane = homography_flow(plane, *known.shape)
    same = known & (squared_length(flow - on_plane) < SAME_LAYER**2)
    box = unknown.grown(PAD, known.shape)
    inside = box.of(on_plane) + closed(box.of(flow - on_plane), box.of(same))
    result = flow.copy()
    box.of(result)[...] = np.where(box.of(known)[..., None], box.of(flow), inside)
    return result
