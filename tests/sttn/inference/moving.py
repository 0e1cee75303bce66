"""Made frames over which a camera pans."""

import cv2
import numpy as np

SIZE = 96, 144


def panned(seed: int, count: int, by: int = 3) -> np.ndarray:
    """(T, 96, 144, 3) uint8, a camera that pans over a picture."""
    rng = np.random.default_rng(seed)
    wide = rng.normal(size=(SIZE[0], SIZE[1] + by * count, 3)).astype(np.float32)
    wide = sum(cv2.GaussianBlur(wide, (0, 0), sigma) * sigma for sigma in (2.0, 6.0, 20.0))
    wide = (128 + 40 * (wide - wide.mean()) / wide.std()).clip(0, 255).astype(np.uint8)
    return np.stack([wide[:, by * i : by * i + SIZE[1]] for i in range(count)])


def with_hole(frames: np.ndarray) -> np.ndarray:
    """Masks with a hole in the middle of every frame."""
    masks = np.zeros(frames.shape[:3], np.bool_)
    masks[:, 30:60, 50:90] = True
    return masks
