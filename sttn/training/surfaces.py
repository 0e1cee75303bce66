"""Renders scenes and panoramas: a ray per pixel, photographs looked up without aliasing."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from sttn.encoding import encoded
from sttn.training.corpus import Corpus
from sttn.training.panoramas import Outlook
from sttn.training.scenes import Card, Scene, Surface

LEVELS = 6
"""Times a photograph is halved for what is far away, and the photograph itself."""

NEVER = 1e-6
"""Inverse depth that stands for what no ray hits."""


def scene_frames(
    scene: Scene, corpus: Corpus, size: tuple[int, ...], device: torch.device
) -> Tensor:
    """What the camera sees of a scene, (T, 3, H, W) in [0, 1]."""
    whole = _raster((0, 0, size[1], size[0]), device)
    frames = _seen(scene.walls[0], whole, corpus)
    for number, wall in enumerate(scene.walls[1:], start=1):
        cover = _in_front(wall.maps, scene.walls[:number], whole)
        frames = torch.lerp(frames, _seen(wall, whole, corpus), cover)
    for card in scene.cards:
        left, top, width, height = card.box
        window = frames[..., top : top + height, left : left + width]
        raster = _raster(card.box, device)
        cover = _shape(card, raster) * _in_front(card.surface.maps, scene.walls, raster)
        window.lerp_(_seen(card.surface, raster, corpus), cover)
    return frames


def panorama_frames(
    outlook: Outlook, corpus: Corpus, size: tuple[int, ...], device: torch.device
) -> Tensor:
    """What a camera sees of a panorama, (T, 3, H, W) in the working encoding, above 1 too."""
    pixels = torch.from_numpy(corpus.panoramas[outlook.panorama]).to(device)
    light = pixels.permute(2, 0, 1)[None].float() * outlook.exposure
    step = float(np.linalg.norm(outlook.rays[0, :, 0]))  # radians from pixel to pixel
    fewer = max(1, min(int(step * light.shape[-2] / math.pi + 0.5), light.shape[-2]))
    light = functional.avg_pool2d(light, fewer)
    rays = torch.from_numpy(outlook.rays).to(device)
    x, y, z = torch.einsum("tij,hwj->ithw", rays, _raster((0, 0, size[1], size[0]), device))
    height, width = light.shape[-2:]
    across = (torch.atan2(x, z) / (2 * math.pi) + 0.5) * width - 0.5
    down = (torch.atan2(y, torch.hypot(x, z)) / math.pi + 0.5) * height - 0.5
    around = functional.pad(light, (1, 1, 0, 0), mode="circular")
    seen = _sampled(around, torch.stack([across + 1, down], dim=-1), "border")
    return encoded(seen)


def _raster(box: tuple[int, int, int, int], device: torch.device) -> Tensor:
    """Pixels (x, y, 1) of a box: (H, W, 3)."""
    left, top, width, height = box
    rows = torch.arange(top, top + height, device=device, dtype=torch.float32)
    columns = torch.arange(left, left + width, device=device, dtype=torch.float32)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y, torch.ones_like(x)], dim=-1)


def _in_front(maps: object, others: tuple[Surface, ...], raster: Tensor) -> Tensor:
    """How much of each pixel a plane covers before others, (T, 1, H, W) in [0, 1].

    Inverse depths are linear over the raster, so that where two planes meet is a straight line
    with a known distance from every pixel.
    """
    depth = torch.as_tensor(maps)[:, 2]
    cover = torch.ones(len(depth), *raster.shape[:2], device=raster.device)
    for other in others:
        apart = depth - torch.from_numpy(other.maps)[:, 2]
        apart = apart / apart[:, :2].norm(dim=1, keepdim=True).clamp(min=1e-9)
        distance = torch.einsum("ti,hwi->thw", apart.to(raster.device), raster)
        cover = torch.minimum(cover, (distance + 0.5).clamp(0, 1))
    return cover.unsqueeze(1)


def _shape(card: Card, raster: Tensor) -> Tensor:
    """A card's outline, (T, 1, H, W) in [0, 1]."""
    shape = torch.from_numpy(card.shape).to(raster.device)[None, None].float() / 255
    places, _ = _places(torch.from_numpy(card.maps).to(raster.device), raster)
    return _sampled(shape, places, "zeros")


