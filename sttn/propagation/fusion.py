"""The network that decides, pixel by pixel, which candidates to believe.

It sees what every candidate shows and what its margin witnesses, and gives each a weight; the fill
in space, which later is the generator's, has one too. The weights sum to 1, so nothing but pixels
that were really found, and the generator's, can come out. It begins as the mean by evidence.
"""

from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from sttn.errors import CheckpointError
from sttn.model.checkpoint import fitted, read_network, save_network
from sttn.propagation.candidates import (
    FLOOR,
    SHARPNESS,
    Candidate,
    Surroundings,
    mean_by_evidence,
)
from sttn.propagation.traces import FARTHEST_BY_CAMERA

FUSION_WEIGHTS = Path(__file__).parent.parent / "weights" / "fusion.safetensors"
"""The weights this package ships; the model card beside them tells how they were made."""

KINDS = ((1, 0), (1, 1), (1, 0), (1, 1), (0, 0), (0, 1), (0, 0), (0, 1))
"""Of every candidate: whether it came by flow, and whether it is a second look."""

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
    """(K + 1, h, w), logarithms of the weights by evidence; the fill in space first."""
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
        batch, count = offered.shape[:2]
        around = shared[:, None].expand(-1, count, -1, -1, -1)
        features = self.look(torch.cat([offered, around], dim=2).flatten(0, 1))
        found = functional.avg_pool2d((scores[:, 1:] > NEVER).to(features.dtype), 2)[:, :, None]
        features = torch.relu(self.compare(self._beside_others(features, found, count)))
        for layer in self.widen:
            features = features + torch.relu(layer(features))
        together = self._beside_others(features, found, count)
        change = self.score(together).unflatten(0, (batch, count))[:, :, 0]
        in_space = self.score_in_space(
            together.unflatten(0, (batch, count))[:, 0, features.shape[1] :]
        )
        half = torch.cat([in_space, change], dim=1)
        full = functional.interpolate(half.float(), scale_factor=2, mode="bilinear")
        return torch.softmax(scores + full, dim=1)

    def _beside_others(self, features: Tensor, found: Tensor, count: int) -> Tensor:
        """Each candidate's features beside mean and largest of all that found something."""
        sets = features.unflatten(0, (-1, count)) * found
        mean = sets.sum(1, keepdim=True) / found.sum(1, keepdim=True).clamp(min=0.5)
        largest = sets.amax(1, keepdim=True)
        both = torch.cat([mean, largest], dim=2).expand(-1, count, -1, -1, -1)
        return torch.cat([features, both.flatten(0, 1)], dim=1)


def seen(around: Surroundings, candidates: list[Candidate]) -> Seen:
    """What the network sees of a hole and of what is offered for it; sides are even."""
    mean = mean_by_evidence(around, candidates)
    in_space = np.log(around.in_space_error + FLOOR)
    found = np.stack([offer.found for offer in candidates])
    pixels = np.stack([around.pixels, *(offer.pixels for offer in candidates)])
    errors = np.stack([np.log(offer.error.clip(0) + FLOOR) for offer in candidates])
    apart = np.where(found[..., None], pixels[1:] - mean, 0)
    spread = np.square(apart).sum(0) / np.maximum(found.sum(0), 1)[..., None]
    shared = np.concatenate(
        [
            mean - 0.5,
            around.pixels - mean,
            _scaled(in_space)[..., None],
            around.hole[..., None],
            around.margin[..., None],
            np.minimum(around.depth / DEEPEST, 1)[..., None],
            np.sqrt(spread.mean(-1, keepdims=True)),
        ],
        axis=-1,
    )
    offered = [
        np.concatenate(
            [
                np.where(offer.found[..., None], offer.pixels - 0.5, 0),
                difference,
                np.abs(difference),
                np.where(offer.found, _scaled(error), 0)[..., None],
                offer.found[..., None],
                offer.distance[..., None] / FARTHEST_BY_CAMERA,
                np.full((*offer.found.shape, 1), kind[0] + 2 * kind[1]),
            ],
            axis=-1,
        )
        for offer, difference, error, kind in zip(candidates, apart, errors, KINDS, strict=True)
    ]
    scores = np.where(found, -SHARPNESS * errors, NEVER)
    scores = np.concatenate([-SHARPNESS * in_space[None], scores])
    return Seen(
        offered=_tensor(np.stack(offered).transpose(0, 3, 1, 2)),
        shared=_tensor(shared.transpose(2, 0, 1)),
        scores=_tensor(scores),
        pixels=_tensor(pixels.transpose(0, 3, 1, 2)),
    )


def _scaled(logarithm: NDArray[np.floating]) -> NDArray[np.floating]:
    """Logarithms of squared errors to about [-1, 1]."""
    return np.asarray(logarithm / 5 + 1)


def _tensor(values: NDArray[np.generic]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


@cache
def load_fusion(
    device: torch.device, precision: torch.dtype = torch.float32, path: Path = FUSION_WEIGHTS
) -> Fusion:
    """The network that this package ships, or another one, on a device and in a precision.

    Raises:
        CheckpointError: the file cannot be used.
    """
    size, tensors = read_network(path)
    try:
        fusion = Fusion(FusionConfig(**size))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the 'model' header cannot be used: {error}") from error
    return fitted(path, fusion, tensors).to(device, precision)


def save_fusion(fusion: Fusion, path: Path, facts: dict[str, str] | None = None) -> None:
    """Write weights in half precision, so that a reader never sees half a file."""
    save_network(fusion, asdict(fusion.config), path, torch.float16, facts)
