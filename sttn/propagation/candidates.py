"""What other frames offer for a hole, and how well each offer fits the hole's margin.

A margin around every hole is fetched too, though it is known: what a candidate misses there says
how far to trust it inside, and corrects its color.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.propagation.closing import closed

FEWEST_WITNESSES = 20
"""Pixels of the margin below which a candidate is not trusted at all."""

GROWTH = 0.5
"""By how much filling in space errs more, squared, with every :data:`MARGIN` of distance."""

MARGIN = 6
"""Pixels around a hole that are fetched to see how well fetching works."""

SHARPNESS = 2.0
"""By which power of its error a candidate loses weight in the mean by evidence."""

FLOOR = (2 / 255) ** 2
"""Squared error that even the best witness leaves possible."""

UNTRUSTED = 1.0
"""Squared error of what has no witnesses."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The box around a hole, in which everything is computed; all values in [0, 1]."""

    pixels: NDArray[np.float32]
    """(h, w, 3), the hole filled in space in some way."""
    hole: NDArray[np.bool_]
    """(h, w)."""
    margin: NDArray[np.bool_]
    """(h, w), the ring around the hole that is fetched too."""
    depth: NDArray[np.float32]
    """(h, w), pixels to the hole's edge; 0 outside."""
    in_space_error: NDArray[np.float32]
    """(h, w), squared error to be expected of filling in space."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What one kind of trace brings for a hole."""

    pixels: NDArray[np.float32]
    """(h, w, 3), corrected by what it misses the margin by; 0 where nothing was found."""
    found: NDArray[np.bool_]
    """(h, w)."""
    error: NDArray[np.float32]
    """(h, w), squared error that the margin witnesses, continued inwards."""
    distance: NDArray[np.float32]
    """(h, w), frames away from which it was fetched."""
    kind: int
    """Of the trace that led there."""


def surroundings(
    filled: NDArray[np.float32],
    margin_filled: NDArray[np.float32],
    hole: NDArray[np.bool_],
    margin: NDArray[np.bool_],
) -> Surroundings:
    """What is known of a box before anything is fetched.

    Args:
        filled: (h, w, 3) in [0, 1], the hole filled in space.
        margin_filled: The same, but by a fill that knew nothing of the margin either.
        hole: (h, w).
        margin: (h, w).
    """
    depth = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, 3)
    error = _continued(filled - margin_filled, margin) * (1 + GROWTH * depth / MARGIN)
    return Surroundings(
        pixels=filled,
        hole=hole,
        margin=margin,
        depth=np.asarray(depth, np.float32),
        in_space_error=error.astype(np.float32),
    )


def candidate(
    around: Surroundings,
    fetched: NDArray[np.float32],
    distance: NDArray[np.float32],
    kind: int = 0,
) -> Candidate:
    """Correct what was fetched, and judge it, by the margin.

    Args:
        around: The box.
        fetched: (h, w, 3), 0 where nothing was found.
        distance: (h, w), frames away; 0 where nothing was found.
        kind: Of the trace that led there.
    """
    found = distance > 0
    witnesses = around.margin & found
    missed = around.pixels - fetched
    if witnesses.sum() < FEWEST_WITNESSES:
        error = np.full(found.shape, UNTRUSTED, np.float32)
        return Candidate(pixels=fetched, found=found, error=error, distance=distance, kind=kind)
    membrane = closed(np.concatenate([missed, _squared(missed)], axis=-1), witnesses)
    pixels = np.where(found[..., None], fetched + membrane[..., :3], 0).astype(np.float32)
    error = membrane[..., 3]
    return Candidate(pixels=pixels, found=found, error=error, distance=distance, kind=kind)


def mean_by_evidence(around: Surroundings, candidates: list[Candidate]) -> NDArray[np.float32]:
    """The mean of all candidates and the fill in space, each weighed by its error: (h, w, 3)."""
    weight = (around.in_space_error + FLOOR) ** -SHARPNESS
    total, weights = weight[..., None] * around.pixels, weight
    for offer in candidates:
        weight = np.where(offer.found, (offer.error.clip(0) + FLOOR) ** -SHARPNESS, 0)
        total = total + weight[..., None] * offer.pixels
        weights = weights + weight
    mean = (total / weights[..., None]).astype(np.float32)
    return np.where(around.hole[..., None], mean, around.pixels)


def _continued(error: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Squared error, mean over channels, continued from where it is known: (h, w)."""
    return closed(_squared(error), where)[..., 0]


def _squared(error: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, 1), an error (h, w, C) squared, the mean of its channels."""
    total = np.einsum("hwc,hwc->hw", error, error)[..., None]
    return np.asarray(total / error.shape[-1], np.float32)
