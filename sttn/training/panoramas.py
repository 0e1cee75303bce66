"""Scene-linear panoramas: read for a corpus, and looked around in by a camera that only turns."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError
from sttn.scene_linear import LARGEST_HALF, read_scene_linear
from sttn.training.perspective import Float, PerspectivePath, hand_sway, random_pace

MIDDLE_GRAY = 0.18
"""What the middle value of a panorama is exposed to, whatever unit its file has."""

Panorama = NDArray[np.float16]
"""(H, 2 H, 3) RGB, scene-linear; the middle looks along z, the left edge behind."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """What a turning camera sees of a panorama."""

    panorama: int
    """Index into the corpus."""
    rays: NDArray[np.float32]
    """(T, 3, 3), as :meth:`PerspectivePath.rays`."""
    exposure: float
    """Factor of the panorama's scene-linear values."""


def random_outlook(
    count: int, times: Float, raster: tuple[int, int], rng: np.random.Generator
) -> Outlook:
    """Draw a panorama, a camera that turns in it, and an exposure from -2 to +3 stops.

    Args:
        count: Panoramas of the corpus.
        times: (T,) positions of the frames on the clip's timeline.
        raster: Width and height of the frames.
        rng: Source of everything.
    """
    focal = raster[0] * rng.uniform(0.45, 0.9)  # wide, since few panoramas are large
    pace = random_pace(raster, focal, rng)
    path = PerspectivePath(
        focal=focal,
        velocity=np.zeros(3),
        angles=np.array([rng.uniform(0, 2 * np.pi), rng.normal(0, 0.25), rng.normal(0, 0.02)]),
        turning=pace * np.array([rng.choice([-1, 1]), rng.normal(0, 0.1), rng.normal(0, 0.02)]),
        sway=hand_sway(raster[0] / 432 / focal, rng),
    )
    return Outlook(
        panorama=int(rng.integers(count)),
        rays=path.rays(times - times.mean(), raster).astype(np.float32),
        exposure=float(2 ** rng.uniform(-2, 3)),
    )


def read_panorama(path: Path, height: int) -> Panorama:
    """Read an equirectangular .hdr or .exr, shrunk to a height and exposed to middle gray.

    Raises:
        FootageError: it cannot be read, is no panorama, or is black.
    """
    pixels = read_scene_linear(path)
    rows, columns = pixels.shape[:2]
    if columns != 2 * rows:
        raise FootageError(f"{path} is {columns}x{rows}; a panorama is twice as wide as high")
    if rows > height:
        size = (2 * height, height)
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.float32)
    middle = float(np.median(pixels.mean(axis=-1)))
    if middle <= 0:
        raise FootageError(f"{path} is black, or half of it is")
    exposed = np.clip(pixels * (MIDDLE_GRAY / middle), 0, LARGEST_HALF)
    return np.asarray(exposed, np.float16)
