"""Texture for a hole: every patch of it is made to look like some patch of what is known.

Patches and pixels are found in turn, from coarse to fine (Wexler et al., Space-time completion of
video, PAMI 2007). Beside its colors a pixel has a roughness, without which smooth patches would fit
anything well enough (Newson et al., Video inpainting of complex scenes, SIAM J. Imaging 2014).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sttn.model.region import around_mask
from sttn.propagation.closing import closed, grown, touched
from sttn.texture.patches import REACH, SIDE, patches, voted
from sttn.texture.search import Search

DEPTH = 5.0
"""Pixels from the edge to the middle of the hole in the smallest image."""

ROUNDS = (12, 6, 4, 3)
"""Times that patches and pixels are found in turn, from the smallest image on; the last one for all
larger ones."""

HELD = (0.7, 0.5, 0.0)
"""How much of the first guess stays in the pixels from round to round, from the smallest image on:
what goes where is up to the guess, how it looks is not. In the largest image nothing stays."""

SURROUNDINGS = 64
"""Pixels around a hole that are copied from at least; or as many as the hole is large."""

SPREAD, SPREAD_AT_LAST = 3.0, 0.7
"""Pixels from its center at which a patch says little; fewer in the last round, so that what it
lays is sharp."""

ROUGHNESS = 5.0
"""What a change from pixel to pixel counts beside a difference in color."""

PLACE = (2.0, 1.0)
"""What the image's longer side counts beside a difference in color, up and across: what is far
below is floor, and seldom goes on above."""

SEEN_AROUND = SIDE - 1
"""Pixels around a hole that patches of its pixels reach."""

LARGEST = 150_000
"""Pixels up to which patches are compared, 0.8 KB each; in larger images what smaller ones found is
copied."""

THEREABOUTS = 9
"""Pixels on a side over which roughness is a mean."""

FADES = 1.3
"""By which factor a pixel counts less with every pixel of depth in the hole."""

DEEPEST = 300.0
"""Pixels of depth beyond which none counts less: smaller shares are 0 in float32, and patches of
nothing else would say 0 / 0."""

FAINT = 1e-6
"""Squared error that tells no patch from another."""


class Synthesis(NamedTuple):
    """A filled image."""

    pixels: NDArray[np.float32]
    """(H, W, 3). The patches reach :data:`SEEN_AROUND` pixels beyond the hole, and what they say
    there is told too, so that it can be compared with what is known; further out as given."""
    places: NDArray[np.float32]
    """(H, W, 2), x and y that most of a pixel of the hole is copied from; arbitrary elsewhere."""


def synthesized(
    image: NDArray[np.float32],
    hole: NDArray[np.bool_],
    unseen: NDArray[np.bool_] | None = None,
    go_on: Callable[[], None] = lambda: None,
) -> Synthesis | None:
    """Fill a hole with texture of its surroundings; the same for the same image.

    Args:
        image: (H, W, 3) in [0, 1], inside the hole a first guess of its colors.
        hole: (H, W), True somewhere.
        unseen: (H, W), what is not copied from, the hole included: what was filled before is soft.
        go_on: Called before every round; what it raises ends the work.

    Returns:
        None where too little is known to copy from.
    """
    region = around_mask(hole)
    assert region is not None, "there is something to fill"
    box = region.grown(max(SURROUNDINGS, *region.size), hole.shape)
    inside = np.ascontiguousarray(box.of(hole))
    hidden = inside if unseen is None else np.ascontiguousarray(box.of(unseen))
    channels = np.dstack([box.of(image), _roughness(box.of(image), hidden)])
    found = _from_coarse_to_fine(channels, inside, hidden, go_on)
    if found is None:
        return None
    pixels, places = image.copy(), np.zeros((*hole.shape, 2), np.float32)
    box.of(pixels)[...] = found.image[..., :3]
    rows, columns = np.divmod(found.nearest, inside.shape[1])
    box.of(places)[...] = np.stack([columns + box.left, rows + box.top], axis=-1)
    return Synthesis(pixels, places)


class _Found(NamedTuple):
    """What was found at one size."""

    image: NDArray[np.float32]
    """(h, w, C)."""
    nearest: NDArray[np.int64]
    """(h, w), row and column in one number of the most similar patch's center; 0 far from holes."""


class _Held(NamedTuple):
    """Colors that pixels are held to."""

    guess: NDArray[np.float32]
    """(h, w, 3)."""
    share: float
    """How much of it stays."""

    def mixed(self, pixels: Tensor) -> Tensor:
        """Pixels (C, h, w), colors first, nearer to it."""
        colors = torch.from_numpy(self.guess).permute(2, 0, 1)
        return torch.cat([torch.lerp(pixels[:3], colors, self.share), pixels[3:]])


