"""Reconstruction losses of the paper, Eq. (6) and (7)."""

from torch import Tensor


def hole_loss(completed: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Eq. (6): mean absolute error over the hole.

    Args:
        completed: (B, T, 3, H, W) in [-1, 1].
        truth: The same shape and range.
        mask: (B, T, 1, H, W), 1 inside the hole.

    Returns:
        Scalar, 0 where there is no hole.
    """
    return _masked_l1(completed, truth, mask)


def valid_loss(completed: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """Eq. (7): mean absolute error outside the hole; shapes as in :func:`hole_loss`."""
    return _masked_l1(completed, truth, 1 - mask)


def _masked_l1(completed: Tensor, truth: Tensor, region: Tensor) -> Tensor:
    error = ((completed - truth).abs() * region).sum()
    # The mask has one channel and the frames three.
    return error / (region.sum() * completed.shape[2]).clamp(min=1)
