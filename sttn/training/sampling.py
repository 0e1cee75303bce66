"""Parts of a raster, and pictures looked up from them: what all rendering of clips shares."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Raster:
    """Part of a clip's frames, in pixels."""

    left: int
    top: int
    width: int
    height: int
    device: torch.device

    def through(self, maps: Tensor) -> Tensor:
        """Take every pixel (x, y, 1) through (T, N, 3) maps: (N, T, height, width)."""
        x = torch.arange(self.left, self.left + self.width, device=self.device)
        y = torch.arange(self.top, self.top + self.height, device=self.device)
        across, down, constant = maps.to(self.device).permute(2, 1, 0)[..., None, None]
        found: Tensor = across * x + (down * y[:, None] + constant)
        return found

    def of(self, frames: Tensor) -> Tensor:
        """What (..., H, W) has here, to read and to write."""
        rows = slice(self.top, self.top + self.height)
        return frames[..., rows, self.left : self.left + self.width]


def sampled(image: Tensor, across: Tensor, down: Tensor, padding: str) -> Tensor:
    """Look a picture up, bilinear.

    Args:
        image: (1, C, h, w).
        across: (..., H, W) distances from its left edge in pixels; 0.5 is the first pixel's middle.
        down: The same from its upper edge.
        padding: What lies outside, as ``grid_sample`` calls it.

    Returns:
        (..., C, H, W).
    """
    height, width = image.shape[-2:]
    grid = torch.stack([across * (2 / width) - 1, down * (2 / height) - 1], dim=-1)
    # One tall grid, so that the image need not be repeated for every frame.
    found = functional.grid_sample(
        image, grid.flatten(0, -3)[None], padding_mode=padding, align_corners=False
    )
    frames: Tensor = found[0].unflatten(1, across.shape[:-1]).movedim(0, -3)
    return frames
