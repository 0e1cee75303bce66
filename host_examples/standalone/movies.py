"""Movies through PyAV; they carry no frame numbers, so the first frame gets one it is told."""

import logging
import re
from collections.abc import Collection, Iterator, Sequence
from copy import copy
from fractions import Fraction
from io import BytesIO
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

from host_examples.standalone.timecode import later
from host_examples.standalone.turning import UPRIGHT, Turn, turn_of_matrix
from node.clips import nearest
from node.color import unit
from node.errors import ClipError

logger = logging.getLogger(__name__)

MOVIE_SUFFIXES = frozenset({".mov", ".mp4", ".mkv", ".avi", ".webm", ".m4v", ".mxf"})


class Movie:
    """Frames of a movie by number, decoded in order; going back starts from the beginning."""

    def __init__(self, path: Path, first_frame: int, *, alpha: bool = False) -> None:
        """Open a movie and count its frames.

        Args:
            path: Where it is.
            first_frame: Number of its first frame.
            alpha: Whether frames are read with their alpha, where there is one.

        Raises:
            ClipError: missing, not a movie, or without frames.
        """
        self.name = str(path)
        self.path = path
        self._first = first_frame
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise ClipError(f"{path} has no pictures in it")
                stream = container.streams.video[0]
                self.rate = stream.average_rate or Fraction(24)
                self.timecode = _timecode(container)
                """Of its first frame; empty where it has none."""
                self.time_base = stream.time_base or 1 / self.rate
                self.pixel_aspect = stream.sample_aspect_ratio or Fraction(1)
                """Width of a pixel over its height."""
                self.has_alpha = any(part.is_alpha for part in stream.format.components)
                self._deep = any(part.bits > 8 for part in stream.format.components)
                self._count, self._times = _counted(container, stream)
                _warn_of_lost_end(path, stream, self._times)
        except (av.error.FFmpegError, OSError) as error:
            raise ClipError(f"cannot read the movie {path}: {error}") from None
        self._alpha = alpha
        self._damaged: set[int] = set()
        self._rewind()

    def _rewind(self) -> None:
        self._decoder: Iterator[av.VideoFrame] = iter(())
        self._position = -1
        self._picture: av.VideoFrame | None = None
        self._pixels: NDArray[Any] | None = None

    def another(self, *, alpha: bool | None = None) -> "Movie":
        """A reader of the same movie that decodes for itself; frames are not counted again.

        Args:
            alpha: As on opening; None reads what this one reads.
        """
        reader = copy(self)
        reader._alpha = self._alpha if alpha is None else alpha
        reader._rewind()
        return reader

    @property
    def frames(self) -> Sequence[int]:
        """Numbers that exist."""
        return range(self._first, self._first + self._count)

    @property
    def paths(self) -> Collection[Path]:
        """The one file it is read from."""
        return [self.path]

    def read(self, frame: int) -> NDArray[Any]:
        """(H, W, 3 or 4) uint8, or uint16 where the movie has more than 8 bits; turned as players
        show it.

        Raises:
            ClipError: the movie ends before this frame or is damaged there, or no way is known
                from its colors to RGB.
        """
        picture = self.picture(frame)
        if self._pixels is None:
            self._pixels = np.ascontiguousarray(turn_of(picture).shown(self._rgb(picture)))
        return self._pixels

    def _rgb(self, picture: av.VideoFrame) -> NDArray[Any]:
        with_alpha = self._alpha and self.has_alpha
        layouts = ("rgba", "rgba64le") if with_alpha else ("rgb24", "rgb48le")
        try:
            pixels: NDArray[Any] = picture.to_ndarray(format=layouts[self._deep])
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise ClipError(
                f"cannot make RGB of {self.path}, {picture.format.name} in color space "
                f"{int(picture.colorspace)} of ITU-T H.273: {error}; convert it first, to Rec. "
                "709 say"
            ) from None
        if with_alpha and self._deep:
            # Of some formats FFmpeg shifts it only, and 1023 of 1023 would not be 1.
            bits = min(16, picture.format.components[-1].bits)
            whole = (pixels[..., 3] >> (16 - bits)) * np.float64(65535 / (2**bits - 1))
            pixels[..., 3] = whole.round()
        return pixels

    @property
    def is_interlaced(self) -> bool:
        """Whether its pictures say that they are two moments each.

        Raises:
            ClipError: as :meth:`picture`.
        """
        return bool(self.picture(self._first).interlaced_frame)

    @property
    def is_turned(self) -> bool:
        """Whether its pictures are stored otherwise than players show them.

        Raises:
            ClipError: as :meth:`picture`.
        """
        return turn_of(self.picture(self._first)) != UPRIGHT

    def picture(self, frame: int) -> av.VideoFrame:
        """A frame as it is coded: planes of brightness and color, their tags, its time.

        Raises:
            ClipError: the movie ends before this frame or is damaged there.
        """
        index = frame - self._first
        if index < self._position or self._position < 0:
            self._decoder, self._position = self._decoded(), -1
        while self._position < index:
            try:
                self._picture, self._pixels = next(self._decoder), None
            except StopIteration:
                raise ClipError(
                    f"the movie {self.path} breaks off before frame {frame}; it may be truncated"
                ) from None
            except av.error.FFmpegError as error:
                raise ClipError(f"cannot decode {self.path} at frame {frame}: {error}") from None
            self._position += 1
            if self._picture.is_corrupt:
                self._tell_damaged(self._first + self._position)
        assert self._picture is not None
        return self._picture

    def _tell_damaged(self, frame: int) -> None:
        # Once, of all readers: each decodes it again.
        if frame not in self._damaged:
            self._damaged.add(frame)
            logger.warning(
                "%s is damaged at frame %d: what its decoder makes of it is taken, there and where "
                "frames build on it",
                *(self.name, frame),
            )

    def stamp(self, frame: int) -> str:
        """Path, size and time of the movie."""
        status = self.path.stat()
        return f"{self.path} {status.st_size} {status.st_mtime_ns} {frame}"

    def span(self, frame: int) -> tuple[Fraction, Fraction]:
        """Seconds at which a frame appears, and goes; beyond the movie at its mean rate.

        Raises:
            ClipError: as :meth:`picture`.
        """
        own = nearest(self.frames, frame)
        picture, index = self.picture(own), own - self._first
        time = self._times[index] if self._times else picture.pts
        starts = index / self.rate if time is None else time * self.time_base
        starts += (frame - own) / self.rate
        return starts, starts + picture.duration * self.time_base

    def timecode_of(self, frame: int, rate: Fraction) -> str:
        """The timecode of a frame; empty where the movie has none.

        Args:
            frame: Its number.
            rate: Frames per second.

        Raises:
            ClipError: what it has is no timecode.
        """
        return later(self.timecode, frame - self._first, rate) if self.timecode else ""

    def copy_tags(self, target: av.VideoCodecContext) -> None:
        """Say of another movie's code values what this one says of its own."""
        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            for tag in ("colorspace", "color_range", "color_primaries", "color_trc"):
                setattr(target, tag, getattr(stream.codec_context, tag))

    def tracks(self, kind: str) -> list[int]:
        """Numbers of the streams of sound that a kind of movie can hold; the others are logged.

        Args:
            kind: FFmpeg's name of a container.
        """
        held = []
        with av.open(str(self.path)) as source:
            for track in source.streams.audio:
                if _holds(kind, self.path, track.index):
                    held.append(track.index)
                else:
                    logger.warning(
                        "%s: its %s sound cannot go into this kind of movie and is left out; "
                        ".mkv takes any",
                        *(self.name, track.codec_context.name),
                    )
        return held

    def sound(
        self, target: av.container.OutputContainer, start: float, tracks: Collection[int]
    ) -> Iterator[tuple[float, Any]]:
        """Tracks of sound as they are, for another movie that starts later.

        Args:
            target: Gets a stream for each track.
            start: Seconds of this movie at which the other one begins.
            tracks: As :meth:`tracks` says.

        Yields:
            Seconds in the other movie, and a packet to put there.
        """
        source = av.open(str(self.path))
        streams = {
            track: target.add_stream_from_template(track)
            for track in source.streams.audio
            if track.index in tracks
        }
        return _packets(source, streams, start)

    def _decoded(self) -> Iterator[av.VideoFrame]:
        with av.open(str(self.path)) as container:
            yield from container.decode(container.streams.video[0])


