"""The network that decides, pixel by pixel, which candidates to believe.

It sees what every candidate shows and what its margin witnesses, and gives each a weight; the fill
in space, which later is the generator's, has one too. The weights sum to 1, so nothing but pixels
that were really found, and the generator's, can come out. It begins as the mean by evidence and
agreement.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sttn.errors import CheckpointError
from sttn.model.checkpoint import fitted, read_network, save_network
from sttn.propagation.agreement import agreed
from sttn.propagation.candidates import FLOOR, SHARPNESS, Candidate, Surroundings
from sttn.propagation.traces import FARTHEST_IN_PLANE
from sttn.settings.weights import FUSION_WEIGHTS

OF_A_CANDIDATE = 13
"""Numbers that the network sees of a candidate at every pixel."""

OF_SURROUNDINGS = 11
"""Numbers that it sees of the surroundings."""

DEEPEST = 32.0
"""Pixels from the hole's edge that count as 1."""

NEVER = -1e4
"""Score of a candidate where it found nothing."""


class Seen(NamedTuple):
    """What the network sees of a hole."""

    offered: Tensor
    """(K, OF_A_CANDIDATE, h, w)."""
    shared: Tensor
    """(OF_SURROUNDINGS, h, w)."""
    scores: Tensor
    """(K + 1, h, w), logarithms of the weights by evidence and agreement; the fill in space
    first."""
    pixels: Tensor
    """(K + 1, 3, h, w) in [0, 1]; the fill in space first."""


@dataclass(frozen=True, kw_only=True)
class FusionConfig:
    """The size of the network."""

    width: int = 16
    """Channels, a multiple of 16: with others oneDNN 3.11's bfloat16 gradients were NaN."""

    def __post_init__(self) -> None:
        if self.width < 16 or self.width % 16:
            raise ValueError(f"width must be a multiple of 16, got {self.width}")


class Fusion(nn.Module):
    """Weighs candidates; works at half the raster."""

    def __init__(self, config: FusionConfig | None = None) -> None:
        super().__init__()
        self.config = config or FusionConfig()
        width = self.config.width
        self.look = nn.Sequential(
            nn.Conv2d(OF_A_CANDIDATE + OF_SURROUNDINGS, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
        )
        self.compare = nn.Conv2d(3 * width, width, 3, padding=1)
        self.widen = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=reach, dilation=reach) for reach in (2, 4, 8)
        )
        self.score = nn.Conv2d(3 * width, 1, 1)
        self.score_in_space = nn.Conv2d(2 * width, 1, 1)
        for head in (self.score, self.score_in_space):
            for parameter in head.parameters():
                nn.init.zeros_(parameter)

    def forward(self, offered: Tensor, shared: Tensor, scores: Tensor) -> Tensor:
        """Weigh candidates.

        Args:
            offered: (B, K, OF_A_CANDIDATE, h, w), h and w even.
            shared: (B, OF_SURROUNDINGS, h, w).
            scores: (B, K + 1, h, w).

        Returns:
            (B, K + 1, h, w), sums to 1 over K + 1.
        """
        first = cast(nn.Conv2d, self.look[0])
        features = _each(self.look[1:], _channels_last(_beside(first, offered, shared)))
        found = functional.avg_pool2d((scores[:, 1:] > NEVER).to(features.dtype), 2)[:, :, None]
        features = torch.relu(_beside(self.compare, features, _of_all(features, found)))
        for layer in self.widen:
            features = features + torch.relu(_each(layer, features))
        together = _of_all(features, found)
        change = _beside(self.score, features, together)[:, :, 0]
        half = torch.cat([self.score_in_space(together), change], dim=1)
        full = functional.interpolate(half.float(), scale_factor=2, mode="bilinear")
        return torch.softmax(scores + full, dim=1)


def _each(layer: nn.Module, features: Tensor) -> Tensor:
    """A layer over every candidate's features (B, K, C, h, w)."""
    result: Tensor = layer(features.flatten(0, 1)).unflatten(0, features.shape[:2])
    return result


def _channels_last(features: Tensor) -> Tensor:
    """Features (B, K, C, h, w) as dilated convolutions want them: on CPUs these are three times as
    fast then.
    """
    each = features.flatten(0, 1).contiguous(memory_format=torch.channels_last)
    result: Tensor = each.unflatten(0, features.shape[:2])
    return result


def _beside(layer: nn.Conv2d, own: Tensor, shared: Tensor) -> Tensor:
    """A convolution over every candidate's features (B, K, C, h, w) beside shared (B, D, h, w).

    What is shared is convolved once, not K times.
    """
    for_own, for_shared = layer.weight.split([own.shape[2], shared.shape[1]], dim=1)
    stride, padding = layer.stride, cast(tuple[int, int], layer.padding)
    each = functional.conv2d(own.flatten(0, 1), for_own, layer.bias, stride, padding)
    once = functional.conv2d(shared, for_shared, None, stride, padding)
    result: Tensor = each.unflatten(0, own.shape[:2]) + once[:, None]
    return result


