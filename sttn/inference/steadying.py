"""Fills that agree with those of the frames before and after.

Every frame's hole is filled on its own, so what is a little off in one frame is off in another way
in the next. Each fill is moved towards the mean of itself and of its two neighbors, which are
brought to where they lie in it. Only what is coarser than a pixel moves: the mean itself is softer.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np

from sttn.inference.clip import Clip, Pixels
from sttn.inference.laying import lay
from sttn.model.region import Region
from sttn.propagation.flow import DisFlow, Flow, squared_length, warped
from sttn.propagation.shown import in_8_bits, in_float

AROUND = 32
"""Pixels around a hole in which motion is looked for."""

UNLIKE = 32 / 255
"""Difference in color, a mean over :data:`ALIKE_OVER` pixels, at which a neighbor says little: flow
also finds a way between things that are not the same."""

ALIKE_OVER = 5
"""Pixels on a side."""

FINEST = 1.0
"""Standard deviation, in pixels, of the blur that a correction gets."""


def steadied(fills: Iterator[tuple[int, Pixels]], clip: Clip) -> Iterator[tuple[int, Pixels]]:
    """Move the fills of a clip towards those beside them.

    Args:
        fills: Index and filled frame (H, W, 3), in order, of all that the clip says are filled.
        clip: The clip.

    Yields:
        Those that are returned, each once the next one is there, for the caller to keep or change;
        only holes differ.
    """
    steadying, returned, filled = _Steadying(clip), set(clip.returned), set(clip.filled)
    kept: dict[int, Pixels] = {}
    waiting: deque[int] = deque()
    for latest, fill in fills:
        kept[latest] = fill
        waiting.append(latest)
        while waiting and (waiting[0] < latest or latest + 1 not in filled):
            index = waiting.popleft()
            if index in returned:
                around = [i for i in (index - 1, index + 1) if 0 <= i < len(clip)]
                # Nobody fills what an artist painted.
                beside = {i: kept[i] if i in kept else clip.frame(i) for i in around}
                yield index, steadying.moved(index, kept[index], beside)
            for done in [i for i in kept if i < index]:
                del kept[done]


class _Found(NamedTuple):
    """Motion from a frame to the next one and back, within a box."""

    frame: int
    box: Region
    there: Flow
    back: Flow


class _Steadying:
    """Moves one fill after another, in order."""

    def __init__(self, clip: Clip) -> None:
        self._clip, self._motion = clip, DisFlow()
        self._latest: _Found | None = None

    def moved(self, index: int, fill: Pixels, beside: Mapping[int, Pixels]) -> Pixels:
        """A copy of a fill, moved towards what those beside it, by index, show in its hole."""
        result, hole = fill.copy(), self._clip.hole(index)
        if hole is None or not beside:
            return result
        box = hole.grown(AROUND, self._clip.size)
        pixels, where = in_float(box.of(fill)), box.of(self._clip.mask(index))
        total, weights = pixels.copy(), np.ones(box.size, np.float32)
        for other, shown in beside.items():
            there, back = self._between(index, other, box, fill, shown)
            brought = warped(in_float(box.of(shown)), there, cv2.INTER_CUBIC)
            apart = np.abs(cv2.blur(brought - pixels, (ALIKE_OVER, ALIKE_OVER))).max(axis=-1)
            weight = np.exp(-squared_length(there + warped(back, there)) - (apart / UNLIKE) ** 2)
            total += weight[..., None] * brought
            weights += weight
        missed = np.where(where[..., None], total / weights[..., None] - pixels, np.float32(0))
        lay(result, box, pixels + cv2.GaussianBlur(missed, (0, 0), FINEST), where)
        return result

    def _between(
        self, index: int, other: int, box: Region, fill: Pixels, shown: Pixels
    ) -> tuple[Flow, Flow]:
        """Motion to another frame and back; under a hole that stands still it is there already."""
        before = self._latest
        if before is not None and before.box == box and before.frame == other == index - 1:
            return before.back, before.there
        own, its = in_8_bits(box.of(fill)), in_8_bits(box.of(shown))
        there, back = self._motion(own, its), self._motion(its, own)
        if other == index + 1:
            self._latest = _Found(index, box, there, back)
        return there, back