def _counted(
    container: av.container.InputContainer, stream: av.VideoStream
) -> tuple[int, list[int]]:
    # Frames, and the time of each; no times where packets do not tell one for every frame.
    # Decoded frames of H.264 in AVI or MXF bear times that do not rise: those of its packets, which
    # such containers have in order of decoding, so the smallest belongs to the first frame.
    # What an edit list cuts away is in the file and counted, but never shown.
    times: list[int] = []
    count = stream.frames
    for packet in container.demux(stream):
        if not stream.frames:
            count += len(packet.decode())
        elif packet.is_discard:
            count -= 1
        if packet.pts is not None and not packet.is_discard:
            times.append(packet.pts)
    return count, sorted(times) if len(times) == count else []


def _warn_of_lost_end(path: Path, stream: av.VideoStream, times: Sequence[int]) -> None:
    # Kinds of movies that do not count their frames look whole wherever they end.
    if stream.frames or len(times) < 2 or not stream.time_base:
        return
    told = re.fullmatch(r"(\d+):(\d+):(\d+\.?\d*)", stream.metadata.get("DURATION", ""))
    hours, minutes, seconds = map(Fraction, told.groups()) if told else (0, 0, 0)
    lasts = 3600 * hours + 60 * minutes + seconds or (stream.duration or 0) * stream.time_base
    longest = max(after - before for before, after in pairwise(times))
    if lasts > (times[-1] + 2 * longest) * stream.time_base:
        logger.warning(
            "%s says that it lasts %.2f s, and its last frame comes at %.2f; it may be truncated",
            *(path, lasts, times[-1] * stream.time_base),
        )


