"""A wall that is fetched from forty frames away must not have slid by then."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from sttn.propagation.camera import homography_flow
from sttn.propagation.flow import DisFlow
from sttn.propagation.shown import Shown
from sttn.propagation.strides import stridden

SIZE = (160, 200)


def wall(seed: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).random((*SIZE, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
    return np.asarray(cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX), np.uint8)


def shown(image: NDArray[np.uint8], left: int) -> Shown:
    """A frame with a hole that holds what is removed."""
    hole = np.zeros(SIZE, np.bool_)
    hole[60:100, left : left + 40] = True
    return Shown(image=np.where(hole[..., None], np.uint8(0), image), hole=hole, unknown=hole)


def moved(across: float, down: float, turn: float = 0.0) -> NDArray[np.float64]:
    return np.array([[1, -turn, across], [turn, 1, down], [0, 0, 1]])


def apart(one: NDArray[np.float64], other: NDArray[np.float64], hole: NDArray[np.bool_]) -> float:
    """Pixels between where two homographies take a hole."""
    return float(np.abs(homography_flow(one, *SIZE) - homography_flow(other, *SIZE))[hole].max())


def test_what_steps_add_up_to_is_put_right():
    truth = moved(14, -3, 0.02)
    image = wall(0)
    start, end = (
        shown(image, left=70),
        shown(cv2.warpPerspective(image, truth, SIZE[::-1], borderMode=cv2.BORDER_REFLECT), 100),
    )
    walked = moved(12, -1, 0.02)

    found = stridden(start, end, walked, DisFlow(finest=0, rounds=10))

    assert apart(walked, truth, start.hole) > 1.5
    assert apart(found, truth, start.hole) < 0.15


@pytest.mark.parametrize("flash", [0, 128, 255])
def test_a_flash_is_matched_with_nothing(flash):
    start, end = shown(wall(0), 70), shown(np.full((*SIZE, 3), flash, np.uint8), 100)
    walked = moved(12, 2)
    assert np.array_equal(stridden(start, end, walked, DisFlow(finest=0, rounds=10)), walked)


def test_a_frame_without_a_hole_needs_no_match():
    nothing = np.zeros(SIZE, np.bool_)
    start = Shown(image=wall(0), hole=nothing, unknown=nothing)
    walked = moved(12, 2)
    assert np.array_equal(stridden(start, start, walked, DisFlow()), walked)
