"""Following hidden places from frame to frame to where they show."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.footage import Image
from sttn.propagation.flow import Flow, warped

FARTHEST = 20
"""Frames over which a place is followed at most; errors add up on the way."""

TOLERANCE = 6.0
"""Pixels by which the way there and back may miss its start."""


@dataclass(frozen=True, kw_only=True)
class Traces:
    """For every pixel asked about: the frame and the place in which it shows."""

    frames: NDArray[np.int64]
    """(T, H, W) index of the frame, -1 where none was found."""
    places: NDArray[np.float32]
    """(T, H, W, 2) x and y in that frame."""

    def fetched(self, t: int, clip: Image) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The pixels (H, W, 3) of a frame's traces, bilinear, and (H, W) where there are any."""
        found = self.frames[t] >= 0
        pixels = np.zeros((*found.shape, 3), np.float32)
        for source in np.unique(self.frames[t][found]):
            some = self.frames[t] == source
            sampled = cv2.remap(  # type: ignore[call-overload]  # as in warped()
                clip[source],
                self.places[t][some][:, None],
                None,
                cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            )
            pixels[some] = sampled[:, 0]
        return pixels, found


def follow(
    asked: NDArray[np.bool_],
    visible: NDArray[np.bool_],
    later: Sequence[Flow],
    sooner: Sequence[Flow],
    *,
    step: int,
) -> Traces:
    """Follow what is asked about in one direction of time.

    Args:
        asked: (T, H, W), pixels whose place in other frames is wanted; all that are not visible
            are among them.
        visible: (T, H, W), pixels that may be fetched.
        later: T - 1 flows in the direction of time that is looked in: from each frame to the
            next for ``step`` 1, from the next to each for -1.
        sooner: T - 1 flows the other way.
        step: 1 looks in later frames, -1 in earlier ones.
    """
    count, height, width = asked.shape
    frames = np.full(asked.shape, -1, np.int64)
    places = np.zeros((*asked.shape, 2), np.float32)
    order = range(count - 2, -1, -1) if step == 1 else range(1, count)
    for t in order:
        neighbor, pair = t + step, min(t, t + step)
        there, back = later[pair], sooner[pair]
        rows, columns = np.nonzero(asked[t])
        flow = there[rows, columns]
        target = np.stack([columns, rows], axis=1).astype(np.float32) + flow
        missed = np.linalg.norm(flow + warped(back, there)[rows, columns], axis=1)
        inside = ((target >= 0) & (target <= (width - 1, height - 1))).all(1)
        sound = inside & (missed <= TOLERANCE)
        near = np.rint(target).clip(0, (width - 1, height - 1)).astype(np.int64)
        x, y = near[:, 0], near[:, 1]
        shows = visible[neighbor, y, x]
        frames[t, rows, columns] = np.where(shows, neighbor, frames[neighbor, y, x])
        # The neighbor's own trace, moved by what rounding to its pixel left over.
        on = places[neighbor, y, x] + (target - near)
        places[t, rows, columns] = np.where(shows[:, None], target, on)
        far = np.abs(frames[t, rows, columns] - t) > FARTHEST
        lost = ~sound | far | (frames[t, rows, columns] < 0)
        frames[t, rows[lost], columns[lost]] = -1
    return Traces(frames=frames, places=places)
