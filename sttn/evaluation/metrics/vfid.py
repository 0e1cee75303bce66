"""How alike two sets of videos are to a network that knows actions: VFID (Wang et al., 2018)."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sttn.evaluation.metrics.i3d import I3d
from sttn.footage import Image

FEWEST_FRAMES, FEWEST_PIXELS = 8, 32
"""What I3D can look at; shorter or smaller clips repeat their last frame, or their border."""


class VideoFeatures:
    """I3D on weights given by path."""

    def __init__(self, path: Path) -> None:
        self._network = I3d(path)

    def __call__(self, clip: Image, masks: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """One vector (1024,) of a clip (T, H, W, 3) uint8; with masks, of the hole's rectangle."""
        if masks is not None:
            hole = masks.any(axis=0)
            rows, columns = np.nonzero(hole)
            clip = clip[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        least = (FEWEST_FRAMES, FEWEST_PIXELS, FEWEST_PIXELS)
        extra = [(0, max(0, want - size)) for want, size in zip(least, clip.shape, strict=False)]
        padded = np.pad(clip, [*extra, (0, 0)], mode="edge")
        tensor = torch.from_numpy(padded).permute(3, 0, 1, 2)[None].float() / 255
        return np.asarray(self._network(tensor)[0].numpy(), np.float32)


def frechet_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Distance of the normal distributions of two sets of vectors, Fréchet's.

    Args:
        first: (N, D), N at least 2.
        second: (M, D), likewise.
    """
    means = first.mean(0, dtype=np.float64) - second.mean(0, dtype=np.float64)
    centered = [
        (some - some.mean(0, dtype=np.float64)) / np.sqrt(len(some) - 1)
        for some in (first.astype(np.float64), second.astype(np.float64))
    ]
    # tr sqrt(A'A B'B) is the sum of the singular values of A B': no root of a D x D matrix,
    # which for fewer vectors than dimensions is singular.
    shared = np.linalg.svd(centered[0] @ centered[1].T, compute_uv=False).sum()
    spread = sum(np.square(some).sum() for some in centered)
    return float(means @ means + spread - 2 * shared)
