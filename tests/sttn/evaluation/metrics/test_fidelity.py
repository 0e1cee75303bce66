"""Figures checked by hand and against scikit-image."""

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from sttn.evaluation.metrics.fidelity import (
    PSNR_LIMIT,
    hole_psnr,
    psnr,
    ssim_standard,
    ssim_wide,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 256, (90, 110, 3), dtype=np.uint8)
    completed = np.clip(truth + rng.normal(0, 20, truth.shape), 0, 255).astype(np.uint8)
    mask = np.zeros((90, 110), np.bool_)
    mask[20:50, 60:110] = True
    return completed, truth, mask


def test_psnr_looks_at_the_hole_alone():
    """An error of 51 in a quarter of the frame: 14 dB there, 20 dB over all."""
    truth = np.zeros((4, 4, 3), np.uint8)
    mask = np.zeros((4, 4), np.bool_)
    mask[:2, :2] = True
    completed = np.where(mask[..., None], np.uint8(51), truth)

    figure = psnr(completed, truth, mask)

    assert figure.hole == pytest.approx(20 * np.log10(5))
    assert figure.whole == pytest.approx(20 * np.log10(5) + 10 * np.log10(4))


def test_what_agrees_exactly_has_a_finite_figure():
    """One frame that is right must not make a mean infinite."""
    frame = np.full((2, 2, 3), 7, np.uint8)

    assert psnr(frame, frame, np.ones((2, 2), np.bool_)) == (PSNR_LIMIT, PSNR_LIMIT)


def test_hole_psnr_is_a_mean_over_frames_with_a_hole():
    """As the field reports it: a mean of decibels, not of errors."""
    truth = np.zeros((3, 2, 2, 3), np.uint8)
    completed = np.stack([np.full((2, 2, 3), value, np.uint8) for value in (51, 5, 200)])
    masks = np.ones((3, 2, 2), np.bool_)
    masks[2] = False

    figure = hole_psnr(completed, truth, masks)

    assert figure == pytest.approx((20 * np.log10(5) + 20 * np.log10(51)) / 2)


def test_psnr_is_scikit_images(pair):
    """Over whole frames."""
    completed, truth, mask = pair

    assert psnr(completed, truth, mask).whole == pytest.approx(
        peak_signal_noise_ratio(truth, completed, data_range=255)
    )


WIDE = {"win_size": 65}
STANDARD = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


@pytest.mark.parametrize(("metric", "settings"), [(ssim_wide, WIDE), (ssim_standard, STANDARD)])
def test_ssim_is_scikit_images(pair, metric, settings):
    """The published tables' window and the standard one; the map inside the hole too."""
    completed, truth, mask = pair
    expected, map_ = structural_similarity(
        truth, completed, data_range=255, channel_axis=-1, full=True, **settings
    )

    figure = metric(completed, truth, mask)

    assert figure.whole == pytest.approx(expected, abs=1e-9)
    assert figure.hole == pytest.approx(map_[mask].mean(), abs=1e-9)


def test_ssim_of_equals_is_one(pair):
    """And a hole that agrees is 1 only where its window sees nothing else."""
    _, truth, mask = pair

    assert ssim_wide(truth, truth, mask) == pytest.approx((1, 1))
    assert ssim_standard(truth, truth, mask) == pytest.approx((1, 1))
