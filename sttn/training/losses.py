"""The objective of the paper, Eq. (6) to (10).

Clips are (B, T, 3, H, W) in [-1, 1], masks (B, T, 1, H, W) with 1 inside the hole. The paper
states Eq. (6) and (7) for one clip; a batch is the mean over its clips, so that it does not
matter how clips are spread over batches, rounds and processes.
"""

import torch
from torch import Tensor
from torch.nn import functional


def hole_loss(completed: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Eq. (6): mean absolute error over the hole, a scalar; 0 where there is no hole."""
    return region_loss(completed, truth, mask)


def valid_loss(completed: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Eq. (7): mean absolute error outside the hole."""
    return region_loss(completed, truth, 1 - mask)


def discriminator_loss(real: Tensor, completed: Tensor) -> Tensor:
    """Eq. (8): hinge; the discriminator shall score real clips above 1 and completed below -1.

    Args:
        real: Scores of real clips, of any shape.
        completed: Scores of completed clips.

    >>> discriminator_loss(torch.tensor([0.5, 2.0]), torch.tensor([-3.0, 0.0])).item()
    0.75
    """
    return functional.relu(1 - real).mean() + functional.relu(1 + completed).mean()


def adversarial_loss(completed: Tensor) -> Tensor:
    """Eq. (9): the generator shall be scored as if it were real."""
    return -completed.mean()


def region_loss(completed: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    """Mean absolute error over a region, (B, T, 1, H, W) with 1 inside it."""
    every = (1, 2, 3, 4)
    error = ((completed - truth).abs() * region).sum(every)
    # The mask has one channel and the frames three.
    return (error / (region.sum(every) * completed.shape[2]).clamp(min=1)).mean()


def laid_over(completed: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """What the discriminator sees: completed pixels inside the hole, true ones outside."""
    return torch.where(mask > 0, completed, truth)
