"""Renders scenes and panoramas: a ray per pixel, photographs looked up without aliasing."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sttn.encoding import encoded
from sttn.training.corpus import Corpus
from sttn.training.panoramas import Outlook
from sttn.training.sampling import Raster, sampled
from sttn.training.scenes import Card, Scene, Wall

LEVELS = 6
"""Times a photograph is halved for what is far away, and the photograph itself."""

NEVER = 1e-6
"""Inverse depth that stands for what no ray hits."""


def scene_frames(
    scene: Scene, corpus: Corpus, size: tuple[int, ...], device: torch.device
) -> Tensor:
    """What the camera sees of a scene, (T, 3, H, W) in [0, 1]."""
    frames = torch.zeros(len(scene.walls[0].maps), 3, *size, device=device)
    whole = Raster(0, 0, size[1], size[0], device)
    for number, wall in enumerate(scene.walls):
        others = scene.walls[:number], scene.walls[number + 1 :]
        before, after = (_in_front(wall.maps, some, whole) for some in others)
        part = _covering(torch.minimum(before, after), device)
        if part is not None:
            part.of(frames).lerp_(_seen(wall, part, corpus), part.of(before))
    for card in scene.cards:
        part = Raster(*card.box, device)
        picture = _card(card, part, corpus)
        clear = _in_front(card.maps, scene.walls, part)
        under = part.of(frames)
        under.mul_(1 - clear * picture[:, 3:]).addcmul_(clear, picture[:, :3], value=card.gain)
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
    x, y, z = Raster(0, 0, size[1], size[0], device).through(torch.from_numpy(outlook.rays))
    height, width = light.shape[-2:]
    across = (torch.atan2(x, z) / (2 * math.pi) + 0.5) * width
    down = (torch.atan2(y, torch.hypot(x, z)) / math.pi + 0.5) * height
    around = functional.pad(light, (1, 1, 0, 0), mode="circular")
    return encoded(sampled(around, across + 1, down, "border"))


def _in_front(maps: NDArray[np.float32], others: tuple[Wall, ...], part: Raster) -> Tensor:
    """How much of each pixel a plane covers before others, (T, 1, H, W) in [0, 1].

    Inverse depths are linear over the raster, so that where two planes meet is a straight line
    with a known distance from every pixel.
    """
    if not others:
        return torch.ones(len(maps), 1, part.height, part.width, device=part.device)
    apart = maps[:, 2:] - np.stack([other.maps[:, 2] for other in others], axis=1)
    steepness = np.linalg.norm(apart[..., :2], axis=-1, keepdims=True)
    distances = part.through(torch.from_numpy(apart / np.maximum(steepness, 1e-9)))
    return (distances.amin(dim=0) + 0.5).clamp(0, 1)[:, None]


def _covering(cover: Tensor, device: torch.device) -> Raster | None:
    """The part of the frames in which (T, 1, H, W) is above 0 in any; None where there is none."""
    there = cover.amax(dim=(0, 1)) > 0
    rows, columns = (there.any(dim=axis).nonzero()[:, 0].tolist() for axis in (1, 0))
    if not rows:
        return None
    left, top = columns[0], rows[0]
    return Raster(left, top, columns[-1] + 1 - left, rows[-1] + 1 - top, device)


def _card(card: Card, part: Raster, corpus: Corpus) -> Tensor:
    """Color and cover, (T, 4, H, W) in [0, 1]; color is multiplied by cover."""
    (left, top), (height, width) = card.corner, card.shape.shape
    piece = corpus.photographs[card.photograph][top : top + height, left : left + width]
    pixels = torch.from_numpy(np.dstack([piece, card.shape])).to(part.device)
    picture = pixels.permute(2, 0, 1)[None].float() / 255
    picture[:, :3] *= picture[:, 3:]
    fewer = min(card.fewer, height, width)
    across, down, depth = part.through(torch.from_numpy(card.maps))
    inverse = 1 / (fewer * depth.clamp(min=NEVER))
    x, y = (axis * inverse + 0.5 / fewer for axis in (across, down))
    return sampled(functional.avg_pool2d(picture, fewer), x, y, "zeros")


def _seen(wall: Wall, part: Raster, corpus: Corpus) -> Tensor:
    """(T, 3, H, W) in [0, 1], whatever is in front."""
    maps = torch.from_numpy(wall.maps)
    across, down, depth = part.through(maps)
    inverse = 1 / depth.clamp(min=NEVER)
    places = torch.stack([across * inverse, down * inverse])
    # How far a pixel's neighbor to the right, and the one below, lies on the photograph.
    slopes = maps.to(part.device).permute(1, 2, 0)[..., None, None]
    right, below = ((slopes[:2, way] - places * slopes[2, way]) * inverse for way in (0, 1))
    squares = right.square().sum(dim=0), below.square().sum(dim=0)
    longer = torch.where(squares[0] > squares[1], right, below)
    square = torch.maximum(torch.minimum(*squares), torch.maximum(*squares) / wall.lookups**2)
    texture = _texture(wall, corpus, part.device)
    level = (square.clamp(min=1).log2() / 2).clamp(max=texture.levels - 1)
    shifts = (torch.arange(wall.lookups, device=part.device) + 0.5) / wall.lookups - 0.5
    several = places[:, None] + longer[:, None] * shifts[:, None, None, None]
    return _looked_up(texture, several, level).mean(dim=0) * wall.gain


@dataclass(frozen=True)
class _Texture:
    """A picture, halved again and again."""

    tower: Tensor  # (1, 3, 2 h, w) in [0, 1], the halves below one another
    width: int
    height: int
    levels: int


def _texture(wall: Wall, corpus: Corpus, device: torch.device) -> _Texture:
    photograph = corpus.photographs[wall.photograph]
    count = min(LEVELS, 1 + max(0, int(math.log2(min(photograph.shape[:2]) / 8))))
    height, width = (size >> (count - 1) << (count - 1) for size in photograph.shape[:2])
    piece = photograph[:height, :width]
    tower = torch.zeros(1, 3, 2 * height, width, device=device)
    level = tower[:, :, :height]
    torch.mul(torch.from_numpy(piece).to(device).permute(2, 0, 1), 1 / 255, out=level[0])
    for n in range(1, count):
        level = functional.avg_pool2d(level, 2)
        start = 2 * height - (height >> (n - 1))
        tower[:, :, start : start + level.shape[2], : level.shape[3]] = level
    return _Texture(tower, width, height, count)


def _looked_up(texture: _Texture, places: Tensor, level: Tensor) -> Tensor:
    """Between the two halves whose pixels are about as large as the raster's.

    Args:
        texture: The picture.
        places: (2, N, T, H, W) columns and rows of it.
        level: (T, H, W), how often halved.

    Returns:
        (N, T, 3, H, W) in [0, 1].
    """
    x, y = (_folded(*one) for one in zip(places, (texture.width, texture.height), strict=True))
    lower = level.floor()
    found = []
    for chosen in (lower, (lower + 1).clamp(max=texture.levels - 1)):
        share = torch.exp2(-chosen)
        # Pixels that do not reach into the halves above and below.
        across = torch.minimum((x * share).clamp(min=0.5), texture.width * share - 0.5)
        down = torch.minimum((y * share).clamp(min=0.5), texture.height * share - 0.5)
        down = down + 2 * texture.height * (1 - share)
        found.append(sampled(texture.tower, across, down, "border"))
    return torch.lerp(found[0], found[1], (level - lower)[:, None])


def _folded(places: Tensor, size: int) -> Tensor:
    """Distances from a picture's edge, places outside mirrored until they lie within [0, size]."""
    turned = (places + 0.5) % (2 * size)
    return torch.minimum(turned, 2 * size - turned)
