"""Following hidden places from frame to frame to where they show."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.propagation.motion import Motion, Step
from sttn.propagation.strides import STRIDE

FARTHEST = 20
"""Frames over which a place is followed by flow; errors add up on the way."""

FARTHEST_IN_PLANE = 40
"""Frames over which a place is followed as if all lay in one plane."""

LATER = 4
"""Frames beyond the first in which a place shows that a second look is taken at it."""

EDGE = 1.0
"""Pixels of a frame's border from which nothing is fetched that was followed in a plane."""

KERNEL = 4
"""Pixels in every direction that an interpolated one depends on at most (Lanczos)."""

ENOUGH = 0.7
"""Share of that kernel that must show: the rest of it is left out. The more is asked for the softer
are fills, since the first frame that shows a place often does so at its hole's very edge."""

ROW, MOST_ROWS = 256, 32_766
"""Places in a row of the map that OpenCV is given, if they are not too many, and its limit."""

BY_FLOW, AGAIN = 1, 2
"""What a trace's kind is the sum of: places were followed by flow, not in a plane; it is the second
look at them."""

Points = NDArray[np.float32]
"""(N, 2) x and y in pixels."""

Visible = Callable[[int], NDArray[np.bool_]]
"""By index: (H, W), the pixels of that frame that may be fetched."""


@dataclass(frozen=True, kw_only=True)
class Trace:
    """For every one of N places: the frame, and the place in it, in which it shows."""

    frames: NDArray[np.int64]
    """(N,) index of the frame, -1 where none was found."""
    places: Points
    """(N, 2), in that frame."""
    kind: int
    """Sum of :data:`BY_FLOW` and :data:`AGAIN`, as far as they are true."""


class _Search:
    """What is found while N places are followed in one direction: a first look, maybe a second."""

    def __init__(self, start: Points, looks: int, kind: int) -> None:
        self._kind = kind
        self.frames = np.full((looks, len(start)), -1, np.int64)
        self.places = np.zeros((looks, len(start), 2), np.float32)

    def look(
        self, index: int, who: NDArray[np.int64], at: Points, shows: NDArray[np.bool_]
    ) -> NDArray[np.int64]:
        """Take in where some places are in a frame, and which of them show.

        Args:
            index: Of the frame.
            who: (M,), which of the N places, none of them with its last look.
            at: (M, 2), where they are in the frame.
            shows: (M,), those that show there.

        Returns:
            (L,), which of the M still lack a look.
        """
        first = self.frames[0].take(who)
        looks = [shows & (first < 0)]
        if len(self.frames) > 1:
            looks.append(shows & (first >= 0) & (np.abs(index - first) >= LATER))
        for look, shown in enumerate(looks):
            now = np.flatnonzero(shown)
            self.frames[look, who.take(now)] = index
            self.places[look, who.take(now)] = at.take(now, axis=0)
        return np.flatnonzero(~looks[-1])

    def traces(self) -> Iterator[Trace]:
        """The first looks and the second ones."""
        for look, (frames, places) in enumerate(zip(self.frames, self.places, strict=True)):
            yield Trace(frames=frames, places=places, kind=self._kind + AGAIN * look)


def by_flow(
    motion: Motion,
    visible: Visible,
    count: int,
    index: int,
    start: Points,
    farthest: int = FARTHEST,
    looks: int = 2,
) -> list[Trace]:
    """Follow places along the flow, into the future and into the past.

    Args:
        motion: Of the clip.
        visible: What may be fetched.
        count: Frames of the clip.
        index: The frame that the places lie in.
        start: (N, 2), the places.
        farthest: Frames over which they are followed.
        looks: 2 to look a second time, some frames after a place shows first.

    Returns:
        First and second look into the future, first and second look into the past.
    """
    found: list[Trace] = []
    for direction in (1, -1):
        search, who, at = _Search(start, looks, BY_FLOW), np.arange(len(start)), start
        for frame in _frames(index, direction, farthest, count):
            step = motion.step(frame - direction, direction)
            sound = np.flatnonzero(_at_nearest(step.sound, at))
            who, at = who.take(sound), at.take(sound, axis=0)
            at = at + sampled(step.flow, at)
            left = search.look(frame, who, at, _at_nearest(visible(frame), at))
            who, at = who.take(left), at.take(left, axis=0)
            if not len(who):
                break
        found.extend(search.traces())
    return found


