"""Renders recipes on the device that trains: stills set in motion, movies cut to size."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sttn.encoding import peak
from sttn.training.corpus import Corpus
from sttn.training.jpeg import with_jpeg_traces
from sttn.training.panoramas import Outlook
from sttn.training.recipes import Excerpt, MovingObject, Recipe, View
from sttn.training.sampling import Raster, sampled
from sttn.training.scenes import Scene
from sttn.training.surfaces import panorama_frames, scene_frames

SHARPEST = 1.3
"""Photograph pixels per raster pixel above which a photograph is reduced first, or it aliases."""


class Clips(NamedTuple):
    """What recipes look like."""

    truth: Tensor
    """(B, T, 3, H, W) in [-1, 1]."""
    given: Tensor
    """What the network gets: the same, with noise and JPEG traces where a recipe has them."""
    mask: Tensor
    """(B, T, 1, H, W), 1 inside the hole."""


class Rendering:
    """Renders clips, and keeps those of the highest numbers for recipes that look alike.

    Args:
        corpus: What recipes are made from.
        device: Where clips are rendered, and kept.
        kept: How many.
    """

    def __init__(self, corpus: Corpus, device: torch.device, kept: int = 0) -> None:
        self._corpus, self._device, self._size = corpus, device, kept
        self._kept: dict[int, Tensor] = {}

    def __call__(self, recipes: Sequence[Recipe]) -> Clips:
        """Turn recipes into clips."""
        pictures = [_shown(recipe, self._frames(recipe)) for recipe in recipes]
        truth, given = (torch.stack(part) for part in zip(*pictures, strict=True))
        masks = torch.from_numpy(np.stack([recipe.masks for recipe in recipes])).to(self._device)
        return Clips(truth * 2 - 1, given * 2 - 1, masks.float().unsqueeze(2))

    def _frames(self, recipe: Recipe) -> Tensor:
        """What recipes that look alike share, as :func:`_render` gives it."""
        found = self._kept.get(recipe.clip)
        if found is None:
            found = _render(recipe, self._corpus, self._device)
        if self._size:
            self._kept[recipe.clip] = found
            if len(self._kept) > self._size:
                del self._kept[min(self._kept)]
        return found


def render(recipes: Sequence[Recipe], corpus: Corpus, device: torch.device) -> Clips:
    """Turn recipes into clips."""
    return Rendering(corpus, device)(recipes)


def _render(recipe: Recipe, corpus: Corpus, device: torch.device) -> Tensor:
    """A clip whatever its hole is: (T, 3, H, W) from 0 on, in panoramas above 1 too."""
    size = recipe.masks.shape[1:]
    if isinstance(recipe.background, Excerpt):
        frames = _cut(recipe.background, corpus, size, device)
    elif isinstance(recipe.background, Scene):
        frames = scene_frames(recipe.background, corpus, size, device)
    elif isinstance(recipe.background, Outlook):
        frames = panorama_frames(recipe.background, corpus, size, device)
    else:
        whole = Raster(0, 0, size[1], size[0], device)
        frames = _seen(recipe.background, corpus, whole).mean(dim=1)
    for passing in recipe.objects:
        frames = _over(frames, passing, corpus)
    gains = torch.from_numpy(recipe.gains).to(device)[:, :, None, None]
    frames = frames * gains
    return frames.flip(-1) if recipe.mirrored else frames


def _shown(recipe: Recipe, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Truth and input (T, 3, H, W) in [0, 1], of what :func:`_render` gave."""
    if isinstance(recipe.background, Outlook):
        # What is too bright is darkened with all the rest, as the node does for plates.
        visible = torch.from_numpy(~recipe.masks).to(frames.device)
        frames = frames / peak(frames.movedim(1, -1)[visible])
    truth = frames.clamp(0, 1)
    given = truth
    if recipe.noise:
        generator = torch.Generator(frames.device).manual_seed(recipe.seed)
        grain = torch.randn(truth.shape, generator=generator, device=frames.device)
        given = (given + recipe.noise * grain).clamp(0, 1)
    if recipe.jpeg_quality is not None:
        given = with_jpeg_traces(given, recipe.jpeg_quality)
    return truth, given


def _cut(excerpt: Excerpt, corpus: Corpus, size: tuple[int, ...], device: torch.device) -> Tensor:
    """(T, 3, H, W) in [0, 1]."""
    left, top, width, height = excerpt.box
    frames = corpus.movies[excerpt.movie][excerpt.frames]
    frames = frames[:, top : top + height, left : left + width]
    images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 255
    return functional.interpolate(images, size=size, mode="bilinear", antialias=True)


def _seen(view: View, corpus: Corpus, part: Raster) -> Tensor:
    """What a camera sees at every moment: (T, S, 3, H, W) in [0, 1]."""
    pixels = torch.from_numpy(corpus.photographs[view.photograph]).to(part.device)
    photograph = pixels.permute(2, 0, 1)[None].float() / 255
    spread = float(np.sqrt(np.abs(np.linalg.det(view.maps[0, 0, :, :2]))))
    fewer = max(1, int(spread / SHARPEST + 0.5))
    if fewer > 1:
        photograph = functional.avg_pool2d(photograph, fewer)
    return _warped(photograph, view.maps, part, fewer, "reflection")


def _over(frames: Tensor, passing: MovingObject, corpus: Corpus) -> Tensor:
    """Lay an object over (T, 3, H, W)."""
    part = _passed(passing, frames)
    if part is None:
        return frames
    shape = torch.from_numpy(passing.shape).to(part.device)[None, None].float() / 255
    cover = _warped(shape, passing.maps, part, 1, "zeros")
    texture = _seen(passing.texture, corpus, part)
    under = part.of(frames)
    under.mul_(1 - cover.mean(dim=1)).add_((texture * cover).mean(dim=1))
    return frames


def _passed(passing: MovingObject, frames: Tensor) -> Raster | None:
    """The part of the frames that an object passes; None where it stays outside."""
    height, width = frames.shape[-2:]
    tall, wide = passing.shape.shape
    # An object is moved, never turned, so its shape lies where its maps begin.
    left, top = -passing.maps[..., 2].max(axis=(0, 1))
    right, bottom = -passing.maps[..., 2].min(axis=(0, 1)) + [wide, tall]
    left, top = max(0, int(left) - 1), max(0, int(top) - 1)
    right, bottom = min(width, int(right) + 2), min(height, int(bottom) + 2)
    if left >= right or top >= bottom:
        return None
    return Raster(left, top, right - left, bottom - top, frames.device)


def _warped(
    image: Tensor, maps: NDArray[np.float32], part: Raster, fewer: int, padding: str
) -> Tensor:
    """Sample an image (1, C, h, w), reduced, at affine maps (T, S, 2, 3): (T, S, C, H, W)."""
    places = part.through(torch.from_numpy(maps).flatten(0, 1))
    across, down = (places + 0.5) / fewer
    found: Tensor = sampled(image, across, down, padding).unflatten(0, maps.shape[:2])
    return found
