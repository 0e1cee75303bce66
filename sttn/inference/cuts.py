"""Cuts: where a clip goes on with another picture, across which nothing may be copied.

Two successive frames belong together if one looks like the other once it is moved along the flow.
Both are made so small for that that grain goes, and only what is finer than the light is compared,
so that a flash or a fade is no cut.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import CancelledError
from sttn.footage import Image
from sttn.inference.clip import Clip
from sttn.propagation.closing import closed
from sttn.propagation.flow import DisFlow, Flow, warped
from sttn.propagation.shown import in_8_bits
from sttn.settings.computing import THREADS
from sttn.threads import made_ahead

PIXELS = 54 * 30
"""Of the small images that are compared."""

SHORTEST = 16
"""Pixels of their short side at least."""

LIGHT = 2.0
"""Pixels of the blur that is taken for light and left out."""

FLAT = 3.0
"""Steps of 8 bits: a frame with less in it can be told from no other, and is passed over."""

ALIKE = 0.5
"""Correlation from which on frames belong together. On eleven real clips successive frames have
0.76 or more, frames of different clips 0.35 or less."""

SHOWN = 0.1
"""Share of a frame that both have to show outside their holes, or nothing is known."""

AHEAD = 4 * THREADS
"""Frames that may wait for their flow, so that a movie's do not fill the memory."""


class _Small(NamedTuple):
    """What is compared of a frame."""

    frame: int
    gray: Image
    """(h, w, 3), a membrane over the hole."""
    detail: NDArray[np.float32]
    """(h, w), what of it is finer than the light."""
    known: NDArray[np.bool_]
    """(h, w), outside the hole."""


def stretches(clip: Clip, cancelled: Callable[[], bool]) -> list[list[int]]:
    """The indices of the frames between cuts, in order.

    A cut is one change between two that are none: a single frame of another picture, as a
    flashgun or a fault leaves it, parts nothing. Clean frames, which may look like nothing else,
    make no cut; those right before one belong to what follows if they are like it.

    Raises:
        CancelledError: the caller does not want to go on.
        InvalidClipError: a frame or mask does not fit.
    """
    changes = list(_changes(clip, cancelled))
    alike = [True, *(likeness >= ALIKE for _, likeness in changes), True]
    cuts = [
        index
        for place, (index, _) in enumerate(changes, start=1)
        if len(changes) > 1 and not alike[place] and alike[place - 1] and alike[place + 1]
    ]
    ends = [0, *(_before_what_is_painted(clip, cut) for cut in cuts), len(clip)]
    return [list(range(start, end)) for start, end in pairwise(ends)]


def _before_what_is_painted(clip: Clip, cut: int) -> int:
    """Where a cut is that was found before a frame, with clean frames before that which are like
    what follows.
    """
    estimate = DisFlow(finest=0)
    while cut - 1 in clip.clean:
        before, after = _small(clip, cut - 1), _small(clip, cut)
        if _likeness(before, after, estimate(before.gray, after.gray)) < ALIKE:
            break
        cut -= 1
    return cut


def _changes(clip: Clip, cancelled: Callable[[], bool]) -> Iterator[tuple[int, float]]:
    """Frames that can be told, and how much each is like the one before, -1 to 1.

    Threads find the flow meanwhile, and nothing else: whatever is short they would do in turns.
    """
    estimate = DisFlow(finest=0)
    with ThreadPoolExecutor(THREADS, thread_name_prefix="cuts") as threads:
        for (before, after), flow in made_ahead(
            pairwise(_told(clip, cancelled)),
            lambda pair: estimate(pair[0].gray, pair[1].gray),
            threads,
            AHEAD,
        ):
            yield after.frame, _likeness(before, after, flow)


def _told(clip: Clip, cancelled: Callable[[], bool]) -> Iterator[_Small]:
    """Frames that can be told from others, in order."""
    for index in range(len(clip)):
        if cancelled():
            raise CancelledError("cancelled by the caller")
        if index in clip.clean:
            continue
        frame = _small(clip, index)
        detail = frame.detail[frame.known]
        if len(detail) and detail.std() >= FLAT:
            yield frame


def _small(clip: Clip, index: int) -> _Small:
    height, width = clip.size
    scale = min(1.0, max((PIXELS / (height * width)) ** 0.5, SHORTEST / min(height, width)))
    size = round(width * scale), round(height * scale)
    gray = cv2.cvtColor(in_8_bits(clip.frame(index)), cv2.COLOR_RGB2GRAY)
    hole = cv2.resize(clip.mask(index).astype(np.float32), size, interpolation=cv2.INTER_AREA)
    known = hole == 0
    shrunk = cv2.resize(gray, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    whole = closed(shrunk[..., None], known).clip(0, 255).round().astype(np.uint8)
    return _Small(index, np.repeat(whole, 3, axis=2), _detail(whole), known)


def _likeness(before: _Small, after: _Small, flow: Flow) -> float:
    """Correlation of what is finer than the light, outside both holes; 1 where none can be had."""
    known = before.known & after.known
    if known.mean() < SHOWN:
        return 1.0
    moved = warped(after.gray, flow)
    here, there = before.detail[known], _detail(moved)[known]
    length = np.sqrt(np.square(here).mean() * np.square(there).mean())
    return float((here * there).mean() / length) if length > 0 else 1.0


def _detail(gray: NDArray[np.generic]) -> NDArray[np.float32]:
    """(h, w), what is finer than the light."""
    single = gray[..., 0].astype(np.float32)
    return np.asarray(single - cv2.GaussianBlur(single, (0, 0), LIGHT), np.float32)
