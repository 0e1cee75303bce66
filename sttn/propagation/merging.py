"""What is offered for a hole, and what is made of it."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sttn.model.region import Region
from sttn.propagation.candidates import Candidate, Surroundings
from sttn.propagation.fills import ORIGINS, Fill
from sttn.propagation.fusion import Seen
from sttn.propagation.traces import Trace

LEAST_TRUST, MOST_TRUST = 0.02, 0.95
"""Weights of what was fetched that count as none and as all."""

DECIDED = 8
"""Power of the weights of what was made up: where candidates differ little, their mean is soft."""

LEAST_WEIGHT = 1e-4
"""Of all that was found: less is as good as nothing."""

HALF = 0.5
"""Trust below which a pixel counts as not found."""

SPECK = 4.0
"""Pixels to what was found at which a fill in space is good enough: a hole that misses no more
than that is left to no network. Measured on five real clips and the demo shot, that moved in-hole
PSNR by -0.02 to +0.02 dB."""

AGREEMENT = 0.02
"""By how much a fill may differ from the candidate that most of it comes from, and still show what
that shows; at twice that it shows something else."""


@dataclass(frozen=True, kw_only=True)
class Offers:
    """Everything that is known of a hole before anyone decides."""

    box: Region
    around: Surroundings
    candidates: list[Candidate]
    asked: tuple[NDArray[np.intp], NDArray[np.intp]]
    """Rows and columns in the box of the N places that were followed."""
    traces: list[Trace]
    """Where they lead, one for each candidate."""


def merged(offers: Offers, known: Seen, weights: Tensor) -> Fill:
    """The mean of what is offered.

    Args:
        offers: For a hole.
        known: What the fusion saw of them.
        weights: (K + 1, h, w), what each is worth, the fill in space first.
    """
    hole = offers.around.hole
    fetched = weights[1:].sum(0)
    trust = (fetched - LEAST_TRUST).clamp(0) / (MOST_TRUST - LEAST_TRUST)
    trust = trust.clamp(max=1) * torch.from_numpy(hole.astype(np.float32))
    pixels = _mixed(weights[1:], known.pixels[1:])
    origins = _origins(offers, weights, known, pixels, trust)
    if _specks_only(hole & (trust.numpy() < HALF)):
        pixels, trust = _mixed(weights, known.pixels), torch.from_numpy(hole.astype(np.float32))
    return Fill(box=offers.box, pixels=pixels.numpy(), trust=trust.numpy(), origins=origins)


def anything(weights: Tensor) -> Tensor:
    """Weights by which whatever was found is better than the fill in space, the best by far."""
    found = weights[1:].sum(0)
    kept = torch.cat([(weights[0] * (found < LEAST_WEIGHT))[None], weights[1:]])
    decided = (kept / kept.amax(0).clamp(min=LEAST_WEIGHT)) ** DECIDED
    return decided / decided.sum(0).clamp(min=LEAST_WEIGHT)


def _mixed(weights: Tensor, pixels: Tensor) -> Tensor:
    """The mean (h, w, 3) of pixels (K, 3, h, w), weighed by (K, h, w)."""
    total = weights.sum(0).clamp(min=LEAST_TRUST)
    mixed: Tensor = torch.einsum("khw,kchw->hwc", weights, pixels) / total[..., None]
    return mixed


def _origins(
    offers: Offers, weights: Tensor, known: Seen, pixels: Tensor, trust: Tensor
) -> NDArray[np.float32]:
    """Where most of every pixel comes from, (h, w, ORIGINS), as :class:`Fill` says."""
    most = weights[1:].argmax(0, keepdim=True)
    shown = known.pixels[1:].take_along_dim(most[:, None], dim=0)[0].permute(1, 2, 0)
    agrees = (2 - (shown - pixels).abs().mean(-1) / AGREEMENT).clamp(0, 1)
    chosen = most[0].numpy()[offers.asked], np.arange(len(offers.asked[0]))
    frames = np.stack([trace.frames for trace in offers.traces])[chosen]
    places = np.stack([trace.places for trace in offers.traces])[chosen]
    origins = np.zeros((*offers.box.size, ORIGINS), np.float32)
    shares = torch.stack([trust * agrees, trust], dim=-1).numpy()[offers.asked]
    origins[offers.asked] = np.column_stack([frames, places, shares])
    return origins


def _specks_only(missing: NDArray[np.bool_]) -> bool:
    """Whether what was not found lies within :data:`SPECK` of what was."""
    depth = cv2.distanceTransform(missing.astype(np.uint8), cv2.DIST_L2, 3)
    return float(depth.max()) <= SPECK
