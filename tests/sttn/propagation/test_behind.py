"""How holes move: what compositors notice first, a wall that slides behind a removed object."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sttn.propagation.behind import moved_behind, plane_behind
from sttn.propagation.camera import homography_flow
from sttn.propagation.closing import CAUTION, grown

SIZE = (120, 160)


def hole_in_the_middle() -> np.ndarray:
    hole = np.zeros(SIZE, np.bool_)
    hole[40:80, 60:100] = True
    return hole


def completed(flow: np.ndarray, hole: np.ndarray) -> np.ndarray:
    known = ~grown(hole, CAUTION)
    return moved_behind(flow, known, plane_behind(flow, known, hole))


def test_who_walks_past_a_hole_does_not_drag_the_wall_along():
    """A person beside the hole moves by 9 pixels, the wall behind it by 3."""
    hole = hole_in_the_middle()
    flow = np.full((*SIZE, 2), (3, 0), np.float32)
    flow[30:90, 20:49] = (12, 1)  # up to where the flow is trusted

    inside = completed(flow, hole)[hole]

    np.testing.assert_allclose(inside, np.full_like(inside, (3, 0)), atol=0.05)


def test_what_is_far_away_says_nothing_of_the_wall_behind():
    """Most of the frame is sky that stands still; around the hole is a wall that moves."""
    hole = np.zeros(SIZE, np.bool_)
    hole[90:110, 20:40] = True
    flow = np.zeros((*SIZE, 2), np.float32)
    flow[60:, :90] = (-4, 0.5)

    plane = plane_behind(flow, ~grown(hole, CAUTION), hole)

    np.testing.assert_allclose(homography_flow(plane, *SIZE)[hole], [[-4, 0.5]] * 400, atol=0.05)


def test_a_wall_that_is_not_quite_flat_bends_inside_the_hole():
    """Depth around a hole goes on into it, smoothly."""
    hole = hole_in_the_middle()
    rows, columns = np.indices(SIZE, np.float32)
    flow = np.stack([4 + np.sin(columns / 40), 0 * rows], axis=-1)

    bent = completed(flow, hole)

    apart = np.abs(bent - flow)[hole].max()
    known = ~grown(hole, CAUTION)
    flat = homography_flow(plane_behind(flow, known, hole), *SIZE)
    assert apart < 0.6 * np.abs(flat - flow)[hole].max()


@given(st.integers(0, 2**16), st.sampled_from(["none", "some", "all", "all but a little"]))
@settings(max_examples=20, deadline=None)
def test_known_motion_stays_whatever_the_hole(seed, kind):
    """Nothing known is touched, and what comes out is finite."""
    rng = np.random.default_rng(seed)
    hole = np.full(SIZE, kind.startswith("all"))
    if kind == "some":
        hole[rng.integers(100) :, rng.integers(140) :] = True
    if kind == "all but a little":
        hole[:30, :12] = False
    flow = rng.normal(0, 5, (*SIZE, 2)).astype(np.float32)
    known = ~grown(hole, CAUTION)

    result = completed(flow, hole)

    np.testing.assert_array_equal(result[known], flow[known])
    assert np.isfinite(result).all()
    assert result.shape == flow.shape


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_hole_over_most_of_a_frame_has_the_whole_frame_to_ask(share):
    """A ring of a few pixels fits nothing."""
    hole = np.zeros(SIZE, np.bool_)
    hole[: int(SIZE[0] * share)] = True
    flow = np.full((*SIZE, 2), (2, -1), np.float32)

    np.testing.assert_allclose(completed(flow, hole), flow, atol=1e-3)
