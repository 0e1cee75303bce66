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
    assert hole_psnr(truth, truth, masks) == float("inf")
