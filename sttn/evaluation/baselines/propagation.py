"""Flow-guided propagation: what a hole hides is fetched from frames in which it shows.

The idea of deep flow-guided inpainting (Xu et al., CVPR 2019) with classical parts: DIS flow,
completed inside the hole by the camera's homography and a membrane over the rest; places followed
from frame to frame and sampled once, so that nothing blurs. A margin around every hole is fetched
too, though it is known: what the fetch gets wrong there says how far to trust it inside, against
filling in space, and what to correct it by.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sttn.evaluation.baselines.nearest import carried_along
from sttn.evaluation.baselines.still import telea
from sttn.evaluation.baselines.traces import follow
from sttn.footage import Image
from sttn.propagation.camera import camera_motion, homography_flow
from sttn.propagation.candidates import (
    MARGIN,
    candidate,
    mean_by_evidence,
    surroundings,
)
from sttn.propagation.closing import CAUTION, closed, grown
from sttn.propagation.flow import DisFlow, Flow

STEPS = np.float32(255)
"""Steps of 8 bits."""


def propagate(frames: Image, masks: NDArray[np.bool_]) -> Image:
    """Fill holes with pixels of other frames where flow leads to any, with Telea elsewhere.

    Args:
        frames: (T, H, W, 3) uint8; what the masks cover is not looked at.
        masks: (T, H, W), True inside the hole.

    Returns:
        (T, H, W, 3) uint8.
    """
    wider = np.stack([grown(mask, MARGIN) for mask in masks])
    later, sooner = completed_flows(frames, masks)
    visible = ~np.stack([grown(mask, 1) for mask in masks])  # a sample looks at its neighbors too
    traces = (
        follow(wider, visible, later, sooner, step=1),
        follow(wider, visible, sooner, later, step=-1),
    )
    in_space = telea(frames, masks)
    margin_in_space = telea(frames, wider)
    shown, carried = carried_along(in_space, masks, wider)
    result = frames.copy()
    for t in range(len(frames)):
        if not masks[t].any():
            continue
        fetches = [trace.fetched(t, in_space) for trace in traces]
        fetches.append((carried[t].astype(np.float32), shown[t]))
        filled = _merged(in_space[t], margin_in_space[t], masks[t], wider[t], fetches)
        result[t][masks[t]] = filled[masks[t]]
    return result


def completed_flows(frames: Image, masks: NDArray[np.bool_]) -> tuple[list[Flow], list[Flow]]:
    """The flows to the next frame and back, as far as can be told inside holes too.

    Args:
        frames: (T, H, W, 3) uint8; what the masks cover is not looked at.
        masks: (T, H, W), True inside the hole.

    Returns:
        T - 1 flows from each frame to the next, and T - 1 from the next to each.
    """
    estimate = DisFlow()
    closings = [
        closed(frame.astype(np.float32), ~mask).clip(0, 255).astype(np.uint8)
        for frame, mask in zip(frames, masks, strict=True)
    ]
    known = [~grown(mask, CAUTION) for mask in masks]

    def between(start: int, end: int) -> Flow:
        flow = estimate(closings[start], closings[end])
        height, width = flow.shape[:2]
        camera = homography_flow(camera_motion(flow, known[start]), height, width)
        return camera + closed(flow - camera, known[start])

    pairs = range(len(frames) - 1)
    return [between(t, t + 1) for t in pairs], [between(t + 1, t) for t in pairs]


def _merged(
    in_space: Image,
    margin_in_space: Image,
    mask: NDArray[np.bool_],
    wider: NDArray[np.bool_],
    fetches: Sequence[tuple[NDArray[np.float32], NDArray[np.bool_]]],
) -> Image:
    """The mean of several fills of a frame, each weighed by how well its margin came out.

    ``margin_in_space`` is a fill that did not know the margin. A fetch is 8-bit steps (H, W, 3)
    and where there are any.
    """
    filled, margin_filled = (
        image.astype(np.float32) / STEPS for image in (in_space, margin_in_space)
    )
    around = surroundings(filled, margin_filled, mask, wider & ~mask)
    offers = [
        candidate(around, fetched / STEPS * found[..., None], found.astype(np.float32))
        for fetched, found in fetches
    ]
    return (mean_by_evidence(around, offers) * STEPS).clip(0, 255).round().astype(np.uint8)