def _places(maps: Tensor, raster: Tensor) -> tuple[Tensor, Tensor]:
    """(T, H, W, 2) pixels of a plane, and the inverse depth (T, H, W, 1)."""
    found = torch.einsum("tij,hwj->thwi", maps, raster)
    depth = found[..., 2:].clamp(min=NEVER)
    return found[..., :2] / depth, depth


def _seen(surface: Surface, raster: Tensor, corpus: Corpus) -> Tensor:
    """(T, 3, H, W) in [0, 1], whatever is in front."""
    maps = torch.from_numpy(surface.maps).to(raster.device)
    places, depth = _places(maps, raster)
    # How far a pixel's neighbor to the right, and the one below, lies on the photograph.
    right, below = (
        (maps[:, None, None, :2, way] - places * maps[:, None, None, 2:, way]) / depth
        for way in (0, 1)
    )
    squares = [one[..., 0] ** 2 + one[..., 1] ** 2 for one in (right, below)]
    longer = torch.where((squares[0] > squares[1])[..., None], right, below)
    square = torch.maximum(torch.minimum(*squares), torch.maximum(*squares) / surface.lookups**2)
    texture = _texture(surface, corpus, raster.device)
    level = (square.clamp(min=1).log2() / 2).clamp(max=texture.levels - 1)
    shifts = [(n + 0.5) / surface.lookups - 0.5 for n in range(surface.lookups)]
    found = [_looked_up(texture, places + longer * shift, level) for shift in shifts]
    return (torch.stack(found).mean(dim=0) * surface.gain).clamp(max=1)


@dataclass(frozen=True)
class _Texture:
    """A picture, halved again and again."""

    tower: Tensor  # (1, 3, about 2 h, w) in [0, 1], the halves below one another
    width: int
    height: int
    levels: int


def _texture(surface: Surface, corpus: Corpus, device: torch.device) -> _Texture:
    left, top, width, height = surface.piece
    count = min(LEVELS, 1 + max(0, int(math.log2(min(width, height) / 8))))
    even = 2 ** (count - 1)
    width, height = width // even * even, height // even * even
    piece = corpus.photographs[surface.photograph][top : top + height, left : left + width]
    levels = [torch.from_numpy(piece).to(device).permute(2, 0, 1)[None].float() / 255]
    while len(levels) < count:
        levels.append(functional.avg_pool2d(levels[-1], 2))
    padded = [functional.pad(one, (0, width - one.shape[-1])) for one in levels]
    return _Texture(torch.cat(padded, dim=2), width, height, count)


def _looked_up(texture: _Texture, places: Tensor, level: Tensor) -> Tensor:
    """Between the two halves whose pixels are about as large as the raster's: (T, 3, H, W)."""
    x = _folded(places[..., 0], texture.width)
    y = _folded(places[..., 1], texture.height)
    lower = level.floor()
    found = []
    for chosen in (lower, (lower + 1).clamp(max=texture.levels - 1)):
        share = torch.exp2(-chosen)
        across = _within(x * share, texture.width * share)
        down = _within(y * share, texture.height * share) + 2 * texture.height * (1 - share)
        found.append(_sampled(texture.tower, torch.stack([across, down], dim=-1), "border"))
    return torch.lerp(found[0], found[1], (level - lower)[:, None])


def _folded(places: Tensor, size: int) -> Tensor:
    """Distances from a picture's edge, places outside mirrored until they lie within [0, size]."""
    turned = (places + 0.5) % (2 * size)
    return torch.minimum(turned, 2 * size - turned)


def _within(distances: Tensor, size: Tensor) -> Tensor:
    """Distances from an edge as pixels that do not reach into what lies beside."""
    return torch.minimum((distances - 0.5).clamp(min=0), size - 1)


def _sampled(image: Tensor, places: Tensor, padding: str) -> Tensor:
    """Sample (1, C, h, w) at pixels (T, H, W, 2): (T, C, H, W)."""
    extent = torch.tensor([image.shape[-1] - 1, image.shape[-2] - 1], device=image.device)
    grid = (places * (2 / extent.clamp(min=1)) - 1).flatten(0, 1)[None]
    # One tall grid, so that the image need not be repeated for every frame.
    found = functional.grid_sample(image, grid, padding_mode=padding, align_corners=True)
    frames: Tensor = found[0].unflatten(1, places.shape[:2]).movedim(0, 1)
    return frames
