"""Fine-tuning on one shot: the network learns the shot's own look from its own visible pixels.

Holes are cut where the shot is known, and filled, and compared. What the shot's matte covers is
hidden from the network and never compared with anything.
"""

import math
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sttn.device import choose_precision
from sttn.errors import FootageError
from sttn.footage import Image
from sttn.model import Generator
from sttn.settings.computing import Precision
from sttn.settings.raster import RASTER_MULTIPLE
from sttn.training.losses import region_loss
from sttn.training.masks import random_masks
from sttn.training.plates import Codes
from sttn.training.recipes import TIMELINE, random_times, require_clip, require_learning

PROBES = 6
"""Fixed holes by which before and after are compared."""

WARMUP = 0.05
"""Share of the time over which the learning rate rises; it falls over the rest."""

KEPT = 0.5
"""Share of the way from the weights given to the weights learned that is gone: what lies between
both keeps most of what was learned, and does not know the shot's visible pixels by heart. The whole
way cost two of seven clips up to 0.2 dB, half of it none more than 0.01."""


@dataclass(frozen=True, kw_only=True)
class AdaptationConfig:
    """How long and how boldly weights follow a shot."""

    minutes: float = 10.0
    """Time for learning."""
    learning_rate: float = 5e-4
    """Adam's, at its highest."""
    width: int = 432
    """Columns of the raster learned at, a multiple of 48; best the one that will be filled at. A
    smaller shot is not enlarged to it, since it is not for filling either."""
    height: int = 240
    """Rows of the raster learned at, likewise."""
    frames: int = 5
    """Frames seen together."""
    precision: Precision = "auto"
    """What the network computes in while it learns; auto takes bfloat16 where that is faster, so
    that more is learned in the time. Weights are float32."""
    seed: int = 0
    """The same seed cuts the same holes."""

    def __post_init__(self) -> None:
        if not 0 < self.minutes < math.inf:
            raise ValueError(f"minutes must be above 0 and finite, got {self.minutes}")
        require_learning(self.learning_rate, self.seed)
        require_clip(self.width, self.height, self.frames)


@dataclass(frozen=True, kw_only=True)
class Adapted:
    """What came of it."""

    generator: Generator
    steps: int
    psnr_before: float
    """Inside holes cut into the shot, in dB, with the weights given."""
    psnr_after: float
    """With the weights that came out."""


def adapt(
    generator: Generator,
    frames: Image | Codes,
    masks: NDArray[np.bool_],
    config: AdaptationConfig,
    device: torch.device,
    progress: Callable[[float], None] = lambda _: None,
) -> Adapted:
    """Fine-tune weights on a shot.

    Args:
        generator: The weights to begin with; left as they are.
        frames: (T, H, W, 3), uint8 display-referred or float16 in [0, 1] of the working space; what
            the masks cover is not looked at.
        masks: (T, H, W), True where the shot is unknown.
        config: How long and how boldly.
        device: Where it is computed.
        progress: Told the share of the time that is gone.

    Returns:
        The new weights; the old ones where the new ones are no better.

    Raises:
        FootageError: the shot has no visible pixels, or frames and masks do not fit.
    """
    if frames.shape[:3] != masks.shape:
        raise FootageError(f"frames are {frames.shape[:3]}, masks {masks.shape} (T, H, W)")
    if masks.all():
        raise FootageError("the matte covers every pixel of every frame; nothing to learn from")
    cuts = _Cuts(frames, masks, config, device)
    probes = [cuts.cut(np.random.default_rng((config.seed, 1, n))) for n in range(PROBES)]
    network = deepcopy(generator).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    rounded = choose_precision(config.precision, device) is torch.bfloat16
    network.trained_pixels = max(generator.trained_pixels, math.prod(cuts.size))
    before = _psnr(network, probes, rounded)
    optimizer = torch.optim.Adam(network.parameters(), betas=(0.9, 0.99))
    started, steps, gone = time.monotonic(), 0, 0.0
    while gone < 1:
        rate = config.learning_rate * min(gone / WARMUP + 0.02, 1.0, 1.02 - gone)
        for group in optimizer.param_groups:
            group["lr"] = rate
        cut = cuts.cut(np.random.default_rng((config.seed, 0, steps)))
        _learn(network, optimizer, cut, rounded)
        steps += 1
        gone = (time.monotonic() - started) / (60 * config.minutes)
        progress(min(1.0, gone))
    _go_back(network, generator)
    after = _psnr(network, probes, rounded)
    kept = network if after > before else generator
    return Adapted(generator=kept, steps=steps, psnr_before=before, psnr_after=max(before, after))


