"""What a training clip is to look like, drawn by lot: numbers only, no pixels.

Worker processes draw recipes; the device renders them (:mod:`sttn.training.rendering`). So workers
never hold the corpus, and a clip is a function of ``(seed, index)`` alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from sttn.errors import FootageError
from sttn.settings.raster import RASTER_MULTIPLE
from sttn.training.corpus import Corpus
from sttn.training.masks import HEIGHTS, WIDTHS, blob, object_masks, random_masks
from sttn.training.motion import CameraPath, random_camera
from sttn.training.panoramas import Outlook, random_outlook
from sttn.training.scenes import Scene, random_scene

TIMELINE = 50
"""Frames between the first and the last of a scattered sample at most, where nothing else is said:
two seconds."""

SHUTTER_POSITIONS = 4
"""Moments within an exposure at which a moving object is drawn; their mean is motion blur."""

POOLED = 128
"""Clips among which one is chosen where clips are seen several times, so that those times lie
apart."""

CLOSEST = 0.75
"""Share of a movie's frame, along each side, that an excerpt has at least: enlarged is soft."""


def require_clip(width: int, height: int, frames: int) -> None:
    """Raise ValueError where no network can be trained on clips of a size and length."""
    for name, value in (("width", width), ("height", height)):
        if value < RASTER_MULTIPLE or value % RASTER_MULTIPLE:
            raise ValueError(f"{name} must be a multiple of {RASTER_MULTIPLE}, got {value}")
    if frames < 2:
        raise ValueError(f"frames must be at least 2, got {frames}")


def require_learning(rate: float, seed: int) -> None:
    """Raise ValueError where no optimizer learns at a rate, or no lots can be drawn from a seed."""
    if not 0 < rate < math.inf:
        raise ValueError(f"learning_rate must be above 0 and finite, got {rate}")
    require_seed(seed)


def require_seed(seed: int) -> None:
    """Raise ValueError where no lots can be drawn from a seed."""
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")


@dataclass(frozen=True, kw_only=True)
class SampleConfig:
    """What one training clip looks like."""

    width: int = 192
    """Columns of the raster, a multiple of 48."""
    height: int = 96
    """Rows of the raster, a multiple of 48."""
    frames: int = 5
    """Frames per clip."""
    consecutive_share: float = 0.5
    """Share of clips whose frames follow each other; the others' are scattered."""
    timeline: int = TIMELINE
    """Frames over which scattered ones lie at most; 0 scatters them over the whole of a movie, and
    as usual over what is no movie."""
    movie_share: float = 0.2
    """Share of clips from movies; the others are photographs set in motion."""
    scene_share: float = 0.5
    """Share of the clips from photographs in which several stand in space, with true parallax."""
    panorama_share: float = 0.1
    """Share of the clips from stills that look around in a panorama, where the corpus has any."""
    locked_off_share: float = 0.0
    """Share of the clips from stills in which neither camera nor hole moves, so that no frame shows
    what is hidden: what is left to a network that is given real pixels first."""
    whole_frames: bool = False
    """Resize whole frames of movies to the raster, as the paper does; else pieces of its shape."""
    hole_height: tuple[float, float] = HEIGHTS
    """Least and greatest height of a drawn hole, as shares of the raster's."""
    hole_width: tuple[float, float] = WIDTHS
    """Least and greatest width of a drawn hole, likewise."""
    object_share: float = 0.5
    """Share of clips whose hole has the shape of a real object, where the corpus has any."""
    traces_share: float = 0.3
    """Share of clips whose input, not their truth, carries noise and JPEG traces."""

    def __post_init__(self) -> None:
        require_clip(self.width, self.height, self.frames)
        if self.timeline < 0:
            raise ValueError(f"timeline must be at least 0, got {self.timeline}")
        for name in (
            "consecutive_share",
            "movie_share",
            "scene_share",
            "panorama_share",
            "locked_off_share",
            "object_share",
            "traces_share",
        ):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {getattr(self, name)}")
        for name in ("hole_height", "hole_width"):
            least, greatest = getattr(self, name)
            if not 0.1 <= least <= greatest <= 1:
                raise ValueError(f"{name} must rise within [0.1, 1], got {least} and {greatest}")


def require_movies(corpus: Corpus, config: SampleConfig) -> None:
    """Raise FootageError where all clips are to come from movies, and there is none."""
    if config.movie_share == 1 and not corpus.movies:
        raise FootageError(
            "movie_share is 1, and the corpus holds no movie; frames of one lie in a folder of its "
            "own and are numbered. Lower movie_share to train on stills"
        )


