"""What the network has to beat must be strong, and must never look under a mask."""

import numpy as np
import pytest

from sttn.evaluation.baselines import BASELINES
from sttn.evaluation.baselines.traces import follow
from sttn.evaluation.metrics.fidelity import hole_psnr
from sttn.propagation.closing import closed, grown
from tests.sttn.evaluation.conftest import panned


@pytest.fixture(scope="module")
def pan():
    """A pan with a stationary hole: what it hides shows in other frames."""
    truth = panned(10, step=6)
    masks = np.zeros(truth.shape[:3], np.bool_)
    masks[:, 30:60, 60:90] = True
    return np.where(masks[..., None], np.uint8(0), truth), masks, truth


@pytest.mark.parametrize("name", BASELINES)
def test_only_holes_are_filled(pan, name):
    """Every pixel that was known stays as it was, and every hole is filled."""
    frames, masks, _ = pan

    filled = BASELINES[name](frames, masks)

    np.testing.assert_array_equal(filled[~masks], frames[~masks])
    assert (filled[masks] != 0).mean() > 0.99


@pytest.mark.parametrize("name", BASELINES)
def test_what_lies_under_the_mask_does_not_matter(pan, name):
    """Truth under a mask must not leak into a figure."""
    frames, masks, truth = pan

    from_black, from_truth = (BASELINES[name](given, masks) for given in (frames, truth))

    np.testing.assert_array_equal(from_black, from_truth)


@pytest.mark.parametrize("name", ["nearest-visible", "propagation"])
def test_what_other_frames_show_is_fetched(pan, name):
    """Filling in space cannot know; other frames do."""
    frames, masks, truth = pan

    fetched, in_space = (
        hole_psnr(BASELINES[method](frames, masks), truth, masks) for method in (name, "telea")
    )

    assert fetched > in_space + 6


def test_propagation_trusts_itself_where_it_should():
    """Other frames show something else: it must not be worse than filling in space by much."""
    truth = np.stack([panned(1, seed=seed)[0] for seed in range(5)])
    masks = np.zeros(truth.shape[:3], np.bool_)
    masks[:, 40:60, 50:70] = True

    figures = {
        name: hole_psnr(BASELINES[name](truth, masks), truth, masks)
        for name in ("propagation", "telea")
    }

    assert figures["propagation"] > figures["telea"] - 0.5


def test_a_single_frame_and_an_empty_hole_are_no_trouble():
    """Clips of one frame have no flow; frames without a hole are handed back."""
    truth = panned(3)
    masks = np.zeros(truth.shape[:3], np.bool_)
    masks[1, 40:50, 40:50] = True

    for name, baseline in BASELINES.items():
        np.testing.assert_array_equal(baseline(truth, masks)[0], truth[0], err_msg=name)
        assert baseline(truth[1:2], masks[1:2]).shape == (1, 96, 144, 3)


def test_a_membrane_is_flat_where_its_rim_is():
    """A linear ramp is continued as a ramp, a constant as a constant."""
    ramp = np.repeat(np.arange(48, dtype=np.float32)[None], 32, axis=0)[..., None]
    known = np.ones((32, 48), np.bool_)
    known[10:20, 15:30] = False

    continued = closed(np.where(known[..., None], ramp, 999), known)
    constant = closed(np.where(known[..., None], 7, 0).astype(np.float32), known)

    assert np.abs(continued - ramp).max() < 2.5
    assert constant == pytest.approx(np.full_like(constant, 7))
    assert closed(ramp, np.zeros_like(known)).max() == 0


def test_growing_reaches_as_far_as_it_says():
    """A disc around every pixel."""
    mask = np.zeros((9, 9), np.bool_)
    mask[4, 4] = True

    assert grown(mask, 2)[4].tolist() == [False] * 2 + [True] * 5 + [False] * 2


def test_places_are_followed_through_holes_and_sampled_once():
    """A hole of 12 pixels, a pan of 4: what is hidden for three frames is found in the fourth."""
    count, height, width = 6, 8, 64
    hidden = np.zeros((count, height, width), np.bool_)
    hidden[:, :, 20:32] = True
    left, right = (np.zeros((height, width, 2), np.float32) for _ in range(2))
    left[..., 0], right[..., 0] = -4.5, 4.5
    pairs = count - 1

    traces = follow(hidden, ~hidden, [left] * pairs, [right] * pairs, step=1)

    assert traces.frames[0, 4, 21] == 1
    assert traces.places[0, 4, 21] == pytest.approx((16.5, 4))
    assert traces.frames[0, 4, 31] == 3
    assert traces.places[0, 4, 31, 0] == pytest.approx(31 - 3 * 4.5)
    assert (traces.frames[-1] == -1).all()
