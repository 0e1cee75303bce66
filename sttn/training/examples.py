"""What the fusion network learns from: holes in known clips, and what other frames offer for them.

Gathering takes longer than training, so examples are kept on disk and gathered once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from sttn.model import written
from sttn.propagation import Fusion, Propagation
from sttn.propagation.fusion import seen
from sttn.training.corpus import Corpus
from sttn.training.recipes import Recipes, SampleConfig, require_movies, require_seed
from sttn.training.rendering import render

FEWEST_PIXELS = 200
"""Pixels of a hole that are worth an example."""

LARGEST = 176
"""Pixels of an example's sides at most."""

CLIPS = SampleConfig(
    width=432,
    height=240,
    frames=28,
    consecutive_share=1.0,
    movie_share=0.35,
    scene_share=0.7,
    panorama_share=0.05,
    traces_share=0.5,
)
"""Long enough to look far ahead, most with parallax."""


class Example(NamedTuple):
    """One hole; arrays are float16 but for the hole."""

    offered: NDArray[Any]
    """(K, OF_A_CANDIDATE, h, w), see :mod:`sttn.propagation.fusion`."""
    shared: NDArray[Any]
    """(OF_SURROUNDINGS, h, w)."""
    scores: NDArray[Any]
    """(K + 1, h, w)."""
    pixels: NDArray[Any]
    """(K + 1, 3, h, w) in [0, 1]."""
    truth: NDArray[Any]
    """(3, h, w) in [0, 1]."""
    hole: NDArray[Any]
    """(h, w)."""

    def cut(self, top: int, left: int, height: int, width: int) -> "Example":
        """A part of it."""
        part = (..., slice(top, top + height), slice(left, left + width))
        return Example(*(array[part] for array in self))


@dataclass(frozen=True, kw_only=True)
class GatheringConfig:
    """Which examples are gathered."""

    clips: int = 134
    """Clips that are rendered; each gives up to three examples of about 9 MB."""
    clip: SampleConfig = CLIPS
    """What a clip looks like."""
    seed: int = 1
    """The same seed gives the same clips."""

    def __post_init__(self) -> None:
        if self.clips < 1:
            raise ValueError(f"clips must be at least 1, got {self.clips}")
        require_seed(self.seed)
        if self.clip.consecutive_share < 1:
            raise ValueError(
                f"clip.consecutive_share must be 1, got {self.clip.consecutive_share}: "
                "pixels are followed from frame to frame"
            )


def gather(corpus: Corpus, config: GatheringConfig, folder: Path) -> Iterator[Path]:
    """Write one file per clip into a folder; those that are there stay.

    Yields:
        Every file, as soon as it is there.

    Raises:
        FootageError: all clips are to come from movies, and there is none.
    """
    require_movies(corpus, config.clip)
    folder.mkdir(parents=True, exist_ok=True)
    recipes = Recipes(corpus, config.clip, seed=config.seed, count=config.clips)
    for index in range(config.clips):
        path = folder / f"{config.seed}_{index:05d}.npz"
        if not path.exists():
            recipe = recipes[index]
            truth, given, _ = render([recipe], corpus, torch.device("cpu"))
            rng = np.random.default_rng((config.seed, index))
            _write(path, list(_examples(truth[0], given[0], recipe.masks, rng)))
        yield path


def read_examples(path: Path) -> list[Example]:
    """The examples of a file."""
    with np.load(path) as file:
        count = len(file.files) // len(Example._fields)
        return [Example(*(file[f"{name}_{n}"] for name in Example._fields)) for n in range(count)]


def _examples(
    truth: torch.Tensor,
    given: torch.Tensor,
    masks: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Iterator[Example]:
    """Up to three examples of a clip (T, 3, H, W) in [-1, 1]: early, in the middle, late."""
    known, shown = ((part.permute(0, 2, 3, 1).numpy() + 1) / 2 for part in (truth, given))
    frames = np.where(masks[..., None], np.uint8(0), (shown * 255).round().astype(np.uint8))
    propagation = Propagation(frames.__getitem__, masks.__getitem__, len(frames), Fusion())
    thirds = np.linspace(0, len(frames), 4).astype(int)
    for first, last in pairwise(thirds):
        index = int(rng.integers(first, max(first + 1, last)))
        offers = propagation.offers(index)
        if offers is None or offers.around.hole.sum() < FEWEST_PIXELS:
            continue
        known_there = offers.box.of(known[index]).transpose(2, 0, 1)
        parts = [part.numpy() for part in seen(offers.around, offers.candidates)]
        halves = [part.astype(np.float16) for part in (*parts, known_there)]
        example = Example._make([*halves, offers.around.hole])
        yield _limited(example, rng)


def _limited(example: Example, rng: np.random.Generator) -> Example:
    """A part of a large example around some pixel of its hole, sides even."""
    size = example.hole.shape
    height, width = (min(side, LARGEST) // 2 * 2 for side in size)
    rows, columns = np.nonzero(example.hole)
    chosen = rng.integers(len(rows))
    top = int(np.clip(rows[chosen] - height // 2, 0, size[0] - height)) // 2 * 2
    left = int(np.clip(columns[chosen] - width // 2, 0, size[1] - width)) // 2 * 2
    return example.cut(top, left, height, width)


def _write(path: Path, examples: list[Example]) -> None:
    arrays = {
        f"{name}_{n}": array
        for n, example in enumerate(examples)
        for name, array in example._asdict().items()
    }
    with written(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
