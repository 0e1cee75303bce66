"""The clip as the caller hands it over: checked frame by frame when it is read."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sttn.errors import InvalidClipError
from sttn.model.region import Region, around_mask
from sttn.settings.raster import LARGEST_SIDE, RASTER_MULTIPLE

BRIGHTEST = 4.0
"""What float32 frames go up to at most. Encodings that are logarithmic in highlights, and
resampling that overshoots, stay far below it; 8 bits that were not divided by 255 do not.
"""

Pixels = NDArray[Any]
"""(H, W, 3) uint8 in [0, 255] or float32 in [0, 1], display-referred RGB."""

Mask = NDArray[np.bool_]
"""(H, W), True inside the hole."""

Origins = NDArray[np.float32]
"""(H, W, 5), of every pixel that was fetched: index of the frame that most of it comes from, column
and row in that frame, counted from the center of the first pixel, and in (0, 1] how much of the
pixel shows what is there. The index is -1 where nothing was fetched. At last, in [0, 1], how much
of the pixel some frame really shows, 1 outside the hole: texture is fetched too, but made up."""


class Clip:
    """Frames, masks, and which frames are clean frames or handles.

    Threads may share it; the caller's frames and masks are read by one at a time.

    Raises:
        InvalidClipError: here for counts and indices; for shapes, types and values when a frame
            is read.
    """

    def __init__(
        self,
        frames: Sequence[Pixels] | Pixels,
        masks: Sequence[Mask] | Mask,
        clean: frozenset[int],
        handles: frozenset[int],
    ) -> None:
        if len(frames) == 0:
            raise InvalidClipError("the clip has no frames")
        if len(frames) != len(masks):
            raise InvalidClipError(f"the clip has {len(frames)} frames but {len(masks)} masks")
        for kind, indices in (("clean frame", clean), ("handle", handles)):
            for index in indices:
                if not 0 <= index < len(frames):
                    raise InvalidClipError(
                        f"{kind} {index} does not exist; the clip's {len(frames)} frames are "
                        "counted from 0"
                    )
        if both := clean & handles:
            raise InvalidClipError(f"frame {min(both)} cannot be clean frame and handle at once")
        self._frames = frames
        self._masks = masks
        self._at: Sequence[int] = range(len(frames))  # what the caller calls them
        self._window: Region | None = None
        self._reading = Lock()
        self.clean = clean
        self.handles = handles
        self.returned = [i for i in range(len(frames)) if i not in clean and i not in handles]
        self.filled = self.returned  # whose holes are filled
        if not self.returned:
            raise InvalidClipError("all frames are clean frames or handles; nothing is left to do")
        first = frames[0]
        self._shape, self._type = first.shape, first.dtype
        self._require_raster()
        self._holes: dict[int, Region | None] = {}

    def __len__(self) -> int:
        return len(self._at)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        if self._window is not None:
            return self._window.size
        return self._shape[0], self._shape[1]

    def frame(self, index: int) -> Pixels:
        """One frame."""
        with self._reading:
            frame = self._frames[self._at[index]]
        if frame.shape != self._shape or frame.dtype != self._type:
            raise InvalidClipError(
                f"frame {self._at[index]} is {frame.dtype} {frame.shape}, "
                f"the first one {self._type} {self._shape}"
            )
        if self._type == np.float32:
            self._require_range(index, frame)
        return self._seen(frame)

    def mask(self, index: int) -> Mask:
        """One mask."""
        with self._reading:
            mask = self._masks[self._at[index]]
        if mask.shape != self._shape[:2] or mask.dtype != np.bool_:
            raise InvalidClipError(
                f"mask {self._at[index]} is {mask.dtype} {mask.shape}; give bool {self._shape[:2]}"
            )
        if index in self.clean and mask.any():
            raise InvalidClipError(
                f"clean frame {self._at[index]} has a hole; its mask must be empty"
            )
        return self._seen(mask)

    def hole(self, index: int) -> Region | None:
        """The rectangle around a frame's hole in pixels; None where there is none."""
        if index not in self._holes:
            self._holes[index] = around_mask(self.mask(index))
        return self._holes[index]

    def part(self, indices: Sequence[int]) -> Clip:
        """Some of its frames as a clip of their own, in the order that they are named in."""
        part, place = copy(self), {index: position for position, index in enumerate(indices)}
        part._at = [self._at[index] for index in indices]
        part.clean, part.handles = (
            frozenset(place[index] for index in kind if index in place)
            for kind in (self.clean, self.handles)
        )
        part.returned, part.filled = (
            [place[index] for index in kind if index in place]
            for kind in (self.returned, self.filled)
        )
        part._holes = {}
        return part

    def filled_beside(self) -> Clip:
        """The clip, whose handles are filled too where they lie beside a frame that is returned."""
        clip, returned = copy(self), set(self.returned)
        clip.filled = [
            index
            for index in range(len(self))
            if index not in self.clean and not returned.isdisjoint((index - 1, index, index + 1))
        ]
        return clip

    def within(self, window: Region) -> Clip:
        """A part of every frame, as a clip of its own."""
        inside = copy(self)
        inside._window, inside._holes = window, {}
        return inside

    def _seen(self, image: NDArray[Any]) -> NDArray[Any]:
        return image if self._window is None else np.ascontiguousarray(self._window.of(image))

    def _require_range(self, index: int, frame: Pixels) -> None:
        if not np.isfinite(frame).all():
            raise InvalidClipError(f"frame {self._at[index]} holds NaN or inf; replace them first")
        if (peak := frame.max()) > BRIGHTEST:
            raise InvalidClipError(
                f"frame {self._at[index]} goes up to {peak:g}; give float32 in [0, 1], or uint8"
            )

    def _require_raster(self) -> None:
        shape = self._shape
        if (
            len(shape) != 3
            or shape[2] != 3
            or shape[0] % RASTER_MULTIPLE
            or shape[1] % RASTER_MULTIPLE
        ):
            raise InvalidClipError(
                f"frames are {'x'.join(map(str, shape))}; height and width must be "
                f"multiples of {RASTER_MULTIPLE}, with 3 channels"
            )
        if max(shape) > LARGEST_SIDE:
            raise InvalidClipError(
                f"frames are {'x'.join(map(str, shape))}; "
                f"height and width must be at most {LARGEST_SIDE}"
            )
        if self._type not in (np.uint8, np.float32):
            raise InvalidClipError(f"frames are {self._type}; give uint8, or float32 in [0, 1]")
