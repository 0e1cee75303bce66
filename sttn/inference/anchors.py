"""Frames that are completed before their neighbors, so that what no frame shows is made up once.

What the network makes up is soft, and differs from frame to frame. So it is done for one frame in
:data:`SPACING`, with texture, and the frames between take it from there as if it were real. An
anchor takes from the one before it what that has made up already.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.inference.clip import Clip
from sttn.inference.laying import SEAM, put_together
from sttn.model.region import Region, around_mask
from sttn.propagation import ORIGINS, Anchor, Fill, Propagation
from sttn.propagation.closing import touched
from sttn.propagation.flow import grid
from sttn.propagation.shown import in_float
from sttn.texture import synthesized

SPACING = 16
"""Frames from one anchor to the next; places are followed by flow over a few more."""

CHOICE = 4
"""Frames of which the sharpest becomes the anchor: what is copied in a blurred one is blurred."""

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
        """Of a frame without a hole, (H, W, ORIGINS): every pixel comes from where it is."""
        origins = np.ones((*self.mask.shape, ORIGINS), np.float32)
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
        go_on: Called between steps; raises CancelledError where the caller does not want to go on.
    """

    def __init__(
        self,
        clip: Clip,
        propagation: Propagation,
        real: Callable[[int], Fill | None],
        network: Network,
        go_on: Callable[[], None],
    ) -> None:
        self._clip, self._propagation = clip, propagation
        self._real, self._network, self._go_on = real, network, go_on
        self._frames: dict[int, int] = {}
        self._done: dict[int, Anchor] = {}

    def completed(self, index: int, real: Fill) -> Fill:
        """Real pixels of a frame's hole, and what its anchors show of the rest."""
        block = index // SPACING
        if index == self._frame_of(block):
            return self._anchor(block).fill(real.box, self._clip.mask(index))
        before = block if index > self._frame_of(block) else block - 1
        around = [at for at in (before, before + 1) if 0 <= at * SPACING < len(self._clip)]
        anchors = {self._frame_of(at): self._anchor(at) for at in around}
        return self._propagation.carried(index, real, anchors)

    def _frame_of(self, block: int) -> int:
        """The frame of some successive ones that is the anchor: the sharpest of the first."""
        if block not in self._frames:
            first = block * SPACING
            some = range(first, min(first + CHOICE, len(self._clip)))
            # What an artist painted may be another picture.
            photographed = [index for index in some if index not in self._clip.clean]
            self._frames[block] = max(photographed or some, key=self._shown_detail)
        return self._frames[block]

    def _shown_detail(self, index: int) -> float:
        """Of a frame outside its hole."""
        return _detail(in_float(self._clip.frame(index)), ~touched(self._clip.mask(index)))

    def _anchor(self, block: int) -> Anchor:
        for at, real in reversed(self._missing(block)):
            self._done[at] = self._completed(at, real)
            for old in sorted(self._done)[:-KEPT]:
                del self._done[old]
        return self._done[block]

    def _missing(self, block: int) -> list[tuple[int, Fill | None]]:
        """Blocks whose anchors are not done, and real pixels of these.

        One block and those that it builds on; itself first.
        """
        missing: list[tuple[int, Fill | None]] = []
        for at in range(block, -1, -1):
            if at in self._done:
                break
            index = self._frame_of(at)
            real = self._real(index)
            # After a crash these are all up to here, and each took a frame's time to find.
            missing.append((at, None if real is None else self._propagation.waiting(real)))
            if real is None or not real.leaves(self._clip.mask(index)).any():
                break
        return missing

    def _completed(self, block: int, fill: Fill | None) -> Anchor:
        index = self._frame_of(block)
        frame = _Frame(index, in_float(self._clip.frame(index)), self._clip.mask(index))
        if fill is None:
            return Anchor(pixels=frame.pixels, origins=frame.origins())
        before = self._done.get(block - 1)
        if before is not None and fill.leaves(frame.mask).any():
            fill = self._propagation.carried(index, fill, {self._frame_of(block - 1): before})
        self._go_on()
        return self._textured(frame, fill, self._soft(frame, fill))

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

    def _textured(self, frame: _Frame, fill: Fill, anchor: Anchor) -> Anchor:
        """An anchor with texture where a fill leaves something open, if any can be found."""
        rest = fill.leaves(frame.mask)
        left = around_mask(rest)
        if left is None:
            return anchor
        texture = synthesized(anchor.pixels, rest, frame.mask, self._go_on)
        if texture is None:
            return anchor
        asked = left.grown(SEAM, rest.shape)
        pixels = put_together(frame.pixels, frame.mask, fill, asked, asked.of(texture.pixels))
        origins = anchor.origins.copy()
        made_up = rest & (fill.origins_over(rest.shape)[..., 3] <= 0)
        origins[made_up, 0], origins[made_up, 3] = frame.index, 1
        origins[made_up, 1:3] = texture.places[made_up]
        return Anchor(pixels=pixels, origins=origins)


def _detail(pixels: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """How much an image (H, W, 3) changes from pixel to pixel in a part of it."""
    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    changes = np.abs(cv2.Laplacian(gray, cv2.CV_32F))[where]
    return float(changes.mean()) if len(changes) else 0.0
