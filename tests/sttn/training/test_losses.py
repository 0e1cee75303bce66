"""The paper's objective against small cases worked out by hand."""

import pytest
import torch

from sttn.training.losses import (
    adversarial_loss,
    discriminator_loss,
    hole_loss,
    laid_over,
    valid_loss,
)


def test_losses_are_equations_6_and_7():
    """Each is the mean error of its own region, however large the region is."""
    truth = torch.zeros(1, 2, 3, 4, 4)
    mask = torch.zeros(1, 2, 1, 4, 4)
    mask[:, :, :, 0, :2] = 1
    completed = torch.where(mask > 0, 0.5, 0.25).expand_as(truth)

    assert hole_loss(completed, truth, mask).item() == pytest.approx(0.5)
    assert valid_loss(completed, truth, mask).item() == pytest.approx(0.25)
    assert hole_loss(completed, truth, torch.zeros_like(mask)).item() == 0


def test_every_clip_of_a_batch_counts_the_same():
    """A clip with a small hole is not drowned by one with a large hole."""
    truth, mask = torch.zeros(2, 1, 3, 4, 4), torch.zeros(2, 1, 1, 4, 4)
    mask[0, ..., :1, :1] = 1
    mask[1] = 1
    completed = torch.stack([torch.full((1, 3, 4, 4), 1.0), torch.full((1, 3, 4, 4), 0.5)])

    assert hole_loss(completed, truth, mask).item() == pytest.approx(0.75)


def test_adversarial_losses_are_equations_8_and_9():
    """Hinge: scores beyond the margin cost nothing."""
    real, fake = torch.tensor([2.0, 0.0, -1.0]), torch.tensor([-2.0, 0.0, 1.0])

    assert discriminator_loss(real, fake).item() == pytest.approx((0 + 1 + 2) / 3 + (0 + 1 + 2) / 3)
    assert adversarial_loss(fake).item() == pytest.approx(1 / 3)


def test_the_discriminator_sees_true_pixels_outside_the_hole():
    """It learns to judge the fill, not the reproduction of what is known."""
    truth, completed = torch.zeros(1, 1, 3, 2, 2), torch.ones(1, 1, 3, 2, 2)
    mask = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).expand(1, 1, 1, 2, 2)

    assert laid_over(completed, truth, mask).sum().item() == 3
