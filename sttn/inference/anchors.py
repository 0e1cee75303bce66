"""Frames that are completed before their neighbors, so that what no frame shows is made up once.

What the network makes up is soft, and differs from frame to frame. So it is done for one frame in
:data:`SPACING`, with texture, and the frames between take it from there as if it were real. An
anchor takes from the one before it what that has made up already.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sttn.inference.clip import Clip
from sttn.inference.laying import SEAM, put_together
from sttn.model.region import Region, around_mask
from sttn.propagation import Anchor, Fill, Propagation
from sttn.propagation.flow import grid
from sttn.propagation.motion import in_float
from sttn.texture import synthesized

SPACING = 16
"""Frames from one anchor to the next; places are followed by flow over a few more."""

SHARPENED = 4
"""Anchors from one whose carried texture is made sharp again to the next: carrying softens it."""

KEPT = 2
"""Anchors that are kept: those around a frame."""

Network = Callable[[int, Region], NDArray[np.float32]]
"""What the network says of a rectangle of a frame: index and region to (h, w, 3) in [0, 1]."""


@dataclass(frozen=True)
class _Frame:
    """A frame that is to become an anchor."""

    index: int
    pixels: NDArray[np.float32]
    """(H, W, 3) in [0, 1]."""
    mask: NDArray[np.bool_]
    """(H, W)."""

    def origins(self) -> NDArray[np.float32]:
        """Of a frame without a hole, (H, W, 4): every pixel comes from where it is."""
        origins = np.ones((*self.mask.shape, 4), np.float32)
        origins[..., 0], origins[..., 1:3] = self.index, grid(*self.mask.shape)
        return origins


class Anchors:
    """Every :data:`SPACING`-th frame of a clip, completed when it is first needed.

    What they show does not depend on what was asked for before.

    Args:
        clip: The clip.
        propagation: Of the clip.
        real: Real pixels of a frame's hole by index; None where it has none.
        network: Fills what no frame shows.
    """

    def __init__(
        self,
        clip: Clip,
        propagation: Propagation,
        real: Callable[[int], Fill | None],
        network: Network,
    ) -> None:
        self._clip, self._propagation = clip, propagation
        self._real, self._network = real, network
        self._done: dict[int, Anchor] = {}

    def completed(self, index: int, real: Fill) -> Fill:
        """Real pixels of a frame's hole, and what its anchors show of the rest."""
        before = index - index % SPACING
        if index == before:
            return self[index].fill(real.box, self._clip.mask(index))
        around = [at for at in (before, before + SPACING) if at < len(self._clip)]
        return self._propagation.carried(index, real, {at: self[at] for at in around})

    def __getitem__(self, index: int) -> Anchor:
        for at in reversed(self._missing(index)):
            self._done[at] = self._completed(at)
            for old in sorted(self._done)[:-KEPT]:
                del self._done[old]
        return self._done[index]

    def _missing(self, index: int) -> list[int]:
        """An anchor and those that it builds on, as far as they are not done; itself first."""
        missing = []
        for at in range(index, -1, -SPACING):
            if at in self._done:
                break
            missing.append(at)
            real = self._real(at)
            if real is None or not real.leaves(self._clip.mask(at)).any():
                break
        return missing

    def _completed(self, index: int) -> Anchor:
        frame = _Frame(index, in_float(self._clip.frame(index)), self._clip.mask(index))
        real = self._real(index)
        if real is None:
            return Anchor(pixels=frame.pixels, origins=frame.origins())
        before, fill = self._done.get(index - SPACING), real
        if before is not None and real.leaves(frame.mask).any():
            fill = self._propagation.carried(index, real, {index - SPACING: before})
        anchor = _textured(frame, fill, self._soft(frame, fill))
        if fill is not real and index % (SPACING * SHARPENED) == 0:
            anchor = _textured(frame, real, anchor, closely=True)
        return anchor

    def _soft(self, frame: _Frame, fill: Fill) -> Anchor:
        """A frame with a fill, and the network's colors where that leaves something open."""
        origins = frame.origins()
        origins[frame.mask] = fill.origins_over(frame.mask.shape)[frame.mask]
        left, asked, said = around_mask(fill.leaves(frame.mask)), None, None
        if left is not None:
            asked = left.grown(SEAM, frame.mask.shape)
            said = self._network(frame.index, asked)
        pixels = put_together(frame.pixels, frame.mask, fill, asked, said)
        return Anchor(pixels=pixels, origins=origins)


def _textured(frame: _Frame, fill: Fill, anchor: Anchor, closely: bool = False) -> Anchor:
    """An anchor with texture where a fill leaves something open, if any can be found."""
    rest = fill.leaves(frame.mask)
    left = around_mask(rest)
    texture = None if left is None else synthesized(anchor.pixels, rest, closely)
    if left is None or texture is None:
        return anchor
    asked = left.grown(SEAM, rest.shape)
    pixels = put_together(frame.pixels, frame.mask, fill, asked, asked.of(texture.pixels))
    origins = anchor.origins.copy()
    made_up = rest & (fill.origins_over(rest.shape)[..., 3] <= 0)
    origins[made_up, 0], origins[made_up, 3] = frame.index, 1
    origins[made_up, 1:3] = texture.places[made_up]
    return Anchor(pixels=pixels, origins=origins)
