"""What is offered for a hole, and what is made of it."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sttn.model.region import Region
from sttn.propagation.candidates import Candidate, Surroundings
from sttn.propagation.closing import closed
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
"""Pixels to what was found at which a membrane over that is good enough, and no network is asked.
Measured on six real clips, that moved in-hole PSNR by -0.02 to +0.03 dB."""

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
    mixed = _mixed(weights[1:], known.pixels[1:])
    origins = _origins(offers, weights, known, mixed, trust)
    missing = hole & (trust.numpy() < HALF)
    sure = specks = _specks(missing)
    if np.array_equal(specks, missing):
        mixed, sure = _mixed(weights, known.pixels), hole
    pixels: NDArray[np.float32] = mixed.numpy()
    if specks.any():
        shown = np.where(hole[..., None], pixels, offers.around.pixels)
        pixels[specks] = closed(shown, ~missing)[specks]
    trusted = np.where(sure, np.float32(1), trust.numpy())
    return Fill(box=offers.box, pixels=pixels, trust=trusted, origins=origins)


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


def _specks(missing: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those connected parts of what was not found that lie within :data:`SPECK` of what was."""
    drawn = missing.astype(np.uint8)
    depth = cv2.distanceTransform(drawn, cv2.DIST_L2, 3)
    count, parts = cv2.connectedComponents(drawn)
    deep = np.zeros(count, np.bool_)
    deep[parts[depth > SPECK]] = True
    specks: NDArray[np.bool_] = missing & ~deep[parts]
    return specks
