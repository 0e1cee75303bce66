"""Renders recipes on the device that trains: stills set in motion, movies cut to size."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from sttn.encoding import peak
from sttn.training.corpus import Corpus
from sttn.training.jpeg import with_jpeg_traces
from sttn.training.panoramas import Outlook
from sttn.training.recipes import Excerpt, MovingObject, Recipe, View
from sttn.training.scenes import Scene
from sttn.training.surfaces import panorama_frames, scene_frames

SHARPEST = 1.3
"""Photograph pixels per raster pixel above which a photograph is reduced first, or it aliases."""


def render(
    recipes: Sequence[Recipe], corpus: Corpus, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn recipes into a batch.

    Returns:
        The truth (B, T, 3, H, W) in [-1, 1]; what the network is given, the same with noise and
        JPEG traces where a recipe has them; the mask (B, T, 1, H, W), 1 inside the hole.
    """
    clips = [_render(recipe, corpus, device) for recipe in recipes]
    truth, given = (torch.stack(part) for part in zip(*clips, strict=True))
    masks = torch.stack([torch.from_numpy(recipe.masks) for recipe in recipes])
    return truth * 2 - 1, given * 2 - 1, masks.to(device).float().unsqueeze(2)


def _render(recipe: Recipe, corpus: Corpus, device: torch.device) -> tuple[Tensor, Tensor]:
    """Truth and input (T, 3, H, W) in [0, 1]."""
    size = recipe.masks.shape[1:]
    if isinstance(recipe.background, Excerpt):
        frames = _cut(recipe.background, corpus, size, device)
    elif isinstance(recipe.background, Scene):
        frames = scene_frames(recipe.background, corpus, size, device)
    elif isinstance(recipe.background, Outlook):
        frames = panorama_frames(recipe.background, corpus, size, device)
    else:
        frames = _seen(recipe.background, corpus, size, device).mean(dim=1)
    for passing in recipe.objects:
        frames = _over(frames, passing, corpus, device)
    gains = torch.from_numpy(recipe.gains).to(device)[:, :, None, None]
    truth = frames * gains
    if recipe.mirrored:
        truth = truth.flip(-1)
    if isinstance(recipe.background, Outlook):
        # What is too bright is darkened with all the rest, as the node does for plates.
        truth = truth / peak(truth.movedim(1, -1)[torch.from_numpy(~recipe.masks).to(device)])
    truth = truth.clamp(0, 1)
    given = truth
    if recipe.noise:
        generator = torch.Generator(device).manual_seed(recipe.seed)
        grain = torch.randn(truth.shape, generator=generator, device=device)
        given = (given + recipe.noise * grain).clamp(0, 1)
    if recipe.jpeg_quality is not None:
        given = with_jpeg_traces(given, recipe.jpeg_quality)
    return truth, given


def _cut(excerpt: Excerpt, corpus: Corpus, size: tuple[int, ...], device: torch.device) -> Tensor:
    """(T, 3, H, W) in [0, 1]."""
    left, top, width, height = excerpt.box
    movie = corpus.movies[excerpt.movie]
    frames = movie[excerpt.frames, top : top + height, left : left + width]
    images = torch.from_numpy(frames).to(device).permute(0, 3, 1, 2).float() / 255
    return functional.interpolate(images, size=size, mode="bilinear", antialias=True)


def _seen(view: View, corpus: Corpus, size: tuple[int, ...], device: torch.device) -> Tensor:
    """What a camera sees at every moment: (T, S, 3, H, W) in [0, 1]."""
    pixels = torch.from_numpy(corpus.photographs[view.photograph]).to(device)
    photograph = pixels.permute(2, 0, 1)[None].float() / 255
    maps = torch.from_numpy(view.maps).to(device)
    spread = float(torch.linalg.det(maps[0, 0, :, :2]).abs().sqrt())
    fewer = max(1, int(spread / SHARPEST + 0.5))
    if fewer > 1:
        photograph = functional.avg_pool2d(photograph, fewer)
        maps = maps / fewer
        maps[..., 2] += 0.5 / fewer - 0.5  # pixel centers
    return _warped(photograph, maps, size, "reflection")


def _over(frames: Tensor, passing: MovingObject, corpus: Corpus, device: torch.device) -> Tensor:
    """Lay an object over (T, 3, H, W)."""
    size = frames.shape[-2:]
    shape = torch.from_numpy(passing.shape).to(device)[None, None].float() / 255
    cover = _warped(shape, torch.from_numpy(passing.maps).to(device), size, "zeros")
    texture = _seen(passing.texture, corpus, size, device)
    return frames * (1 - cover.mean(dim=1)) + (texture * cover).mean(dim=1)


def _warped(image: Tensor, maps: Tensor, size: tuple[int, ...], padding: str) -> Tensor:
    """Sample an image (1, C, h, w) at affine maps (T, S, 2, 3) of a raster: (T, S, C, H, W)."""
    rows, columns = (torch.arange(n, device=image.device, dtype=torch.float32) for n in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    raster = torch.stack([x, y, torch.ones_like(x)], dim=-1)
    places = torch.einsum("tsij,hwj->tshwi", maps, raster)
    extent = torch.tensor([image.shape[-1] - 1, image.shape[-2] - 1], device=image.device)
    grid = (places * (2 / extent.clamp(min=1)) - 1).reshape(1, -1, size[1], 2)
    # One tall grid, so that the image need not be repeated for every frame.
    found = functional.grid_sample(image, grid, padding_mode=padding, align_corners=True)
    frames: Tensor = found[0].unflatten(1, (*maps.shape[:2], size[0])).movedim(0, 2)
    return frames