def _timecode(container: av.container.InputContainer) -> str:
    # Every kind of movie keeps it elsewhere.
    for words in (container.metadata, *(stream.metadata for stream in container.streams)):
        for name, value in words.items():
            if name.lower() == "timecode":
                return value
    return ""


def _holds(kind: str, path: Path, track: int) -> bool:
    # Some kinds refuse at once, some at the end of a movie that has such sound in it.
    try:
        with av.open(str(path)) as source, av.open(BytesIO(), "w", format=kind) as trial:
            stream = trial.add_stream_from_template(source.streams[track])
            packets = source.demux(source.streams[track])
            for packet in islice((each for each in packets if each.dts is not None), 1):
                packet.stream = stream
                trial.mux(packet)
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def _packets(
    source: av.container.InputContainer, tracks: dict[Any, Any], start: float
) -> Iterator[tuple[float, Any]]:
    with source:
        for packet in source.demux(list(tracks)) if tracks else ():
            if packet.pts is None or packet.dts is None:
                continue
            offset = round(start / packet.time_base)
            seconds = float((packet.pts - offset) * packet.time_base)
            if seconds < 0:
                continue
            packet.stream = tracks[packet.stream]
            packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
            yield seconds, packet


def display_matrix(picture: av.VideoFrame) -> list[int] | None:
    """How players turn a picture, as :func:`turn_of_matrix` takes it."""
    beside: Any = picture.side_data
    matrix = beside.get(Type.DISPLAYMATRIX)
    return None if matrix is None else np.frombuffer(matrix, np.int32).tolist()


def turn_of(picture: av.VideoFrame) -> Turn:
    """The same, if it is by right angles."""
    matrix = display_matrix(picture)
    return UPRIGHT if matrix is None else turn_of_matrix(matrix)


class MovieMatte:
    """A channel of a movie as a matte, in [0, 1]."""

    def __init__(self, movie: Movie, channel: str = "") -> None:
        """Choose a channel.

        Args:
            movie: Its frames.
            channel: R, G, B or A; empty takes alpha, else the brightest.

        Raises:
            ClipError: there is none of that name.
        """
        self.name = movie.name
        self._movie = movie.another(alpha=True)
        known = "RGBA" if movie.has_alpha else "RGB"
        if channel not in ("", *known):
            raise ClipError(f"{movie.name} has no channel {channel}; it has {', '.join(known)}")
        self._channel = channel or known[3:]

    @property
    def frames(self) -> Sequence[int]:
        """Numbers that exist."""
        return self._movie.frames

    @property
    def paths(self) -> Collection[Path]:
        """The one file it is read from."""
        return self._movie.paths

    def stamp(self, frame: int) -> str:
        """What changes with a frame."""
        return self._movie.stamp(frame)

    def read(self, frame: int) -> NDArray[np.float32]:
        """(H, W) float32 in [0, 1]."""
        pixels = self._movie.read(frame)
        if self._channel:
            return unit(pixels[..., "RGBA".index(self._channel)])
        return unit(pixels.max(axis=-1))
