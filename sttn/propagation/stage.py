"""One frame after another: what other frames show of its hole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sttn.device import in_memory
from sttn.model.region import Region, around_mask
from sttn.propagation.candidates import (
    MARGIN,
    Candidate,
    Surroundings,
    candidate,
    mean_by_evidence,
    surroundings,
)
from sttn.propagation.closing import PAD, grown, touched
from sttn.propagation.fills import Anchor, Fill, nothing, through_anchors
from sttn.propagation.fusion import Fusion, Seen, seen
from sttn.propagation.merging import Offers, anything, merged
from sttn.propagation.motion import Motion
from sttn.propagation.recent import Recent
from sttn.propagation.shelf import Shelf
from sttn.propagation.shown import Shown, behind_membrane, in_8_bits, in_float, steps
from sttn.propagation.traces import (
    FARTHEST,
    FARTHEST_IN_PLANE,
    Trace,
    Visible,
    by_flow,
    in_plane,
    sampled_sharply,
)

TELEA_RADIUS = 3.0
"""Pixels around a missing one that the fill in space looks at."""

AT_HAND = 8
"""Frames with a membrane that are kept, since threads look at pairs that lie side by side."""

NO_ROOM = "not enough memory to weigh the real pixels of one hole; use a smaller raster"


class _Hole(NamedTuple):
    """A hole with its margin, and fills in space of both; all but the box in its coordinates."""

    box: Region
    hole: NDArray[np.bool_]
    """(h, w)."""
    wider: NDArray[np.bool_]
    """(h, w), the hole and its margin."""
    filled: NDArray[np.uint8]
    """(h, w, 3), the hole filled."""
    margin_filled: NDArray[np.uint8]
    """(h, w, 3), both filled, knowing nothing of the margin."""

    def kept(self, shelf: Shelf) -> _Hole:
        """The same, waiting on a shelf."""
        waiting = map(shelf.kept, (self.filled, self.margin_filled))
        # The hole is a part of its mask, which waits already.
        return _Hole(self.box, self.hole, shelf.kept(self.wider.copy()), *waiting)


class _Sources(NamedTuple):
    """Frames that may be fetched from, and how places are followed there."""

    motion: Motion
    frame: Callable[[int], NDArray[Any]]
    visible: Visible
    by_flow: int
    """Frames over which places are followed by flow."""
    in_plane: int
    """Frames over which they are followed as if all lay in one plane."""
    looks: int = 2
    """How often a place is looked at in each direction."""
    by_camera: bool = True
    """Whether the camera's motion is asked too."""
    in_strides: bool = True
    """Whether the plane is matched over strides of several frames too."""


