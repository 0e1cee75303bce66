"""How successive frames move, told inside holes as well, and kept while it is needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from sttn.footage import Image
from sttn.model.region import Region, around_mask
from sttn.propagation.behind import PAD, moved_behind, plane_behind
from sttn.propagation.camera import camera_motion
from sttn.propagation.closing import CAUTION, closed, grown
from sttn.propagation.flow import DisFlow, Flow, grid, squared_length, warped
from sttn.propagation.shelf import Shelf

TOLERANCE = 6.0
"""Pixels by which the way there and back may miss its start."""

LOOKED_AT = 48
"""Pixels around a hole that are looked at again; near their border half of them count for nothing,
since what moves across that has no counterpart."""

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values made when first asked for; the least recently used are dropped. Threads may share it:
    who asks for a value that another thread is making waits for it.
    """

    def __init__(self, count: int, make: Callable[[Key], Value]) -> None:
        self._count, self._make = count, make
        self._values: OrderedDict[Key, Future[Value]] = OrderedDict()
        self._lock = Lock()

    def __getitem__(self, key: Key) -> Value:
        with self._lock:
            value = self._values.get(key)
            mine = value is None
            if value is None:
                value = self._values[key] = Future()
                if len(self._values) > self._count:
                    self._values.popitem(last=False)
            self._values.move_to_end(key)
        if mine:
            try:
                value.set_result(self._make(key))
            except BaseException as error:
                value.set_exception(error)
        return value.result()


@dataclass(frozen=True, kw_only=True)
class Step:
    """The motion from one frame to the next or the previous one."""

    flow: NDArray[np.float16]
    """(H, W, 2) x and y in pixels, continued inside holes."""
    sound: NDArray[np.bool_]
    """(H, W), where the way back agrees and the frame is not left."""
    camera: NDArray[np.float64]
    """(3, 3) homography of the camera's own motion."""
    plane: NDArray[np.float64]
    """(3, 3) homography that most of what lies in and around the hole moves by."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A frame as the flow is estimated in it."""

    image: Image
    """(H, W, 3), with something in its hole."""
    hole: NDArray[np.bool_]
    """(H, W)."""
    unknown: NDArray[np.bool_]
    """(H, W), the part of the hole in which that moves like nothing in the shot."""


class Motion:
    """Steps between the successive frames of a clip, computed once and kept for a while.

    Args:
        shown: Frames by index.
        kept: Pairs of frames whose steps are kept.
        shelf: Where they wait.
        before: Motion that was found with something else in the holes. What is far from them stays.
    """

    def __init__(
        self,
        shown: Callable[[int], Shown],
        kept: int,
        shelf: Shelf,
        before: Motion | None = None,
    ) -> None:
        self._shown, self._shelf, self._before = shown, shelf, before
        self._nearby = DisFlow(finest=0, rounds=10)
        self._far_away = DisFlow(finest=1, rounds=10)
        self._pairs = Recent[int, tuple[Step, Step]](kept, self._between)

    def step(self, start: int, direction: int) -> Step:
        """From a frame to its neighbor in a direction of time, 1 or -1."""
        there, back = self.pair(min(start, start + direction))
        return there if direction == 1 else back

    def pair(self, first: int) -> tuple[Step, Step]:
        """From a frame to the next one, and back."""
        return self._pairs[first]

    def _between(self, first: int) -> tuple[Step, Step]:
        """The steps from a frame to the next one, and back."""
        there, back = self._shown(first), self._shown(first + 1)
        hole = around_mask(there.hole | back.hole)
        ways = (there.image, back.image), (back.image, there.image)
        if self._before is None:
            flows = [self._far_away(*way) for way in ways]
        elif hole is None:
            return self._before.pair(first)
        else:
            flows = [step.flow.astype(np.float32) for step in self._before.pair(first)]
        if hole is not None:
            for way, flow in zip(ways, flows, strict=True):
                self._look_closely(*way, hole, flow)
        return self._steps(there, back, flows)

    def _look_closely(self, start: Image, end: Image, hole: Region, flow: Flow) -> None:
        """Look for a flow again in and around a hole; what is far from it stays."""
        size = flow.shape[:2]
        part, inner = (hole.grown(pixels, size) for pixels in (LOOKED_AT, LOOKED_AT // 2))
        parts = (np.ascontiguousarray(part.of(image)) for image in (start, end))
        inner.of(flow)[...] = inner.within(part).of(self._nearby(*parts))

    def _steps(self, there: Shown, back: Shown, found: Sequence[Flow]) -> tuple[Step, Step]:
        """The steps between two frames, by the flows from each to the other."""
        known = [~grown(frame.unknown, CAUTION) for frame in (there, back)]
        planes = [
            plane_behind(flow, sure, frame.hole)
            for flow, sure, frame in zip(found, known, (there, back), strict=True)
        ]
        flows = [moved_behind(*some) for some in zip(found, known, planes, strict=True)]
        ways = ((flows[0], flows[1]), (flows[1], flows[0]))
        first, second = (
            Step(
                flow=self._shelf.kept(flows[end].astype(np.float16)),
                sound=self._shelf.kept(_sound(*ways[end])),
                camera=camera_motion(found[end], known[end]),
                plane=planes[end],
            )
            for end in (0, 1)
        )
        return first, second


def behind_membrane(frame: NDArray[Any], mask: NDArray[np.bool_]) -> Shown:
    """A frame (H, W, 3) with a membrane over its hole (H, W), of which nothing is known."""
    image, hole = in_8_bits(frame), around_mask(mask)
    if hole is None:
        return Shown(image=image, hole=mask, unknown=mask)
    box = hole.grown(PAD, mask.shape)
    known = ~box.of(mask)
    result = image.copy()
    filled = closed(box.of(image).astype(np.float32), known)
    box.of(result)[~known] = filled.clip(0, 255)[~known].astype(np.uint8)
    return Shown(image=result, hole=mask, unknown=mask)


def in_8_bits(frame: NDArray[Any]) -> Image:
    """(H, W, 3) uint8 of a frame that is uint8, or float in [0, 1]."""
    if frame.dtype == np.uint8:
        return frame
    return np.asarray((in_float(frame) * 255).clip(0, 255).round(), np.uint8)


def in_float(frame: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W, 3) float32 in [0, 1] of a frame that is uint8, or float in [0, 1]."""
    return np.asarray(frame, np.float32) / np.float32(steps(frame))


def steps(frame: NDArray[Any]) -> int:
    """What a frame that is uint8, or float in [0, 1], calls white."""
    return 255 if frame.dtype == np.uint8 else 1


def _sound(there: Flow, back: Flow) -> NDArray[np.bool_]:
    height, width = there.shape[:2]
    places = grid(height, width) + there
    x, y = places[..., 0], places[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    missed = squared_length(there + warped(back, there))
    return np.asarray(inside & (missed <= TOLERANCE**2), np.bool_)