def _of_all(features: Tensor, found: Tensor) -> Tensor:
    """Mean and largest features of the candidates that found something: (B, 2 C, h, w)."""
    sets = features * found
    mean = sets.sum(1) / found.sum(1).clamp(min=0.5)
    return torch.cat([mean, sets.amax(1)], dim=1)


def seen(around: Surroundings, candidates: list[Candidate]) -> Seen:
    """What the network sees of a hole and of what is offered for it; sides are even."""
    pixels = _stacked([around.pixels, *(offer.pixels for offer in candidates)])
    found = _stacked([offer.found for offer in candidates])
    errors = (_stacked([offer.error for offer in candidates]).clamp(min=0) + FLOOR).log()
    in_space = (_stacked([around.in_space_error])[0] + FLOOR).log()
    distance = _stacked([offer.distance for offer in candidates])
    hole, margin = _stacked([around.hole, around.margin])
    scores = torch.cat([-SHARPNESS * in_space[None], -SHARPNESS * errors])
    scores[1:] = scores[1:].where(found > 0, NEVER)
    somewhere = found.amax(0) > 0
    both = agreed(scores[1:, somewhere], pixels[1:, :, somewhere])
    scores[1:, somewhere] = both.where(found[:, somewhere] > 0, NEVER)
    mean = torch.einsum("khw,kchw->chw", scores.softmax(0), pixels).where(hole > 0, pixels[0])
    apart = (pixels[1:] - mean) * found[:, None]
    offered = torch.empty(len(candidates), OF_A_CANDIDATE, *around.hole.shape)
    torch.mul(pixels[1:] - 0.5, found[:, None], out=offered[:, :3])
    offered[:, 3:6] = apart
    torch.abs(apart, out=offered[:, 6:9])
    torch.mul(_scaled(errors), found, out=offered[:, 9])
    offered[:, 10] = found
    torch.div(distance, FARTHEST_IN_PLANE, out=offered[:, 11])
    offered[:, 12] = torch.tensor([offer.kind for offer in candidates])[:, None, None]
    spread = apart.square().sum(0) / found.sum(0).clamp(min=1)
    shared = torch.stack(
        [
            *(mean - 0.5),
            *(pixels[0] - mean),
            _scaled(in_space),
            hole,
            margin,
            (_stacked([around.depth])[0] / DEEPEST).clamp(max=1),
            spread.mean(0).sqrt(),
        ]
    )
    return Seen(offered=offered, shared=shared, scores=scores, pixels=pixels)


def _scaled(logarithm: Tensor) -> Tensor:
    """Logarithms of squared errors to about [-1, 1]."""
    return logarithm / 5 + 1


def _stacked(images: Sequence[NDArray[Any]]) -> Tensor:
    """Images (h, w) or (h, w, C) as (N, h, w) or (N, C, h, w) float32."""
    stacked = np.stack(images)
    channels_first = np.moveaxis(stacked, -1, 1) if stacked.ndim == 4 else stacked
    return torch.from_numpy(np.ascontiguousarray(channels_first, np.float32))


def load_fusion(
    device: torch.device,
    precision: torch.dtype = torch.float32,
    path: Path | str = FUSION_WEIGHTS,
) -> Fusion:
    """The network that this package ships, or another one, on a device and in a precision.

    The same one as before, where the file has not been written since; do not change it.

    Raises:
        CheckpointError: the file cannot be used.
    """
    path = Path(path)
    try:
        found = path.stat()
    except OSError as error:
        raise CheckpointError(f"no weights at {path}: {error.strerror}") from error
    return read_once(device, precision, path, (found.st_ino, found.st_mtime_ns, found.st_size))


@lru_cache(maxsize=4)
def read_once(
    device: torch.device, precision: torch.dtype, path: Path, state: tuple[int, ...]
) -> Fusion:
    """As :func:`load_fusion`; what the file is now counts among what decides.

    Args:
        device: The device.
        precision: The precision.
        path: The file.
        state: Differs once the file is another.
    """
    size, tensors = read_network(path)
    fusion = fitted(path, lambda: Fusion(FusionConfig(**size)), tensors)
    return fusion.to(device, precision)


def save_fusion(fusion: Fusion, path: Path, facts: dict[str, str] | None = None) -> None:
    """Write weights in half precision, so that a reader never sees half a file."""
    save_network(fusion, asdict(fusion.config), path, torch.float16, facts)