@dataclass(frozen=True, kw_only=True)
class View:
    """What a camera sees of a photograph."""

    photograph: int
    """Index into the corpus."""
    maps: NDArray[np.float32]
    """(T, S, 2, 3) affine maps from raster pixels to the photograph's, S moments per exposure."""


@dataclass(frozen=True, kw_only=True)
class MovingObject:
    """A piece of a photograph that passes through the clip."""

    texture: View
    shape: NDArray[np.uint8]
    """(h, w), 255 inside, with a soft edge."""
    maps: NDArray[np.float32]
    """(T, S, 2, 3) affine maps from raster pixels to the shape's."""


@dataclass(frozen=True, kw_only=True)
class Excerpt:
    """Frames of a movie, cut to a box."""

    movie: int
    """Index into the corpus."""
    frames: NDArray[np.int64]
    """(T,) indices into the movie."""
    box: tuple[int, int, int, int]
    """Left, top, width and height in movie pixels."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One training clip."""

    clip: int
    """Recipes of the same number look alike but for their holes."""
    background: View | Scene | Outlook | Excerpt
    objects: tuple[MovingObject, ...]
    gains: NDArray[np.float32]
    """(T, 3) exposure and white balance of every frame."""
    mirrored: bool
    noise: float
    """Standard deviation of noise on the input, in [0, 1]."""
    jpeg_quality: int | None
    """Quality of the input's JPEG traces in [1, 100]."""
    masks: NDArray[np.bool_]
    """(T, H, W), True inside the hole."""
    seed: int
    """Of the noise."""


