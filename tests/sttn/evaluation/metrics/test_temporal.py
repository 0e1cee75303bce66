"""Steadiness, on motion that is known because it was made."""

import numpy as np
import pytest

from sttn.evaluation.flow import matched
from sttn.evaluation.metrics.temporal import Motion, flicker, motions, warping_error
from sttn.propagation.flow import DisFlow, warped
from tests.sttn.evaluation.conftest import panned

EVERYWHERE = np.ones((96, 144), np.bool_)


def pan(step: int) -> Motion:
    flow = np.zeros((96, 144, 2), np.float32)
    flow[..., 0] = -step
    return Motion(flow=flow, seen=matched(flow, -flow))


def test_what_moves_as_the_flow_says_has_no_error():
    """A pan by whole pixels; what leaves the frame does not count."""
    first, second = panned(2, step=4)

    error = warping_error(first, second, pan(4), EVERYWHERE)

    assert error == pytest.approx((0, 0), abs=1e-9)


def test_a_pop_in_the_hole_is_measured_there():
    """51 of 255 is 0.2, squared and in %: 4."""
    first, second = panned(2, step=0)
    mask = np.zeros((96, 144), np.bool_)
    mask[:48] = True
    first = (first // 2).astype(np.uint8)
    second = np.where(mask[..., None], first + 51, first).astype(np.uint8)

    error = warping_error(first, second, pan(0), mask)

    assert error.hole == pytest.approx(4, rel=1e-5)
    assert error.whole == pytest.approx(2, rel=1e-5)


def test_what_the_next_frame_does_not_show_is_not_compared():
    """A hole that the camera leaves behind says nothing."""
    first, second = panned(2, step=4)
    leaving = np.zeros((96, 144), np.bool_)
    leaving[:, :3] = True

    assert np.isnan(warping_error(first, second, pan(4), leaving).hole)


def test_dis_finds_a_pan():
    """The default flow sees what moved, and where it can be trusted."""
    (motion,) = motions(panned(2, step=4), DisFlow())

    inner = motion.flow[20:-20, 30:-30]
    assert np.abs(inner - (-4, 0)).max() < 0.5
    assert motion.seen[20:-20, 30:-30].all()


def test_warping_follows_the_flow():
    """Each pixel finds what lies where its flow points."""
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    flow = np.zeros((3, 4, 2), np.float32)
    flow[..., 0] = 1

    assert warped(image, flow)[:, :3] == pytest.approx(image[:, 1:])


def test_a_steady_error_does_not_flicker():
    """Wrong but still: 0. What matters is the change of the error."""
    truth = panned(2)
    completed = np.clip(truth.astype(int) + 30, 0, 255).astype(np.uint8)
    truth = (completed - 30).astype(np.uint8)

    assert flicker(completed, truth, np.stack([EVERYWHERE] * 2)) == 0


def test_a_pulse_flickers_by_its_height():
    """A fill that is right, then 12 steps too bright; outside the hole nothing counts."""
    truth = np.full((2, 96, 144, 3), 100, np.uint8)
    masks = np.zeros((2, 96, 144), np.bool_)
    masks[0, 10:50, 10:50] = True
    masks[1, 30:70, 10:50] = True
    completed = truth.copy()
    completed[1] = 112
    completed[1, :30] = 250

    assert flicker(completed, truth, masks) == 12


def test_holes_that_do_not_meet_have_no_flicker():
    """No pixel was filled twice."""
    masks = np.zeros((2, 96, 144), np.bool_)
    masks[0, :10], masks[1, 50:] = True, True

    assert np.isnan(flicker(panned(2), panned(2), masks))
