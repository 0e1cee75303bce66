"""Convolutions and the activations behind them, in one pass over memory where that can be had."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import conv_flop_count, register_flop_formula

FUSED = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)
"""oneDNN's convolution with what follows it, which PyTorch's compiler calls too; None in a build
without oneDNN."""

ROUNDS = FUSED is not None and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
"""Whether oneDNN takes bfloat16 on this CPU; PyTorch itself does on every one."""


class Convolutions(nn.Sequential):
    """``nn.Conv2d`` and ``nn.LeakyReLU`` in turns, as ``nn.Sequential`` has and names them.

    On a CPU, where no gradient is asked for, each pair is one call: the activation alone took a
    third of the time of both in bfloat16.
    """

    def __init__(self, *layers: nn.Conv2d | nn.LeakyReLU) -> None:
        super().__init__(*layers)  # no other kind, which one call would leave out

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C', H', W')."""
        if torch.is_grad_enabled() or not _in_one_call(images):
            plain: Tensor = super().forward(images)
            return plain
        for layer, following in pairwise([*self, None]):
            if isinstance(layer, nn.Conv2d):
                images = _convolved(layer, following, images)
        return images


def _in_one_call(images: Tensor) -> bool:
    there = FUSED is not None and images.device.type == "cpu"
    taken = images.dtype == torch.float32 or (ROUNDS and images.dtype == torch.bfloat16)
    return there and taken


def _convolved(layer: nn.Conv2d, following: nn.Module | None, images: Tensor) -> Tensor:
    slopes = [following.negative_slope] if isinstance(following, nn.LeakyReLU) else []
    settings = (layer.padding, layer.stride, layer.dilation, layer.groups)
    after = "leaky_relu" if slopes else "none"
    assert FUSED is not None
    convolved: Tensor = FUSED(images, layer.weight, layer.bias, *settings, after, slopes, "")
    return convolved


def _operations(
    images: Sequence[int], weight: Sequence[int], *_: object, out_shape: Sequence[int], **__: object
) -> int:
    return conv_flop_count(list(images), list(weight), list(out_shape))


if FUSED is not None:  # so that whoever counts operations counts these
    register_flop_formula(FUSED)(_operations)
