"""Fills that agree with those of the frames before and after.

Every frame's hole is filled on its own, so what is a little off in one frame is off in another way
in the next. Each fill is moved towards the mean of itself and of its two neighbors, which are
brought to where they lie in it. Only what is coarser than a pixel moves: the mean itself is softer.
"""

from collections import deque
from collections.abc import Iterator

import cv2
import numpy as np

from sttn.inference.clip import Clip, Pixels
from sttn.inference.laying import lay
from sttn.propagation.flow import DisFlow, squared_length, warped
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
        Those that are returned, each once the next one is there; only holes differ.
    """
    motion, returned, filled = DisFlow(), set(clip.returned), set(clip.filled)
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
                beside = [kept[i] if i in kept else clip.frame(i) for i in around]
                yield index, _moved(kept[index], beside, clip, index, motion)
            kept.pop(index - 1, None)


def _moved(fill: Pixels, beside: list[Pixels], clip: Clip, index: int, motion: DisFlow) -> Pixels:
    hole = clip.hole(index)
    if hole is None or not beside:
        return fill
    box = hole.grown(AROUND, clip.size)
    own, where = in_8_bits(box.of(fill)), box.of(clip.mask(index))
    pixels = in_float(box.of(fill))
    total, weights = pixels.copy(), np.ones(box.size, np.float32)
    for other in beside:
        shown = in_8_bits(box.of(other))
        there, back = motion(own, shown), motion(shown, own)
        brought = warped(in_float(box.of(other)), there, cv2.INTER_CUBIC)
        unlike = np.abs(cv2.blur(brought - pixels, (ALIKE_OVER, ALIKE_OVER))).max(axis=-1) / UNLIKE
        weight = np.exp(-squared_length(there + warped(back, there)) - unlike**2)
        total += weight[..., None] * brought
        weights += weight
    apart = np.where(where[..., None], total / weights[..., None] - pixels, np.float32(0))
    result = fill.copy()
    lay(result, box, pixels + cv2.GaussianBlur(apart, (0, 0), FINEST), where)
    return result
