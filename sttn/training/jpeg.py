"""What JPEG leaves behind, computed on the device: quantized 8x8 cosine transforms."""

import math

import torch
from torch import Tensor

# Quantization tables of ITU-T T.81, Annex K, Tables K.1 and K.2, row by row.
LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *(((99,) * 8,) * 4),
)
TO_YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.168736, -0.331264, 0.5),
    (0.5, -0.418688, -0.081312),
)
"""ITU-R BT.601, as JFIF uses it."""


def with_jpeg_traces(frames: Tensor, quality: int) -> Tensor:
    """Pass frames through JPEG's loss, without subsampling of color.

    Args:
        frames: (T, 3, H, W) in [0, 1]; H and W multiples of 8.
        quality: 1 to 100, on libjpeg's scale.

    Returns:
        The same shape and range.
    """
    device = frames.device
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    tables = torch.tensor([LUMINANCE, CHROMINANCE, CHROMINANCE], device=device)
    steps = ((tables * scale + 50) / 100).floor().clamp(1, 255)
    change = torch.tensor(TO_YCBCR, device=device)
    cosines = _cosines().to(device)
    blocks = torch.einsum("ij,tjhw->tihw", change, frames * 255 - 128).round()
    blocks = blocks.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)
    waves = cosines @ blocks @ cosines.T
    steps = steps[None, :, None, None]
    blocks = cosines.T @ ((waves / steps).round() * steps) @ cosines
    joined = blocks.transpose(3, 4).flatten(4, 5).flatten(2, 3)
    rgb = torch.einsum("ij,tjhw->tihw", torch.linalg.inv(change), joined)
    return ((rgb + 128) / 255).clamp(0, 1)


def _cosines() -> Tensor:
    """The orthonormal cosine transform of 8 values."""
    positions = torch.arange(8)
    waves = torch.cos(math.pi * (2 * positions[None] + 1) * positions[:, None] / 16) / 2
    waves[0] /= math.sqrt(2)
    return waves
