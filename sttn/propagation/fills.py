"""What was found for a hole, and frames that were completed before others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sttn.model.region import Region
from sttn.propagation.shelf import Shelf
from sttn.propagation.traces import nearest

ORIGINS = 5
"""Numbers that are told of where a pixel comes from."""


@dataclass(frozen=True, kw_only=True)
class Fill:
    """What was fetched for a hole."""

    box: Region
    """Where in the frame the hole and its surroundings lie."""
    pixels: NDArray[np.float32]
    """(h, w, 3) in [0, 1]; arbitrary where ``trust`` is 0."""
    trust: NDArray[np.float32]
    """(h, w) in [0, 1]; 1 needs no other fill; 0 outside the hole."""
    origins: NDArray[np.float32]
    """(h, w, ORIGINS): frame, column and row that most of a pixel was fetched from, and how much of
    it shows what is there; where that is 0 these three are arbitrary. At last how much of the pixel
    some frame really shows: texture is fetched too, but made up."""

    def kept(self, shelf: Shelf) -> Fill:
        """The same, waiting on a shelf."""
        pixels, trust, origins = map(shelf.kept, (self.pixels, self.trust, self.origins))
        return Fill(box=self.box, pixels=pixels, trust=trust, origins=origins)

    def leaves(self, hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(H, W), what of a hole (H, W) is left for others to fill."""
        rest = hole.copy()
        self.box.of(rest)[self.trust >= 1] = False
        return rest

    def over(
        self, size: tuple[int, ...], region: Region
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Pixels and trust of another region of a frame of (H, W), 0 beyond the box."""
        pixels, trust = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
        self.box.of(pixels)[...] = self.pixels
        self.box.of(trust)[...] = self.trust
        return region.of(pixels), region.of(trust)

    def completed_by(self, other: Fill) -> Fill:
        """What another fill, of a part of the box, adds where this one leaves something open."""
        part = other.box.within(self.box)
        pixels, trust, origins = self.pixels.copy(), self.trust.copy(), self.origins.copy()
        mine, its = part.of(trust), (1 - part.of(trust)) * other.trust
        total = np.maximum(mine + its, 1e-6)[..., None]
        part.of(pixels)[...] += its[..., None] / total * (other.pixels - part.of(pixels))
        taken, real = its > mine, part.of(origins)[..., 4] + (1 - mine) * other.origins[..., 4]
        part.of(origins)[taken] = other.origins[taken]
        part.of(origins)[..., 4] = real
        part.of(trust)[...] = mine + its
        return Fill(box=self.box, pixels=pixels, trust=trust, origins=origins)

    def origins_over(self, size: tuple[int, ...]) -> NDArray[np.float32]:
        """Of a whole frame of (H, W): (H, W, ORIGINS); frame -1 where none was fetched."""
        result = np.zeros((*size, ORIGINS), np.float32)
        result[..., 0] = -1
        inside, fetched = self.box.of(result), self.origins[..., 3] > 0
        inside[fetched] = self.origins[fetched]
        inside[..., 4] = self.origins[..., 4]
        return result


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A frame that was completed before its neighbors, which then take from it what none shows."""

    pixels: NDArray[np.float32]
    """(H, W, 3) in [0, 1], without a hole."""
    origins: NDArray[np.float32]
    """(H, W, ORIGINS): where every pixel was fetched from, as in a :class:`Fill`."""

    def fill(self, box: Region, hole: NDArray[np.bool_]) -> Fill:
        """What it shows of a hole (H, W), all of which lies in a box."""
        inside = box.of(hole)
        return Fill(
            box=box,
            pixels=box.of(self.pixels),
            trust=inside.astype(np.float32),
            origins=box.of(self.origins) * inside[..., None],
        )


def nothing(box: Region) -> Fill:
    """A fill where no frame shows anything."""
    pixels, trust = np.zeros((*box.size, 3), np.float32), np.zeros(box.size, np.float32)
    origins = np.zeros((*box.size, ORIGINS), np.float32)
    return Fill(box=box, pixels=pixels, trust=trust, origins=origins)


def through_anchors(
    anchors: Mapping[int, Anchor], origins: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Where what anchors show was fetched from, in place of the anchors: (h, w, ORIGINS)."""
    result = origins.copy()
    for index, anchor in anchors.items():
        some = (origins[..., 3:] > 0).any(-1) & (origins[..., 0] == index)
        at = origins[some][:, 1:3]
        x, y = nearest(at, anchor.origins.shape)
        through = anchor.origins[y, x]
        through[:, 1:3] += at - np.column_stack([x, y])
        through[:, 3:] *= origins[some][:, 3:]
        result[some] = through
    return result
