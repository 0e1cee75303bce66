"""Fills fetched forty frames away rely on homographies that err by hundredths of a pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sttn.propagation.camera import camera_motion, homography_flow

HEIGHT, WIDTH = 60, 96


def _camera(rng: np.random.Generator) -> NDArray[np.float64]:
    turn, zoom = rng.normal(0, 0.02), 1 + rng.normal(0, 0.02)
    across, down = rng.normal(0, 4, 2)
    tilt = rng.normal(0, 2e-5, 2)
    return np.array(
        [
            [zoom * np.cos(turn), -zoom * np.sin(turn), across],
            [zoom * np.sin(turn), zoom * np.cos(turn), down],
            [*tilt, 1],
        ]
    )


def _missed(flow: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Pixels by which the camera's motion is missed, on average."""
    camera = camera_motion(flow, np.ones((HEIGHT, WIDTH), np.bool_))
    return float(np.abs(homography_flow(camera, HEIGHT, WIDTH) - truth).mean())


@pytest.mark.parametrize(
    ("noise", "moves", "share", "at_most"),
    [
        pytest.param(0.5, (0, 0), 0, 0.05, id="noise averages out"),
        pytest.param(0.1, (6, 2), 1 / 3, 0.02, id="someone passes"),
        pytest.param(0.05, (0.8, 0), 0.15, 0.05, id="someone sways"),
    ],
)
@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_the_camera_is_told_to_hundredths_of_a_pixel(
    noise: float, moves: tuple[float, float], share: float, at_most: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = homography_flow(_camera(rng), HEIGHT, WIDTH)
    flow = truth + rng.normal(0, noise, truth.shape).astype(np.float32)
    flow[:, : int(share * WIDTH)] += moves
    assert _missed(flow, truth) < at_most


@pytest.mark.parametrize("known", [0, 5])
def test_too_few_pixels_tell_of_no_motion(known: int) -> None:
    flow, where = np.full((HEIGHT, WIDTH, 2), 3, np.float32), np.zeros((HEIGHT, WIDTH), np.bool_)
    where[0, :known] = True
    assert np.array_equal(camera_motion(flow, where), np.eye(3))


def test_pixels_in_one_row_give_an_invertible_camera() -> None:
    flow, where = np.full((HEIGHT, WIDTH, 2), 3, np.float32), np.zeros((HEIGHT, WIDTH), np.bool_)
    where[10] = True
    camera = camera_motion(flow, where)
    assert np.isfinite(camera).all()
    assert abs(np.linalg.det(camera)) > 0.01
