"""Outlines of what stands in a scene: bushes, trees, posts, fences."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.training.masks import blob

Shape = NDArray[np.uint8]
"""(h, w), 255 inside, with a soft edge; the last rows stand on the ground."""


def cutout(height: int, width: int, rng: np.random.Generator) -> Shape:
    """Draw an outline that fills a box and has a soft edge.

    Args:
        height: Rows of the box.
        width: Columns of the box.
        rng: Source of the outline.
    """
    draw = rng.choice(np.array([_heap, _bush, _tree, _post, _fence]), p=[0.3, 0.25, 0.2, 0.15, 0.1])
    shape = draw(height, width, rng)
    shape[:2] = shape[:, :2] = shape[:, -2:] = 0  # a soft edge wants room
    return np.asarray(cv2.GaussianBlur(shape, (0, 0), rng.uniform(0.4, 1.0)), np.uint8)


def _heap(height: int, width: int, rng: np.random.Generator) -> Shape:
    """A few blobs, the widest at the bottom."""
    shape = blob(height, width, rng)
    for _ in range(int(rng.integers(0, 3))):
        tall, wide = (max(2, int(n * rng.uniform(0.3, 0.7))) for n in (height, width))
        left = int(rng.integers(width - wide + 1))
        under = shape[height - tall :, left : left + wide]
        np.maximum(under, blob(tall, wide, rng), out=under)
    return shape


def _bush(height: int, width: int, rng: np.random.Generator) -> Shape:
    """A heap with gaps, as leaves have them."""
    grain = max(5, int(min(height, width) * rng.uniform(0.03, 0.12)))
    coarse = rng.random((height // grain + 2, width // grain + 2)).astype(np.float32)
    leaves = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.where(leaves > rng.uniform(0.25, 0.5), _heap(height, width, rng), 0).astype(np.uint8)


def _tree(height: int, width: int, rng: np.random.Generator) -> Shape:
    """A crown on a trunk."""
    shape = np.zeros((height, width), np.uint8)
    crown = max(2, int(height * rng.uniform(0.4, 0.8)))
    shape[:crown] = (_bush if rng.random() < 0.5 else _heap)(crown, width, rng)
    half = max(2, int(width * rng.uniform(0.02, 0.1)))
    shape[crown // 2 :, width // 2 - half : width // 2 + half] = 255
    return shape


def _post(height: int, width: int, rng: np.random.Generator) -> Shape:
    """A pillar, from a lamp post to a house."""
    shape = np.zeros((height, width), np.uint8)
    half = max(3, int(width * rng.uniform(0.03, 0.5)))
    shape[:, max(0, width // 2 - half) : width // 2 + half] = 255
    return shape


def _fence(height: int, width: int, rng: np.random.Generator) -> Shape:
    """Bars that much shows between."""
    bar = max(4, int(width * rng.uniform(0.02, 0.08)))
    columns = np.arange(width) % int(bar * rng.uniform(2.5, 6)) < bar
    rows = np.arange(height) % max(4, int(height * rng.uniform(0.3, 0.8))) < bar
    return (np.maximum(columns[np.newaxis], rows[:, np.newaxis]) * np.uint8(255)).astype(np.uint8)
