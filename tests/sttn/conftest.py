"""Clips whose hidden background other frames show."""

import cv2
import numpy as np
import pytest


@pytest.fixture(scope="session")
def panned() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames (T, 96, 144, 3) uint8 with a standing hole, masks, and the truth: a camera pans."""
    rng = np.random.default_rng(3)
    wall = cv2.GaussianBlur(rng.uniform(0, 255, (140, 400, 3)).astype(np.float32), (0, 0), 1.5)
    wall = ((wall - wall.mean()) * 3 + 128).clip(0, 255)
    truth = []
    for index in range(24):
        move = np.array([[1, 0, 5.3 * index + 2], [0, 1, 0.4 * index + 3]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        truth.append(cv2.warpAffine(wall, move, (144, 96), flags=flags))
    frames = np.stack(truth).round().astype(np.uint8)
    masks = np.zeros(frames.shape[:3], np.bool_)
    masks[:, 30:66, 60:90] = True
    return np.where(masks[..., None], np.uint8(0), frames), masks, frames