class Recipes(Dataset[Recipe]):
    """``count`` recipes, each a function of ``(seed, index)`` alone.

    Args:
        corpus: What they are made from.
        config: What they look like.
        seed: Of all lots.
        count: How many.
        reuse: How often each clip is seen on average, with another hole each time.
    """

    def __init__(
        self, corpus: Corpus, config: SampleConfig, *, seed: int, count: int, reuse: int = 1
    ) -> None:
        self._reuse = reuse
        self._corpus = corpus.shape
        self._objects = corpus.objects
        self._config = config
        self._timeline = max(config.timeline or TIMELINE, config.frames)
        self._seed = seed
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Recipe:
        if self._reuse == 1:
            return self._drawn(index)[0]
        rng = np.random.default_rng((self._seed, index, self._reuse))
        recipe, moments = self._drawn(index // self._reuse + int(rng.integers(POOLED)))
        return replace(recipe, masks=self._masks(moments, rng))

    def _drawn(self, index: int) -> tuple[Recipe, NDArray[np.float64]]:
        """A clip, and when its frames are taken as far as holes move."""
        rng = np.random.default_rng((self._seed, index))
        config, corpus = self._config, self._corpus
        stills = corpus.photographs or corpus.panoramas
        from_movie = corpus.movies and (not stills or rng.random() < config.movie_share)
        objects: tuple[MovingObject, ...] = ()
        background: View | Scene | Outlook | Excerpt
        if from_movie:
            movie = int(rng.integers(len(corpus.movies)))
            length = corpus.movies[movie][0]
            span = min(length, self._timeline) if config.timeline else length
            times = self._times(span, rng)
            moments = times
            background = self._excerpt(movie, times, rng)
            gains = np.ones((config.frames, 3), np.float32)
        else:
            times = self._times(self._timeline, rng)
            locked_off = config.locked_off_share and rng.random() < config.locked_off_share
            moments = np.zeros_like(times) if locked_off else times
            background = self._still(moments, rng)
            count = int(rng.choice(3, p=[0.45, 0.35, 0.2])) if corpus.photographs else 0
            objects = tuple(self._object(times, rng) for _ in range(count))
            gains = _drift(times, rng)
        traces = rng.random() < config.traces_share
        recipe = Recipe(
            clip=index,
            background=background,
            objects=objects,
            gains=gains,
            mirrored=bool(rng.random() < 0.5),
            noise=float(rng.uniform(0, 0.03)) if traces else 0.0,
            jpeg_quality=int(rng.integers(35, 96)) if traces and rng.random() < 0.5 else None,
            masks=self._masks(moments, rng),
            seed=int(rng.integers(2**31)),
        )
        return recipe, moments

    def _times(self, length: int, rng: np.random.Generator) -> NDArray[np.float64]:
        return random_times(self._config.frames, length, rng, self._config.consecutive_share)

    def _still(
        self, times: NDArray[np.float64], rng: np.random.Generator
    ) -> View | Scene | Outlook:
        config, corpus = self._config, self._corpus
        raster = (config.width, config.height)
        if corpus.panoramas and (not corpus.photographs or rng.random() < config.panorama_share):
            return random_outlook(corpus.panoramas, times, raster, rng)
        if rng.random() < config.scene_share:
            return random_scene(corpus.photographs, times, raster, rng)
        return self._view(times, rng)

    def _masks(self, times: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.bool_]:
        size = (self._config.height, self._config.width)
        if self._objects and rng.random() < self._config.object_share:
            drawn = self._objects[rng.integers(len(self._objects))]
            return object_masks(drawn, times, *size, rng)
        return random_masks(times, *size, rng, self._config.hole_height, self._config.hole_width)

    def _view(self, times: NDArray[np.float64], rng: np.random.Generator) -> View:
        number = int(rng.integers(len(self._corpus.photographs)))
        raster = (self._config.width, self._config.height)
        camera = random_camera(self._corpus.photographs[number][::-1], raster, rng)
        return View(photograph=number, maps=_maps(camera, times[:, np.newaxis], raster))

    def _object(self, times: NDArray[np.float64], rng: np.random.Generator) -> MovingObject:
        width, height = self._config.width, self._config.height
        box = (int(width * rng.uniform(0.1, 0.5)), int(height * rng.uniform(0.2, 0.9)))
        shape = cv2.GaussianBlur(blob(box[1], box[0], rng), (0, 0), rng.uniform(0.5, 1.5))
        start = rng.uniform([-box[0] / 2, -box[1] / 2], [width - box[0] / 2, height - box[1] / 2])
        speed = rng.normal(0, 0.015, 2) * width * [1.0, 0.4]
        shutter = rng.uniform(0, 0.5) * np.linspace(-0.5, 0.5, SHUTTER_POSITIONS)
        moments = (times - times.mean())[:, np.newaxis] + shutter
        to_shape = np.zeros((*moments.shape, 2, 3))
        to_shape[..., 0, 0] = to_shape[..., 1, 1] = 1
        to_shape[..., 2] = -(start + speed * moments[..., np.newaxis])
        number = int(rng.integers(len(self._corpus.photographs)))
        camera = random_camera(self._corpus.photographs[number][::-1], box, rng)
        turn = camera.matrix(0.0, box)
        to_photograph = turn[:, :2] @ to_shape
        to_photograph[..., 2] += turn[:, 2]
        return MovingObject(
            texture=View(photograph=number, maps=to_photograph.astype(np.float32)),
            shape=np.asarray(shape, np.uint8),
            maps=to_shape.astype(np.float32),
        )

    def _excerpt(self, movie: int, times: NDArray[np.float64], rng: np.random.Generator) -> Excerpt:
        length, height, width = self._corpus.movies[movie]
        start = int(rng.integers(length - int(times.max())))
        frames = start + times.astype(np.int64)
        if self._config.whole_frames:
            return Excerpt(movie=movie, frames=frames, box=(0, 0, width, height))
        raster = (self._config.width, self._config.height)
        scale = min(width / raster[0], height / raster[1]) * rng.uniform(CLOSEST, 1.0)
        box = (max(2, int(raster[0] * scale)), max(2, int(raster[1] * scale)))
        left, top = (
            int(rng.integers(width - box[0] + 1)),
            int(rng.integers(height - box[1] + 1)),
        )
        return Excerpt(movie=movie, frames=frames, box=(left, top, *box))


def random_times(
    count: int, length: int, rng: np.random.Generator, consecutive_share: float = 0.5
) -> NDArray[np.float64]:
    """Positions of a sample's frames on a timeline of ``length`` frames, in rising order.

    Consecutive for a share of all samples, scattered for the others, half each in Section D. A
    timeline shorter than ``count`` repeats frames.
    """
    if rng.random() < consecutive_share and length >= count:
        return (rng.integers(length - count + 1) + np.arange(count)).astype(np.float64)
    picked = rng.choice(length, count, replace=length < count)
    return np.sort(picked).astype(np.float64)


def _maps(
    camera: CameraPath, moments: NDArray[np.float64], raster: tuple[int, int]
) -> NDArray[np.float32]:
    """(T, S, 2, 3) for (T, S) moments."""
    maps: Sequence[Sequence[NDArray[np.float64]]] = [
        [camera.matrix(float(moment), raster) for moment in exposure] for exposure in moments
    ]
    return np.array(maps, np.float32)


def _drift(times: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float32]:
    """Exposure and white balance that change slowly, (T, 3)."""
    drift = rng.normal(0, 2e-3) + rng.normal(0, 5e-4, 3)
    gains = np.exp((times - times.mean())[:, np.newaxis] * drift) * np.exp(rng.normal(0, 0.1))
    return np.asarray(gains, np.float32)
