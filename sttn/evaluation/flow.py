"""RAFT beside OpenCV's flow, and what is found again on the way back."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sttn.errors import CheckpointError
from sttn.footage import Image
from sttn.model.published import read_state_dict
from sttn.propagation.flow import DisFlow, Flow, FlowEstimator, grid, warped


class RaftFlow:
    """RAFT (Teed and Deng, ECCV 2020), torchvision's network on weights given by path.

    Args:
        path: State dict of ``torchvision.models.optical_flow.raft_large``, .pth.

    Raises:
        CheckpointError: torchvision is missing, or the file does not fit.
    """

    name = "RAFT"
    REFINEMENTS = 20

    def __init__(self, path: Path) -> None:
        try:
            from torchvision.models.optical_flow import raft_large
        except (ImportError, RuntimeError) as error:  # the latter: made for another torch
            raise CheckpointError(
                f"RAFT needs a torchvision that fits torch {torch.__version__}: {error}"
            ) from error
        self._network = raft_large(weights=None, progress=False).eval()
        try:
            self._network.load_state_dict(read_state_dict(path))
        except RuntimeError as error:
            reason = str(error).partition("\n")[0]
            raise CheckpointError(f"{path} is no RAFT of torchvision: {reason}") from error

    @torch.inference_mode()
    def __call__(self, start: Image, end: Image) -> Flow:
        """As :class:`FlowEstimator` says; sides are padded to multiples of 8."""
        height, width = start.shape[:2]
        below, right = -height % 8, -width % 8
        pair = [np.pad(f, ((0, below), (0, right), (0, 0)), mode="edge") for f in (start, end)]
        tensors = [torch.from_numpy(f).permute(2, 0, 1)[None].float() / 127.5 - 1 for f in pair]
        found = self._network(*tensors, num_flow_updates=self.REFINEMENTS)[-1][0]
        cut = found[:, :height, :width].permute(1, 2, 0).contiguous()
        return np.asarray(cut.numpy(), np.float32)


def flow_estimator(raft: Path | None) -> FlowEstimator:
    """RAFT where its weights are given, DIS otherwise."""
    return DisFlow() if raft is None else RaftFlow(raft)


def matched(there: Flow, back: Flow) -> NDArray[np.bool_]:
    """Pixels that are seen in the other frame too, and found again on the way back.

    The check of Sundaram et al. (ECCV 2010), as the flow warping error uses it: the ways there and
    back may miss each other by 1 % of their lengths, squared, and half a pixel.

    Args:
        there: (H, W, 2) from this frame to the other.
        back: (H, W, 2) from the other to this one.

    Returns:
        (H, W); False too where the flow leads out of the frame.
    """
    height, width = there.shape[:2]
    returned = warped(back, there)
    missed = np.square(there + returned).sum(-1)
    allowed = 0.01 * (np.square(there).sum(-1) + np.square(returned).sum(-1)) + 0.5
    places = grid(height, width) + there
    inside = ((places >= 0) & (places <= (width - 1, height - 1))).all(-1)
    found: NDArray[np.bool_] = (missed <= allowed) & inside
    return found
