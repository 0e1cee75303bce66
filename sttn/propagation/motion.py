"""How successive frames move, told inside holes as well, and kept while it is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sttn.footage import Image
from sttn.model.region import Region, around_mask
from sttn.propagation.behind import moved_behind, plane_behind
from sttn.propagation.camera import camera_motion
from sttn.propagation.closing import CAUTION, grown
from sttn.propagation.flow import LOOKED_AT, DisFlow, Flow, grid, squared_length, warped
from sttn.propagation.recent import Recent
from sttn.propagation.shelf import Shelf
from sttn.propagation.shown import Shown
from sttn.propagation.strides import STRIDE, stridden

TOLERANCE = 6.0
"""Pixels by which the way there and back may miss its start."""


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
        self._strides = Recent[tuple[int, int], NDArray[np.float64]](kept, self._stridden)

    def step(self, start: int, direction: int) -> Step:
        """From a frame to its neighbor in a direction of time, 1 or -1."""
        there, back = self.pair(min(start, start + direction))
        return there if direction == 1 else back

    def pair(self, first: int) -> tuple[Step, Step]:
        """From a frame to the next one, and back."""
        return self._pairs[first]

    def stride(self, start: int, direction: int) -> NDArray[np.float64]:
        """How the plane behind a frame's hole moves in a stride: homography (3, 3)."""
        return self._strides[start, direction]

    def _stridden(self, way: tuple[int, int]) -> NDArray[np.float64]:
        start, direction = way
        walked = np.eye(3)
        for passed in range(STRIDE):
            walked = self.step(start + passed * direction, direction).plane @ walked
        end = start + STRIDE * direction
        return stridden(self._shown(start), self._shown(end), walked, self._nearby)

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


def _sound(there: Flow, back: Flow) -> NDArray[np.bool_]:
    height, width = there.shape[:2]
    places = grid(height, width) + there
    x, y = places[..., 0], places[..., 1]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    missed = squared_length(there + warped(back, there))
    return np.asarray(inside & (missed <= TOLERANCE**2), np.bool_)