class Propagation:
    """Fetches what holes hide from the frames around them. Threads may share it.

    Args:
        frame: Gives frames (H, W, 3) by index, uint8 or float32 in [0, 1].
        mask: Gives masks (H, W) bool by index, True inside the hole.
        count: Frames of the clip.
        fusion: Decides what to believe, on the device that shall compute.
        shelf: Where frames and their motion wait.
        at_once: Successive frames that threads may be looking at.
    """

    def __init__(
        self,
        frame: Callable[[int], NDArray[Any]],
        mask: Callable[[int], NDArray[np.bool_]],
        count: int,
        fusion: Fusion,
        shelf: Shelf | None = None,
        at_once: int = 1,
    ) -> None:
        self._count, self._fusion = count, fusion
        on_gpu = next(fusion.parameters()).is_cuda
        # Of a GPU's memory, which the network wants too, one frame takes its part at a time.
        self._turn: AbstractContextManager[object] = Lock() if on_gpu else nullcontext()
        shelf = shelf or Shelf()
        within = 2 * FARTHEST_IN_PLANE + at_once
        reached = within + FARTHEST
        self._frames = Recent[int, NDArray[Any]](reached, lambda i: shelf.kept(_kept(frame(i))))
        self._masks = Recent[int, NDArray[np.bool_]](reached, lambda i: shelf.kept(mask(i)))
        self._visible = Recent[int, NDArray[np.bool_]](
            reached, lambda i: shelf.kept(~touched(self._masks[i]))
        )
        self._holes = Recent[int, _Hole | None](within, self._hole)
        self._shelf = shelf
        closed = Recent[int, Shown](
            AT_HAND, lambda i: behind_membrane(self._frames[i], self._masks[i])
        )
        self._rough = Motion(closed.__getitem__, within, shelf)
        self._filled = Recent[int, Shown](within, self._roughly_filled)
        self._motion = Motion(self._filled.__getitem__, within, shelf, self._rough)
        self._begun_before = {self._rough: 0, self._motion: 0}
        self._real = _Sources(
            motion=self._motion,
            frame=self._frames.__getitem__,
            visible=self._visible.__getitem__,
            by_flow=FARTHEST,
            in_plane=FARTHEST_IN_PLANE,
        )
        self._at_first = _Sources(
            motion=self._rough,
            frame=lambda i: in_8_bits(self._frames[i]),  # as flow sees it, whatever the plate is
            visible=self._visible.__getitem__,
            by_flow=FARTHEST,
            in_plane=FARTHEST,
            looks=1,
            by_camera=False,
            in_strides=False,
        )

    @torch.inference_mode()
    def fill(self, index: int) -> Fill | None:
        """What other frames show of a frame's hole, merged; None where it has none.

        Raises:
            OutOfMemoryError: what they offer for it cannot be weighed.
        """
        offers = self.offers(index)
        return None if offers is None else self._merged(offers)

    def waiting(self, fill: Fill) -> Fill:
        """A fill as it waits to be used, within the budget of all that waits."""
        return fill.kept(self._shelf)

    def preparations(self, index: int) -> Iterator[Callable[[], object]]:
        """Motion that filling a frame may ask for and no earlier call has named, each by itself.

        The farthest comes first: who fills the frame begins with the nearest, and finds the rest
        done.
        """
        reaches = {self._rough: FARTHEST_IN_PLANE + FARTHEST, self._motion: FARTHEST_IN_PLANE}
        for motion, reach in reaches.items():
            first = max(self._begun_before[motion], index - reach)
            last = min(index + reach, self._count - 1)
            self._begun_before[motion] = max(first, last)
            for pair in reversed(range(first, last)):
                yield partial(motion.pair, pair)

    def offers(self, index: int) -> Offers | None:
        """What other frames offer for a frame's hole; None where it has none."""
        return self._offered(index, self._frames[index], self._holes[index], self._real)

    @torch.inference_mode()
    def carried(self, index: int, real: Fill, anchors: Mapping[int, Anchor]) -> Fill:
        """What real pixels leave open of a hole, from anchors before and after.

        Args:
            index: Of the frame.
            real: Its real pixels.
            anchors: By index.

        Raises:
            OutOfMemoryError: what they offer for it cannot be weighed.
        """
        frame, known = in_float(self._frames[index]).copy(), real.trust >= 1
        real.box.of(frame)[known] = real.pixels[known]
        rest = _hole(frame, real.leaves(self._masks[index]))
        offers = self._offered(index, frame, rest, self._of_anchors(index, anchors))
        if offers is None:
            return real
        made_up = self._merged(offers, anything)
        origins = through_anchors(anchors, made_up.origins)
        return real.completed_by(dataclasses.replace(made_up, origins=origins))

    @torch.inference_mode()
    def _roughly_filled(self, index: int) -> Shown:
        """A frame in which motion is looked for again, now inside its hole as well."""
        frame, mask = self._at_first.frame(index), self._masks[index]
        offers = self._offered(index, frame, self._holes[index], self._at_first)
        if offers is None:
            return Shown(image=frame, hole=mask, unknown=mask)
        image, unknown, hole = frame.copy(), mask.copy(), offers.around.hole
        pixels = mean_by_evidence(offers.around, offers.candidates)
        offers.box.of(image)[hole] = in_8_bits(pixels)[hole]
        for offer in offers.candidates:
            offers.box.of(unknown)[offer.found] = False
        return Shown(image=self._shelf.kept(image), hole=mask, unknown=self._shelf.kept(unknown))

    def _hole(self, index: int) -> _Hole | None:
        hole = _hole(self._frames[index], self._masks[index])
        return None if hole is None else hole.kept(self._shelf)

    def _of_anchors(self, index: int, anchors: Mapping[int, Anchor]) -> _Sources:
        all_of_it = np.ones(self._masks[index].shape, np.bool_)
        none_of_it = ~all_of_it
        farthest = max((abs(anchor - index) for anchor in anchors), default=0)
        return _Sources(
            motion=self._motion,
            frame=lambda source: anchors[source].pixels,
            visible=lambda source: all_of_it if source in anchors else none_of_it,
            by_flow=min(farthest, FARTHEST),
            in_plane=farthest,
            looks=1,  # in either direction there is but one
        )

    def _merged(
        self, offers: Offers, believed: Callable[[Tensor], Tensor] = lambda weights: weights
    ) -> Fill:
        if not any(offer.found.any() for offer in offers.candidates):
            return nothing(offers.box)
        known = seen(offers.around, offers.candidates)
        return merged(offers, known, believed(self._weights(known)))

    def _weights(self, known: Seen) -> Tensor:
        """What each candidate is worth, (K + 1, h, w), the fill in space first."""
        with self._turn:
            return in_memory(partial(self._weighed, known), NO_ROOM)

    def _weighed(self, known: Seen) -> Tensor:
        parameter = next(self._fusion.parameters())
        offered, shared = (part[None].to(parameter) for part in known[:2])
        weights = self._fusion(offered, shared, known.scores[None].to(parameter.device))
        return torch.as_tensor(weights[0].cpu())

    def _offered(
        self, index: int, frame: NDArray[Any], hole: _Hole | None, sources: _Sources
    ) -> Offers | None:
        if hole is None:
            return None
        box = hole.box
        around = _surroundings(frame, hole)
        rows, columns = np.nonzero(hole.wider)
        asked = rows, columns
        start = np.stack([columns + box.left, rows + box.top], axis=1).astype(np.float32)
        context = (sources.motion, sources.visible, self._count, index, start)
        reach, stride = sources.in_plane, sources.motion.stride if sources.in_strides else None
        traces = [
            *by_flow(*context, sources.by_flow, sources.looks),
            *in_plane(*context, lambda step: step.plane, reach, sources.looks, stride),
        ]
        if sources.by_camera:
            traces += in_plane(*context, lambda step: step.camera, reach, sources.looks)
        candidates = [
            self._candidate(index, around, asked, trace, fetched)
            for trace, fetched in zip(traces, _fetched(traces, sources), strict=True)
        ]
        return Offers(
            box=box,
            around=around,
            candidates=candidates,
            asked=asked,
            traces=traces,
        )

    def _candidate(
        self,
        index: int,
        around: Surroundings,
        asked: tuple[NDArray[np.intp], NDArray[np.intp]],
        trace: Trace,
        fetched: NDArray[np.float32],
    ) -> Candidate:
        pixels = np.zeros((*around.hole.shape, 3), np.float32)
        distance = np.zeros(around.hole.shape, np.float32)
        pixels[asked] = fetched
        distance[asked] = np.where(trace.frames >= 0, np.abs(trace.frames - index), 0)
        return candidate(around, pixels, distance, trace.kind)