@torch.no_grad()
def _go_back(network: nn.Module, start: nn.Module) -> None:
    """Part of the way to where a network came from."""
    for learned, given in zip(network.parameters(), start.parameters(), strict=True):
        learned.lerp_(given.to(learned), 1 - KEPT)


@dataclass(frozen=True)
class _Cut:
    truth: Tensor  # (1, T, 3, H, W) in [-1, 1]
    unknown: Tensor  # (1, T, 1, H, W), 1 where the shot itself is unknown
    hole: Tensor  # the same shape, 1 where a known place was hidden


class _Cuts:
    """Pieces of the shot with holes cut into what is known."""

    def __init__(
        self,
        frames: Image | Codes,
        masks: NDArray[np.bool_],
        config: AdaptationConfig,
        device: torch.device,
    ) -> None:
        self._frames = frames
        self._masks = masks
        self._config = config
        self._device = device
        sides = (frames.shape[2], config.width), (frames.shape[1], config.height)
        self.size = tuple(min(asked, _multiple(side)) for side, asked in sides)
        """Width and height of the raster learned at."""

    def cut(self, rng: np.random.Generator) -> _Cut:
        span = min(len(self._frames), TIMELINE)
        times = random_times(self._config.frames, span, rng)
        chosen = int(rng.integers(len(self._frames) - span + 1)) + times.astype(np.int64)
        rows, columns = self._box(rng)
        truth = [
            cv2.resize(
                _unit(self._frames[n][rows, columns]), self.size, interpolation=cv2.INTER_AREA
            )
            for n in chosen
        ]
        covered = [
            cv2.resize(
                self._masks[n][rows, columns].astype(np.float32),
                self.size,
                interpolation=cv2.INTER_AREA,
            )
            for n in chosen
        ]
        unknown = np.stack(covered) > 0
        holes = self._holes(unknown, times, rng) & ~unknown
        pixels = np.stack(truth).transpose(0, 3, 1, 2) * 2 - 1
        return _Cut(self._sent(pixels), *(self._sent(m[:, None]) for m in (unknown, holes)))

    def _box(self, rng: np.random.Generator) -> tuple[slice, slice]:
        """A piece of the raster's shape, from all of the frame down to two thirds of it."""
        height, width = self._frames.shape[1:3]
        scale = min(width / self.size[0], height / self.size[1])
        scale *= rng.uniform(2 / 3, 1)
        tall, wide = int(self.size[1] * scale), int(self.size[0] * scale)
        top, left = int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1))
        return slice(top, top + tall), slice(left, left + wide)

    def _holes(
        self, unknown: NDArray[np.bool_], times: NDArray[np.float64], rng: np.random.Generator
    ) -> NDArray[np.bool_]:
        """Half of them drawn, half of the shot's own shape moved elsewhere."""
        if rng.random() < 0.5 and unknown.any():
            shift = (int(rng.integers(unknown.shape[1])), int(rng.integers(unknown.shape[2])))
            return np.roll(unknown, shift, axis=(1, 2))
        return random_masks(times, self.size[1], self.size[0], rng)

    def _sent(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device).float()[None]


def _multiple(side: int) -> int:
    """The most columns or rows of a raster that a frame's side fills; at least the fewest."""
    return max(RASTER_MULTIPLE, side // RASTER_MULTIPLE * RASTER_MULTIPLE)


def _unit(pixels: Image | Codes) -> NDArray[np.float32]:
    """Pixels in [0, 1], whatever their type."""
    return pixels.astype(np.float32) / np.float32(255 if pixels.dtype == np.uint8 else 1)


def _completed(network: nn.Module, cut: _Cut, rounded: bool) -> Tensor:
    mask = (cut.unknown + cut.hole).clamp(max=1)
    with torch.autocast(mask.device.type, torch.bfloat16, enabled=rounded):
        completed: Tensor = network(cut.truth * (1 - mask), mask)
    return completed.float()


def _learn(network: nn.Module, optimizer: torch.optim.Optimizer, cut: _Cut, rounded: bool) -> None:
    completed = _completed(network, cut, rounded)
    visible = 1 - (cut.unknown + cut.hole).clamp(max=1)
    loss = region_loss(completed, cut.truth, cut.hole) + region_loss(completed, cut.truth, visible)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    if norm.isfinite():
        optimizer.step()


@torch.no_grad()
def _psnr(network: nn.Module, cuts: list[_Cut], rounded: bool) -> float:
    """Inside the holes cut, in dB, over all of them together."""
    error, count = 0.0, 0.0
    for cut in cuts:
        apart = (_completed(network, cut, rounded) - cut.truth).clamp(-2, 2) / 2
        error += float((apart.square() * cut.hole).sum())
        count += float(cut.hole.sum()) * 3
    return float(-10 * np.log10(max(error / max(count, 1.0), 1e-10)))
