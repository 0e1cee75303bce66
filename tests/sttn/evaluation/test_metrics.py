"""Figures checked by hand."""

import numpy as np
import pytest

from sttn.evaluation.metrics import hole_psnr


def test_hole_psnr_looks_at_the_hole_only():
    """An error of 25.5 everywhere in the hole is 20 dB, whatever lies outside."""
    truth = np.zeros((2, 4, 4, 3))
    masks = np.zeros((2, 4, 4), np.bool_)
    masks[:, 1:3, 1:3] = True
    completed = np.where(masks[..., None], 25.5, 200.0)

    assert hole_psnr(completed, truth, masks) == pytest.approx(20.0)
    masks[1] = False  # a frame without a hole does not count
    assert hole_psnr(completed, truth, masks) == pytest.approx(20.0)
    assert hole_psnr(truth, truth, masks) == float("inf")


def test_hole_psnr_is_a_mean_over_frames():
    """As the field reports it: 20 dB and 40 dB make 30 dB."""
    truth = np.zeros((2, 2, 2, 3))
    completed = np.stack([np.full((2, 2, 3), 25.5), np.full((2, 2, 3), 2.55)])

    assert hole_psnr(completed, truth, np.ones((2, 2, 2), np.bool_)) == pytest.approx(30.0)
