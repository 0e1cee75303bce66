"""Frames that are completed before their neighbors, so that what no frame shows is made up once.

What the network makes up is soft, and differs from frame to frame. So it is done for one frame in
:data:`SPACING`, with texture, and the frames between take it from there as if it were real. An
anchor takes from the one before it what that has made up already.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sttn.inference.clip import Clip
from sttn.inference.laying import SEAM, open_part, put_together
from sttn.model.region import Region, around_mask
from sttn.propagation import Anchor, Fill, Propagation
from sttn.propagation.flow import grid
from sttn.propagation.motion import in_float
from sttn.texture import Synthesis, synthesized

SPACING = 16
"""Frames from one anchor to the next; places are followed by flow over a few more."""

SHARPENED = 4
"""Anchors from one whose carried texture is made sharp again to the next: carrying softens it."""

KEPT = 2
"""Anchors that are kept: those around a frame."""

Network = Callable[[int, Region], NDArray[np.float32]]
"""What the network says of a rectangle of a frame: index and region to (h, w, 3) in [0, 1]."""


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
            if not open_part(self._clip.mask(at), self._real(at)).any():
                break
        return missing

    def _completed(self, index: int) -> Anchor:
        frame, mask = in_float(self._clip.frame(index)), self._clip.mask(index)
        origins = np.ones((*mask.shape, 4), np.float32)
        origins[..., 0], origins[..., 1:3] = index, grid(*mask.shape)
        fill = self._real(index)
        if fill is None:
            return Anchor(pixels=frame, origins=origins)
        before, real = self._done.get(index - SPACING), fill
        if before is not None and open_part(mask, fill).any():
            fill = self._propagation.carried(index, fill, {index - SPACING: before})
        origins[mask] = fill.origins_over(mask.shape)[mask]
        anchor = self._made_up(index, frame, mask, fill, origins)
        if fill is not real and index % (SPACING * SHARPENED) == 0:
            hidden = open_part(mask, real)
            texture = synthesized(anchor.pixels, hidden, closely=True)
            anchor = _with_texture(anchor, index, frame, mask, real, texture)
        return anchor

    def _made_up(
        self,
        index: int,
        frame: NDArray[np.float32],
        mask: NDArray[np.bool_],
        fill: Fill,
        origins: NDArray[np.float32],
    ) -> Anchor:
        """The frame with what no other one shows: the network's colors, texture from around."""
        rest = open_part(mask, fill)
        left = around_mask(rest)
        if left is None:
            return Anchor(pixels=put_together(frame, mask, fill, None, None), origins=origins)
        asked = left.grown(SEAM, mask.shape)
        pixels = put_together(frame, mask, fill, asked, self._network(index, asked))
        soft = Anchor(pixels=pixels, origins=origins)
        return _with_texture(soft, index, frame, mask, fill, synthesized(pixels, rest))


def _with_texture(
    anchor: Anchor,
    index: int,
    frame: NDArray[np.float32],
    mask: NDArray[np.bool_],
    fill: Fill,
    texture: Synthesis | None,
) -> Anchor:
    """An anchor with texture where a fill leaves something open, if there is any."""
    rest = open_part(mask, fill)
    left = around_mask(rest)
    if texture is None or left is None:
        return anchor
    asked = left.grown(SEAM, mask.shape)
    pixels = put_together(frame, mask, fill, asked, asked.of(texture.pixels))
    origins = anchor.origins.copy()
    made_up = rest & (fill.origins_over(mask.shape)[..., 3] <= 0)
    origins[made_up, 0], origins[made_up, 3] = index, 1
    origins[made_up, 1:3] = texture.places[made_up]
    return Anchor(pixels=pixels, origins=origins)
