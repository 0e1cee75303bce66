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
    padded = functional.pad(image[None], (REACH,) * 4, mode="replicate")
    return functional.unfold(padded, SIDE)[0].T.contiguous()


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
    said = chosen.unflatten(1, (-1, SIDE * SIDE)) * shares[:, None]
    columns = torch.zeros(said.shape[1] + 1, SIDE * SIDE, height * width)
    columns[:-1, :, places] = said.permute(1, 2, 0)
    columns[-1, :, places] = shares.T
    padded = (height + 2 * REACH, width + 2 * REACH)
    sums = functional.fold(columns.flatten(0, 1)[None], padded, SIDE)[
        0, :, REACH:-REACH, REACH:-REACH
    ]
    return sums[:-1] / sums[-1:].clamp(min=1e-12)