def in_plane(
    motion: Motion,
    visible: Visible,
    count: int,
    index: int,
    start: Points,
    homography: Callable[[Step], NDArray[np.float64]],
    farthest: int = FARTHEST_IN_PLANE,
    looks: int = 2,
    stride: Callable[[int, int], NDArray[np.float64]] | None = None,
) -> list[Trace]:
    """Follow places as if all lay in one plane, that of ``homography``.

    Between frames whose index is a multiple of :data:`STRIDE`, it moves as ``stride`` says of a
    frame and a direction; without it, as all the steps between them do. Other arguments and result
    as in :func:`by_flow`.
    """
    found: list[Trace] = []
    for direction in (1, -1):
        search, who, origin = _Search(start, looks, 0), np.arange(len(start)), start
        moved = rested = np.eye(3)
        for frame in _frames(index, direction, farthest, count):
            moved = homography(motion.step(frame - direction, direction)) @ moved
            if stride is not None and frame % STRIDE == 0:
                if abs(frame - index) >= STRIDE:
                    moved = stride(frame - direction * STRIDE, direction) @ rested
                rested = moved
            at = np.asarray(cv2.perspectiveTransform(origin[None], moved)[0], np.float32)
            shown = visible(frame)
            left = search.look(frame, who, at, _inside(at, shown.shape) & _at_nearest(shown, at))
            who, origin = who.take(left), origin.take(left, axis=0)
            if not len(who):
                break
        found.extend(search.traces())
    return found


def sampled(
    image: NDArray[Any], places: Points, interpolation: int = cv2.INTER_LINEAR
) -> NDArray[np.float32]:
    """What an image (H, W, C) shows at N places, the border repeated: (N, C).

    Args:
        image: (H, W, C).
        places: (N, 2).
        interpolation: One of OpenCV's.
    """
    count = len(places)
    row = max(ROW, -(-count // MOST_ROWS))
    if not count:
        return np.zeros((0, image.shape[-1]), np.float32)
    corner, rows, columns = _around(image.shape, places)
    maps = np.resize(places - corner, (-(-count // row), row, 2))
    found = cv2.remap(  # type: ignore[call-overload]  # the stubs know no 2-channel maps
        image[rows, columns].astype(np.float32),
        maps,
        None,
        interpolation,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(found, np.float32).reshape(-1, image.shape[-1])[:count]


def sampled_sharply(
    image: NDArray[Any], places: Points, visible: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """As :func:`sampled`, but as sharp as the image, from which a mean of neighbors takes detail.

    Args:
        image: (H, W, C).
        places: (N, 2).
        visible: (H, W), pixels that are looked at. Where these are too few, neighbors have to do.
    """
    if not len(places):
        return sampled(image, places)
    corner, rows, columns = _around(image.shape, places)
    part, shows, at = image[rows, columns], visible[rows, columns, np.newaxis], places - corner
    shown = np.concatenate([np.where(shows, part, 0), shows], axis=-1, dtype=np.float32)
    found = sampled(shown, at, cv2.INTER_LANCZOS4)
    share = found[:, -1:]
    few = share[:, 0] < ENOUGH
    result: NDArray[np.float32] = found[:, :-1] / share.clip(ENOUGH)
    result[few] = sampled(part, at[few])
    return result


def _around(size: tuple[int, ...], places: Points) -> tuple[NDArray[np.float32], slice, slice]:
    """The part of an image that some places depend on: corner x, y, rows and columns."""
    left, top, width, height = cv2.boundingRect(places)
    across, down = _reach(left, width, size[1]), _reach(top, height, size[0])
    return np.array([across.start, down.start], np.float32), down, across


def _reach(start: int, length: int, limit: int) -> slice:
    """The rows or columns that places in some of them depend on."""
    first = min(max(start - KERNEL, 0), limit - 1)
    return slice(first, min(max(start + length + KERNEL, first + 1), limit))


def _at_nearest(shown: NDArray[np.bool_], places: Points) -> NDArray[np.bool_]:
    """(N,), what (H, W) says of the pixels nearest to N places."""
    x, y = nearest(places, shown.shape)
    return np.asarray(shown.take(y * shown.shape[1] + x), np.bool_)


def _inside(places: Points, size: tuple[int, ...]) -> NDArray[np.bool_]:
    """(N,), the places that are not at the border of (H, W)."""
    x, y = places[:, 0], places[:, 1]
    right, bottom = size[1] - 1 - EDGE, size[0] - 1 - EDGE
    return np.asarray((x >= EDGE) & (x <= right) & (y >= EDGE) & (y <= bottom))


def _frames(index: int, direction: int, farthest: int, count: int) -> range:
    last = index + direction * farthest
    return (
        range(index + 1, min(last, count - 1) + 1)
        if direction == 1
        else range(index - 1, max(last, 0) - 1, -1)
    )


def nearest(
    places: NDArray[np.floating], size: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns and rows of the pixels nearest to N places (N, 2), within rows and columns."""
    x = np.rint(places[:, 0]).clip(0, size[1] - 1).astype(np.int64)
    y = np.rint(places[:, 1]).clip(0, size[0] - 1).astype(np.int64)
    return x, y
