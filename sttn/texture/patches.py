"""Square patches of an image as rows of a matrix, and images put together of overlapping ones."""

import torch
from torch import Tensor
from torch.nn import functional

SIDE = 7
"""Pixels of a patch's side."""

REACH = SIDE // 2
"""Pixels from a patch's center to its edge."""


def patches(image: Tensor) -> Tensor:
    """The patch around every pixel, beyond the border the border's pixels.

    Args:
        image: (C, H, W).

    Returns:
        (H * W, C * SIDE * SIDE).
    """
    channels, height, width = image.shape
    padded = functional.pad(image[None], (REACH,) * 4, mode="replicate")[0]
    plane, row, column = padded.stride()
    squares = padded.as_strided(
        (height, width, channels, SIDE, SIDE), (row, column, plane, row, column)
    )
    return squares.reshape(height * width, -1)


def voted(
    chosen: Tensor, weights: Tensor, places: Tensor, spread: float, size: tuple[int, int]
) -> Tensor:
    """The image that overlapping patches agree on: their mean, center pixels first.

    Args:
        chosen: (N, C * SIDE * SIDE), the patches.
        weights: (N,), how much each has to say.
        places: (N,), the pixels that they are laid around, by row and column in one number.
        spread: Pixels from its center at which a patch says little.
        size: Rows and columns of the image.

    Returns:
        (C, H, W); 0 where no patch lies.
    """
    height, width = size
    away = torch.arange(-REACH, REACH + 1) ** 2
    window = torch.exp(-(away[:, None] + away).flatten() / (2 * spread**2))
    shares = weights[:, None] * window
    columns = torch.zeros(SIDE * SIDE, height * width)
    total = _laid(columns, shares, places, size)
    said = chosen.unflatten(1, (-1, SIDE * SIDE)).unbind(1)
    sums = [_laid(columns, channel * shares, places, size) for channel in said]
    return torch.stack(sums) / total.clamp(min=1e-30)


def _laid(columns: Tensor, values: Tensor, places: Tensor, size: tuple[int, int]) -> Tensor:
    """The sum (H, W) of patches (N, SIDE * SIDE) around N pixels; 0 elsewhere in ``columns``."""
    columns[:, places] = values.T
    padded = (size[0] + 2 * REACH, size[1] + 2 * REACH)
    return functional.fold(columns[None], padded, SIDE)[0, 0, REACH:-REACH, REACH:-REACH]