def _from_coarse_to_fine(
    image: NDArray[np.float32],
    hole: NDArray[np.bool_],
    unseen: NDArray[np.bool_],
    go_on: Callable[[], None],
) -> _Found | None:
    deepest = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3).max()
    too_large = math.log2(hole.size / LARGEST) / 2
    halvings = max(0, math.ceil(math.log2(deepest / DEPTH)), math.ceil(too_large))
    found: _Found | None = None
    for level in range(halvings, -1, -1):
        size = (max(1, image.shape[1] >> level), max(1, image.shape[0] >> level))
        guess, missing = _area(image, size), _area(hole.astype(np.float32), size) > 0
        hidden = _area(unseen.astype(np.float32), size) > 0
        if missing.size > LARGEST:
            if found is None:
                return None
            found = _copied(guess, missing, found.nearest)
            continue
        start = guess.copy()
        if found is not None:
            larger = cv2.resize(found.image, size, interpolation=cv2.INTER_CUBIC)
            start[missing] = larger[missing]
        rounds, held = (of[min(halvings - level, len(of) - 1)] for of in (ROUNDS, HELD))
        colors = _Held(guess[..., :3], held if level else 0)
        nearest = found and found.nearest
        found = _textured(start, missing, hidden, nearest, int(rounds), colors, go_on)
    return found


def _copied(
    image: NDArray[np.float32], hole: NDArray[np.bool_], coarser: NDArray[np.int64]
) -> _Found:
    """Pixels from where smaller images found them."""
    nearest = _finer(coarser, hole.shape)
    told = grown(hole, REACH)
    result = image.copy()
    result[told] = image.reshape(-1, image.shape[-1])[nearest.reshape(hole.shape)[told]]
    return _Found(result, nearest.reshape(hole.shape))


def _textured(
    image: NDArray[np.float32],
    hole: NDArray[np.bool_],
    unseen: NDArray[np.bool_],
    coarser: NDArray[np.int64] | None,
    rounds: int,
    held: _Held,
    go_on: Callable[[], None],
) -> _Found | None:
    """Patches and pixels in turn at one size; None where no whole patch is known."""
    square = np.ones((SIDE, SIDE), np.uint8)
    known = (~hole).astype(np.uint8)
    seen = (~unseen).astype(np.uint8)
    whole = cv2.erode(seen, square, borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    if not whole.any():
        return None
    touching = 1 - cv2.erode(known, square)
    asked = torch.from_numpy(np.flatnonzero(touching))
    best: Tensor | None = None
    if coarser is not None:
        best = torch.from_numpy(_finer(coarser, hole.shape))[asked]
    pixels, inside = torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(hole)
    says = _says(hole)[asked]
    shown = patches(pixels)
    search = Search(shown, _places(hole.shape), torch.from_numpy(whole), asked)
    for following in reversed(range(rounds)):
        go_on()
        queries = shown[asked]
        best = search.nearest(queries, best)
        chosen = shown[best]
        weights = _weights(chosen - queries, says)
        laid = voted(chosen, weights, asked, SPREAD if following else SPREAD_AT_LAST, hole.shape)
        pixels = torch.where(inside, held.mixed(laid) if following else laid, pixels)
        shown = patches(pixels)
    told = torch.from_numpy(cv2.dilate(touching, square) > 0)
    pixels = torch.where(told, laid, pixels)
    nearest = torch.zeros(hole.size, dtype=torch.int64)
    assert best is not None, "there is at least one round"
    nearest[asked] = best
    return _Found(pixels.permute(1, 2, 0).numpy(), nearest.reshape(hole.shape).numpy())


def _places(size: tuple[int, ...]) -> Tensor:
    """Row and column of every pixel, as they count beside its patch: (H * W, 2)."""
    places = np.indices(size).reshape(2, -1).T / max(size) * PLACE
    return torch.from_numpy(places.astype(np.float32))


def _says(hole: NDArray[np.bool_]) -> Tensor:
    """How much each pixel of every patch says, (H * W, SIDE * SIDE): what is known says most."""
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
    return patches(torch.from_numpy(FADES ** -np.minimum(depth, DEEPEST))[None])


def _weights(missed: Tensor, says: Tensor) -> Tensor:
    """How much each patch (Q, N) has to say, by what it misses: (Q,)."""
    squared = missed.square().unflatten(1, (-1, SIDE * SIDE)).sum(1)
    error = (squared * says).sum(1) / says.sum(1)
    return torch.exp(-error / (2 * error.quantile(0.75) + FAINT))


def _finer(nearest: NDArray[np.int64], size: tuple[int, ...]) -> NDArray[np.int64]:
    """Places found in an image of half the size, (H * W,) in one of a size."""
    height, width = nearest.shape
    rows, columns = np.indices(size).reshape(2, -1)
    found = nearest[np.minimum(rows // 2, height - 1), np.minimum(columns // 2, width - 1)]
    down, right = found // width * 2 + rows % 2, found % width * 2 + columns % 2
    return np.asarray(down.clip(0, size[0] - 1) * size[1] + right.clip(0, size[1] - 1))


def _roughness(image: NDArray[np.float32], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How much the known part changes from pixel to pixel, (H, W); continued into the hole."""
    known = ~touched(hole)
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    slopes = (cv2.Sobel(gray, cv2.CV_32F, *axes, scale=1 / 8) for axes in ((1, 0), (0, 1)))
    changes, part = sum(np.abs(slope) for slope in slopes), known.astype(np.float32)
    total, count = (cv2.blur(each, (THEREABOUTS, THEREABOUTS)) for each in (changes * part, part))
    mean = np.divide(total, count, out=np.zeros_like(total), where=count > 0)
    return closed((ROUGHNESS * mean[..., None]).astype(np.float32), known)[..., 0]


def _area(image: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.float32)
