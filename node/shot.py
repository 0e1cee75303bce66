"""One shot as the node uses it: what the host connected, under what the artist set."""

from collections.abc import Collection, Sequence
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.clips import Clip, Clips, ForeseeingClip, Matte, Pixels, in_words, nearest, stamp
from node.color import unit
from node.errors import ClipError
from node.matte import clamped, used_matte
from node.params import Params


class Shot:
    """Frames by number, every one checked against the first."""

    def __init__(self, clips: Clips, params: Params) -> None:
        self.clips = clips
        self.params = params
        self._first: tuple[int, tuple[int, ...], np.dtype[Any]] | None = None
        self._turn = RLock()
        self._painted = frozenset(clips.clean_frames.frames if clips.clean_frames else ())
        self._photographed = frozenset(clips.source.frames)
        self._needed = {
            name: clip for name, clip in clips.connected().items() if name != "CleanFrames"
        }

    @property
    def frames(self) -> list[int]:
        """What the artist wants back.

        Raises:
            ClipError: the range is none, or empty.
        """
        try:
            return self.params.chosen_frames(self.clips.source.frames)
        except ValueError as error:
            raise ClipError(str(error)) from None

    def around(self, frames: Sequence[int]) -> list[int]:
        """Handles: frames near the wanted ones that every clip has, and clean frames anywhere."""
        if not frames:
            return []
        low, high = min(frames) - self.params.handles, max(frames) + self.params.handles
        near = {frame for frame in self._photographed if low <= frame <= high}
        for clip in self._needed.values():
            near &= set(clip.frames)
        return sorted((near | self._painted) - set(frames))

    def is_painted(self, frame: int) -> bool:
        """Whether the artist painted a clean frame."""
        return frame in self._painted

    def has_matte(self, frame: int) -> bool:
        """Whether there is more than a clean frame."""
        return frame in self._photographed or frame not in self._painted

    def require_present(self, frames: Sequence[int]) -> None:
        """Refuse a shot with gaps, unless a frame may stand in for its neighbors.

        Raises:
            ClipError: naming clip and frame.
        """
        if not frames:
            raise ClipError("the frame range is empty; give at least one frame")
        for clip in self._needed.values():
            if not len(clip.frames):
                raise ClipError(f"{clip.name} has no frames")
            missing = sorted(set(frames) - set(clip.frames))
            if missing and self.params.on_missing == "error":
                raise ClipError(
                    f"{clip.name} has no frame {missing[0]}"
                    + (f" (nor {len(missing) - 1} others)" if len(missing) > 1 else "")
                    + f"; it has {in_words(clip.frames)}. {self._way_to(clip)}"
                )

    def _way_to(self, clip: Clip) -> str:
        # Held, a clip that was numbered otherwise would show one frame throughout.
        if self._photographed.isdisjoint(clip.frames):
            plates = in_words(self._photographed)
            return f"Frames pair by number: number it as the plate, which has {plates}"
        return "Add it, choose other frames, or set on_missing to hold"

    def plate(self, frame: int) -> Pixels:
        """(H, W, 3 or 4); a clean frame where there is nothing else.

        Raises:
            ClipError: not what the first frame was.
        """
        clip = self.clips.source
        if frame in self._painted and frame not in self._photographed:
            return self.painted(frame)
        plate = self._read(clip, frame)
        self._require_like_first(plate, frame, clip)
        return plate

    def shown(self, frame: int) -> Pixels:
        """What the network is shown: the artist's painting rather than the plate."""
        return self.painted(frame) if self.is_painted(frame) else self.plate(frame)

    def look(self, frame: int) -> tuple[Pixels, NDArray[np.bool_]]:
        """What the network is shown of a frame, and what it must not see; threads take turns."""
        with self._turn:
            return self.shown(frame), self.not_copied(frame)

    def expect(self, frames: Sequence[int]) -> None:
        """Say which frames are looked at next, in order."""
        for clip in self.clips.connected().values():
            if isinstance(clip, ForeseeingClip):
                there = set(clip.frames)
                clip.expect([frame for frame in frames if frame in there])

    def painted(self, frame: int) -> Pixels:
        """A clean frame.

        Raises:
            ClipError: not what the plate's first frame was.
        """
        clip = self.clips.clean_frames
        assert clip is not None
        with self._turn:
            pixels = clip.read(frame)
            self._require_like_first(pixels, frame, clip)
        return pixels

    def matte(self, frame: int, given: Matte | None = None) -> Matte:
        """(H, W) in [0, 1]: what is composited, made of what the host gave."""
        given = self.given_matte(frame) if given is None else given
        return used_matte(given, self._held_out(frame), self.params)

    def given_matte(self, frame: int) -> Matte:
        """(H, W) as the host gave it.

        Raises:
            ClipError: of another size than the plate, or a source without alpha.
        """
        if self.clips.matte is not None:
            return self._data("matte", self.clips.matte, frame)
        plate = self.plate(frame)
        if plate.shape[-1] != 4:
            raise ClipError(f"{self.clips.source.name} has no alpha; connect a matte")
        return unit(plate[..., 3])

    def not_copied(self, frame: int) -> NDArray[np.bool_]:
        """(H, W): what the network must not see; nothing in a clean frame."""
        if self.is_painted(frame):
            return np.zeros(self.plate(frame).shape[:2], np.bool_)
        held, covered = self._held_out(frame), self.matte(frame) > 0
        return covered if held is None else covered | (clamped(held) > 0)

    def stamps(self, frames: Collection[int]) -> list[str]:
        """What tells whether any pixel of these frames changed."""
        return [
            stamp(clip, frame)
            for clip in self.clips.connected().values()
            for frame in sorted(frames)
        ]

    def _held_out(self, frame: int) -> Matte | None:
        clip = self.clips.hold_out
        return None if clip is None else self._data("hold-out", clip, frame)

    def _data(self, kind: str, clip: Clip, frame: int) -> Matte:
        values: Matte = self._read(clip, frame)
        _require_layout(values, frame, clip, ())
        if self._first is None:
            self.plate(frame)
        assert self._first is not None
        _, (height, width, *_), _ = self._first
        if values.shape != (height, width):
            self.plate(self.frames[0])  # a slate that the handles reach is not the matte's fault
            raise ClipError(
                f"frame {frame}: {kind} is {values.shape[1]}x{values.shape[0]}, plate is "
                f"{width}x{height}; reformat the {kind} first"
            )
        return values

    def _read(self, clip: Clip, frame: int) -> NDArray[Any]:
        if self.params.on_missing == "hold":
            frame = nearest(clip.frames, frame)
        with self._turn:
            return clip.read(frame)

    def _require_like_first(self, pixels: Pixels, frame: int, clip: Clip) -> None:
        _require_layout(pixels, frame, clip, (3,), (4,))
        if self._first is None:
            self._first = (frame, pixels.shape, pixels.dtype)
        first, shape, dtype = self._first
        if (pixels.shape, pixels.dtype) != (shape, dtype):
            raise ClipError(
                f"frame {frame} of {clip.name} is {_in_words(pixels.shape, pixels.dtype)}, "
                f"frame {first} is {_in_words(shape, dtype)}; make them one size and type first"
                + "".join(map(self._way_around, (first, frame)))
            )

    def _way_around(self, frame: int) -> str:
        wanted = self.frames
        beyond = max(wanted[0] - frame, frame - wanted[-1])
        if beyond <= 0 or self.is_painted(frame):
            return ""
        return f", or set handles below {beyond} to leave frame {frame} out"


def _require_layout(read: object, frame: int, clip: Clip, *channels: tuple[int, ...]) -> None:
    # What hosts of one's own read; numpy would say something else, somewhere else.
    if isinstance(read, np.ndarray) and read.ndim >= 2 and read.shape[2:] in channels:
        return
    known = " or ".join(f"({', '.join(['H', 'W', *map(str, each)])})" for each in channels)
    told = read.shape if isinstance(read, np.ndarray) else f"a {type(read).__name__}"
    raise ClipError(f"frame {frame} of {clip.name} is {told}; read a numpy array {known}")


def _in_words(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    height, width, channels = shape
    return f"{width}x{height} {'RGBA'[:channels]} {dtype}"
