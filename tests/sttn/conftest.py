"""Clips whose hidden background other frames show, and a VGG-16."""

import cv2
import numpy as np
import pytest
import torch


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


@pytest.fixture(scope="session")
def vgg(tmp_path_factory):
    """A file with the names and shapes of torchvision's VGG-16, and more than is wanted."""
    shapes = {0: (64, 3), 2: (64, 64), 5: (128, 64), 7: (128, 128)}
    shapes |= {10: (256, 128), 12: (256, 256), 14: (256, 256)}
    tensors = {"classifier.0.weight": torch.zeros(3)}
    generator = torch.Generator().manual_seed(0)
    for place, shape in shapes.items():
        tensors[f"features.{place}.weight"] = torch.randn(*shape, 3, 3, generator=generator) / 40
        tensors[f"features.{place}.bias"] = torch.zeros(shape[0])
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.save(tensors, path)
    return path
