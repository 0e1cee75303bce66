"""How alike two frames look to a network that knows pictures: LPIPS (Zhang et al., CVPR 2018).

The published version 0.1 on VGG-16. Neither the VGG nor the weights of its channels can be
shipped; both are given by path.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sttn.errors import CheckpointError
from sttn.evaluation.metrics.fidelity import Figure
from sttn.footage import Image
from sttn.model.published import read_state_dict
from sttn.training.perceptual import WIDTHS, VggFeatures

TINY = 1e-10
"""Keeps features that are all zero from being divided by zero."""


class Lpips:
    """The metric with its networks.

    Args:
        vgg: State dict of torchvision's VGG-16.
        weights: The published ``vgg.pth``: what each channel of the five stages counts.

    Raises:
        CheckpointError: a file is missing or does not fit.
    """

    def __init__(self, vgg: Path, weights: Path) -> None:
        self._vgg = VggFeatures(vgg, stages=len(WIDTHS))
        tensors = read_state_dict(weights)
        names = [f"lin{stage}.model.1.weight" for stage in range(len(WIDTHS))]
        for name, widths in zip(names, WIDTHS, strict=True):
            if name not in tensors or tensors[name].shape != (1, widths[-1], 1, 1):
                raise CheckpointError(f"{weights} holds no weights of LPIPS for VGG-16: no {name}")
        self._channels = [tensors[name].float() for name in names]

    @torch.inference_mode()
    def __call__(self, completed: Image, truth: Image, mask: NDArray[np.bool_]) -> Figure:
        """Distance over the whole frame, and the mean of its map over the hole.

        Args:
            completed: (H, W, 3) uint8.
            truth: The same shape.
            mask: (H, W), True inside the hole; not empty.
        """
        pair = torch.from_numpy(np.stack([completed, truth])).permute(0, 3, 1, 2).float()
        whole, inside = 0.0, torch.from_numpy(mask)
        hole = 0.0
        stages = self._vgg.activations(pair / 127.5 - 1)
        for shown, channels in zip(stages, self._channels, strict=True):
            first, second = _unit(shown)
            distance = ((first - second).square()[None] * channels).sum(1, keepdim=True)
            whole += float(distance.mean())
            enlarged = functional.interpolate(distance, mask.shape, mode="bilinear")
            hole += float(enlarged[0, 0][inside].mean())
        return Figure(whole, hole)


def _unit(features: Tensor) -> Tensor:
    """Features (N, C, H, W) of length 1 over channels."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + TINY)
