"""The working encoding, as training makes it; a test compares it with the node's."""

import torch
from torch import Tensor

SRGB_SLOPE_AT_ONE = 1.055 / 2.4
HIGHLIGHTS = 0.05

BELOW_PEAK = 0.999
"""Share of the values around a hole that stay below the peak: a firefly must not dim the shot."""


def encoded(linear: Tensor) -> Tensor:
    """The working encoding of scene-linear values: sRGB up to 1, logarithmic above.

    Args:
        linear: Any shape, finite, scene-linear.

    Returns:
        The same shape; 1 encodes to 1 and 65504 to about 1.66.
    """
    middle = 1.055 * linear.clamp(0.0031308, 1.0) ** (1 / 2.4) - 0.055
    beyond = (linear - 1).clamp(min=0) * (SRGB_SLOPE_AT_ONE / HIGHLIGHTS)
    high = 1 + HIGHLIGHTS * beyond.log1p()
    return torch.where(linear <= 0.0031308, 12.92 * linear, torch.where(linear <= 1, middle, high))


def peak(codes: Tensor) -> float:
    """The encoded value, at least 1, that the network is to see as white.

    Args:
        codes: What surrounds a hole, in the working encoding, of any shape; may be empty.
    """
    if not codes.numel():
        return 1.0
    place = max(1, round(BELOW_PEAK * codes.numel()))
    return max(1.0, float(codes.flatten().kthvalue(place).values))
