"""Scene-linear frames as a network sees those of plates: encoded, divided by the shot's peak."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sttn.encoding import encoded, peak
from sttn.footage import Image, reduced, require_one_size
from sttn.scene_linear import read_scene_linear

Codes = NDArray[np.float16]
"""(T, H, W, 3), encoded and divided by the shot's peak, in [0, 1]."""


def read_codes(path: Path) -> NDArray[np.float32]:
    """Read a scene-linear image in the working encoding, (H, W, 3), not divided by any peak.

    Raises:
        FootageError: as :func:`read_scene_linear`.
    """
    return encoded(torch.from_numpy(read_scene_linear(path))).numpy()


def white_of(frames: Iterable[NDArray[np.float16]]) -> float:
    """A shot's peak: the greatest of what surrounds the hole in each of its frames.

    Args:
        frames: Encoded values of any shape.
    """
    return max(peak(torch.from_numpy(frame)) for frame in frames)


def read_plates(paths: Sequence[Path], short_side: int) -> Image:
    """Read scene-linear frames of one shot as :func:`sttn.footage.read_movie` gives a movie.

    Raises:
        FootageError: one cannot be read.
        SizesDifferError: they differ in size.
    """
    frames = [reduced(read_codes(path), short_side).astype(np.float16) for path in paths]
    require_one_size(paths[0].parent, frames)
    white = white_of(frames)
    shown = [(np.clip(frame / white, 0, 1) * 255).round().astype(np.uint8) for frame in frames]
    return np.stack(shown)