def _hole(frame: NDArray[Any], mask: NDArray[np.bool_]) -> _Hole | None:
    """What a mask hides of a frame; None where that is nothing."""
    wider = grown(mask, MARGIN)
    there = around_mask(wider)
    if there is None:
        return None
    box = there.grown(PAD, mask.shape).coarser(2, 2).finer(2, 2)
    hole, both = box.of(mask), box.of(wider)
    # OpenCV's fill looks at what it is to replace.
    blackened = np.where(hole[..., None], np.uint8(0), in_8_bits(box.of(frame)))
    filled, margin_filled = (
        np.asarray(
            cv2.inpaint(blackened, part.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA),
            np.uint8,
        )
        for part in (hole, both)
    )
    return _Hole(box, hole, both, filled, margin_filled)


def _surroundings(frame: NDArray[Any], hole: _Hole) -> Surroundings:
    """What is known of the box around a frame's hole before anything is fetched."""
    filled, margin_filled = (
        image.astype(np.float32) / np.float32(255) for image in (hole.filled, hole.margin_filled)
    )
    known = np.where(hole.hole[..., None], filled, in_float(hole.box.of(frame)))
    margin = hole.wider & ~hole.hole
    return surroundings(known.astype(np.float32), margin_filled, hole.hole, margin)


def _fetched(traces: list[Trace], sources: _Sources) -> NDArray[np.float32]:
    """The pixels (K, N, 3) that K traces lead to, 0 where they lead nowhere."""
    frames = np.concatenate([trace.frames for trace in traces])
    places = np.concatenate([trace.places for trace in traces])
    pixels = np.zeros((len(frames), 3), np.float32)
    order = np.argsort(frames, kind="stable")
    found, begins = np.unique(frames.take(order), return_index=True)
    for source, some in zip(found, np.split(order, begins[1:]), strict=True):
        if source < 0:
            continue
        shown, visible = sources.frame(int(source)), sources.visible(int(source))
        fetched = sampled_sharply(shown, places.take(some, axis=0), visible)
        pixels[some] = (fetched / np.float32(steps(shown))).clip(0, 1)
    return pixels.reshape(len(traces), -1, 3)


def _kept(frame: NDArray[Any]) -> NDArray[Any]:
    """A frame as it waits to be fetched from: half floats are finer than what a fill needs."""
    return frame if frame.dtype == np.uint8 else frame.astype(np.float16)
