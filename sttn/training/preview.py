"""Clips as a network is going to see them, before it is trained for hours."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sttn.training.corpus import Corpus
from sttn.training.recipes import Excerpt, Recipe, Recipes, SampleConfig, View, require_movies
from sttn.training.rendering import render
from sttn.training.scenes import Scene

COLUMNS = 5
"""Frames shown of a clip at most, spread over it."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a run's first clips look like."""

    picture: NDArray[np.uint8]
    """(H, W, 3) RGB, a clip to a row, holes gray as the network gets them."""
    made_of: Counter[str]
    """How many clips there are of each kind."""
    hole_shares: list[float]
    """Share of a clip that its hole covers."""
    standing: int
    """Clips whose hole does not move."""

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} of {kind}" for kind, count in sorted(self.made_of.items()))
        least, most = (100 * extreme(self.hole_shares) for extreme in (min, max))
        return (
            f"{kinds}; holes cover {least:.0f} to {most:.0f} % of a clip, "
            f"{self.standing} of {len(self.hole_shares)} stand still"
        )


def preview(corpus: Corpus, config: SampleConfig, clips: int, seed: int, reuse: int = 1) -> Preview:
    """Render the first clips of a run.

    Args:
        corpus: Material.
        config: What a clip looks like.
        clips: How many, at least 1.
        seed: The run's.
        reuse: The run's, likewise.

    Raises:
        FootageError: all clips are to come from movies, and there is none.
    """
    require_movies(corpus, config)
    drawn = Recipes(corpus, config, seed=seed, count=clips, reuse=reuse)
    recipes = [drawn[index] for index in range(clips)]
    rows = [_row(recipe, corpus) for recipe in recipes]
    masks = [recipe.masks for recipe in recipes]
    return Preview(
        picture=np.concatenate(rows),
        made_of=Counter(_kind(recipe) for recipe in recipes),
        hole_shares=[float(mask.mean()) for mask in masks],
        standing=sum(bool((mask == mask[0]).all()) for mask in masks),
    )


def _row(recipe: Recipe, corpus: Corpus) -> NDArray[np.uint8]:
    """Some frames of a clip side by side, (H, W, 3)."""
    _, given, mask = render([recipe], corpus, torch.device("cpu"))
    shown = (given * (1 - mask))[0]
    some = np.linspace(0, len(shown) - 1, min(len(shown), COLUMNS)).round().astype(int)
    bytes_ = ((shown[some] + 1) * 127.5).round().to(torch.uint8)
    return np.concatenate(bytes_.permute(0, 2, 3, 1).numpy(), axis=1)


def _kind(recipe: Recipe) -> str:
    kinds = {Excerpt: "movies", Scene: "scenes", View: "one photograph"}
    return kinds.get(type(recipe.background), "panoramas")
