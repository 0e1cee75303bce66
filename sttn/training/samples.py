"""Clips with holes, made on the fly and the same for the same seed and index."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from sttn.footage import Image
from sttn.training.corpus import Corpus
from sttn.training.masks import random_masks
from sttn.training.motion import drift_exposure, film, pass_object, random_camera

TIMELINE = 50
"""Frames between the first and the last of a scattered sample at most."""


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """What one training clip looks like."""

    width: int = 192
    """Columns of the raster, a multiple of 48."""
    height: int = 96
    """Rows of the raster, a multiple of 48."""
    frames: int = 5
    """Frames per clip; half of all clips are consecutive frames, half are scattered."""
    movie_share: float = 0.2
    """Share of clips from movies; the others are photographs set in motion."""

    def __post_init__(self) -> None:
        for name, value in (("width", self.width), ("height", self.height)):
            if value < 48 or value % 48:
                raise ValueError(f"{name} must be a multiple of 48, got {value}")
        if self.frames < 2:
            raise ValueError(f"frames must be at least 2, got {self.frames}")
        if not 0 <= self.movie_share <= 1:
            raise ValueError(f"movie_share must lie in [0, 1], got {self.movie_share}")


class Samples(Dataset[tuple[Tensor, Tensor]]):
    """Endless in practice: ``count`` clips, each a function of ``(seed, index)`` alone."""

    def __init__(self, corpus: Corpus, config: SampleConfig, *, seed: int, count: int) -> None:
        self._corpus = corpus
        self._config = config
        self._seed = seed
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One clip.

        Returns:
            frames (T, 3, H, W) float32 in [-1, 1] and mask (T, 1, H, W) float32, 1 in the hole.
        """
        rng = np.random.default_rng((self._seed, index))
        config = self._config
        from_movie = self._corpus.movies and (
            not self._corpus.photographs or rng.random() < config.movie_share
        )
        if from_movie:
            movie = self._corpus.movies[rng.integers(len(self._corpus.movies))]
            times = random_times(config.frames, min(len(movie), TIMELINE), rng)
            frames = cut_from_movie(movie, times, (config.width, config.height), rng)
        else:
            times = random_times(config.frames, TIMELINE, rng)
            frames = self._set_in_motion(times, rng)
        if rng.random() < 0.5:
            frames = frames[:, :, ::-1]
        masks = random_masks(times, config.height, config.width, rng)
        clip = torch.from_numpy(np.ascontiguousarray(frames.transpose(0, 3, 1, 2)))
        return clip / 127.5 - 1, torch.from_numpy(masks[:, np.newaxis].astype(np.float32))

    def _set_in_motion(
        self, times: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.float32]:
        raster = (self._config.width, self._config.height)
        photograph = self._any_photograph(rng)
        size = (photograph.shape[1], photograph.shape[0])
        frames = film(photograph, random_camera(size, raster, rng), times, raster)
        for _ in range(rng.choice(3, p=[0.45, 0.35, 0.2])):
            pass_object(frames, self._any_photograph(rng), times, rng)
        drift_exposure(frames, times, rng)
        return frames

    def _any_photograph(self, rng: np.random.Generator) -> Image:
        return self._corpus.photographs[rng.integers(len(self._corpus.photographs))]


def random_times(count: int, length: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Positions of a sample's frames on a timeline of ``length`` frames, in rising order.

    Consecutive for half of all samples, scattered for the others (Section D). A timeline
    shorter than ``count`` repeats frames.
    """
    if rng.random() < 0.5 and length >= count:
        return (rng.integers(length - count + 1) + np.arange(count)).astype(np.float64)
    picked = rng.choice(length, count, replace=length < count)
    return np.sort(picked).astype(np.float64)


def cut_from_movie(
    movie: Image,
    times: NDArray[np.float64],
    raster: tuple[int, int],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """The same random crop of several frames of a movie.

    Args:
        movie: (N, H, W, 3) uint8.
        times: (T,) positions counted from a random start that leaves room for all of them.
        raster: Width and height of the result.
        rng: Source of the crop.

    Returns:
        (T, height, width, 3) float32 in [0, 255].
    """
    start = int(rng.integers(len(movie) - int(times.max())))
    height, width = movie.shape[1:3]
    scale = min(width / raster[0], height / raster[1]) * rng.uniform(0.5, 1.0)
    box = (max(2, int(raster[0] * scale)), max(2, int(raster[1] * scale)))
    left = int(rng.integers(width - box[0] + 1))
    top = int(rng.integers(height - box[1] + 1))
    frames = [
        cv2.resize(
            movie[start + int(time), top : top + box[1], left : left + box[0]],
            raster,
            interpolation=cv2.INTER_AREA,
        )
        for time in times
    ]
    return np.stack(frames).astype(np.float32)
