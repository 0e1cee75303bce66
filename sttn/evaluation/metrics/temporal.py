"""How steady a completed clip is: flow warping error and flicker."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sttn.evaluation.flow import matched
from sttn.evaluation.metrics.fidelity import Figure
from sttn.footage import Image
from sttn.propagation.flow import Flow, FlowEstimator, warped

NOT_SEEN = float("nan")
"""The figure of a pair of frames that share no pixel to compare."""


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How a frame moves into the next one."""

    flow: Flow
    """(H, W, 2) from a frame to the next."""
    seen: NDArray[np.bool_]
    """(H, W), pixels that the next frame shows too."""


def motions(clip: Image, estimate: FlowEstimator) -> list[Motion]:
    """The motion between all T - 1 pairs of successive frames of (T, H, W, 3) uint8."""
    found = []
    for first, second in pairwise(clip):
        there, back = estimate(first, second), estimate(second, first)
        found.append(Motion(flow=there, seen=matched(there, back)))
    return found


def warping_error(first: Image, second: Image, motion: Motion, mask: NDArray[np.bool_]) -> Figure:
    """How much a pixel changes along its way, E_warp of Lai et al. (ECCV 2018), in %.

    The mean squared difference of values in [0, 1] between a frame and the next one brought back
    by the flow, over pixels that both show; 100 times that. The flow is the truth's where there
    is one, so that a method gains nothing by blurring.

    Args:
        first: (H, W, 3) uint8.
        second: The next frame.
        motion: From the first to the second.
        mask: (H, W), the first frame's hole.

    Returns:
        NaN where nothing can be compared.
    """
    back = warped(second, motion.flow)
    error = np.square((first.astype(np.float32) - back) / 255).mean(-1)
    return Figure(*(_percent(error, motion.seen & part) for part in (np.True_, mask)))


def _percent(error: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    return 100 * float(error[where].mean(dtype=np.float64)) if where.any() else NOT_SEEN


def flicker(completed: Image, truth: Image, masks: NDArray[np.bool_]) -> float:
    """How much the error changes from a frame to the next inside the hole, in 8-bit steps.

    The mean absolute difference between the change of the completed pixels and the change of the
    true ones, over pixels that are hole in both frames. A fill that is wrong but moves as the
    truth does has none.

    Args:
        completed: Two successive frames, (2, H, W, 3) uint8.
        truth: The same of the truth.
        masks: The same of the mask, (2, H, W).

    Returns:
        NaN where no pixel is hole in both frames.
    """
    both = masks.all(axis=0)
    if not both.any():
        return NOT_SEEN
    first, second = (
        c[both].astype(np.int16) - t[both] for c, t in zip(completed, truth, strict=True)
    )
    return float(np.abs(second - first).mean())
