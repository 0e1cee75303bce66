"""Movies through PyAV; they carry no frame numbers, so the first frame gets one it is told."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from node.errors import ClipError

MOVIE_SUFFIXES = frozenset({".mov", ".mp4", ".mkv", ".avi", ".webm", ".m4v", ".mxf"})

WRITTEN = {
    # suffix: codec, pixel format for 8 bits, for more, options
    ".mkv": ("ffv1", "bgr0", "gbrp16le", {"level": "3"}),
    ".mov": ("prores_ks", "yuv444p10le", "yuv444p10le", {"profile": "4"}),
    ".mp4": ("libx264", "yuv420p", "yuv420p", {"crf": "14", "preset": "medium"}),
}


class Movie:
    """Frames of a movie by number, decoded in order; going back starts from the beginning."""

    def __init__(self, path: Path, first_frame: int) -> None:
        """Open a movie and count its frames.

        Raises:
            ClipError: missing, not a movie, or without frames.
        """
        self.name = str(path)
        self._path = path
        self._first = first_frame
        try:
            with av.open(str(path)) as container:
                if not container.streams.video:
                    raise ClipError(f"{path} has no pictures in it")
                stream = container.streams.video[0]
                self.rate = stream.average_rate or Fraction(24)
                self._deep = any(part.bits > 8 for part in stream.format.components)
                self._count = stream.frames or sum(1 for _ in container.decode(stream))
        except (av.error.FFmpegError, OSError) as error:
            raise ClipError(f"cannot read the movie {path}: {error}") from None
        self._decoder: Iterator[NDArray[Any]] = iter(())
        self._position = -1
        self._last: NDArray[Any] | None = None

    @property
    def frames(self) -> Sequence[int]:
        """Numbers that exist."""
        return range(self._first, self._first + self._count)

    def read(self, frame: int) -> NDArray[Any]:
        """(H, W, 3) uint8, or uint16 where the movie has more than 8 bits.

        Raises:
            ClipError: the movie ends before this frame or is damaged there.
        """
        index = frame - self._first
        if index < self._position or self._position < 0:
            self._decoder, self._position = self._decoded(), -1
        while self._position < index:
            try:
                self._last = next(self._decoder)
            except StopIteration:
                raise ClipError(
                    f"the movie {self._path} breaks off before frame {frame}; it may be truncated"
                ) from None
            except av.error.FFmpegError as error:
                raise ClipError(f"cannot decode {self._path} at frame {frame}: {error}") from None
            self._position += 1
        assert self._last is not None
        return self._last

    def _decoded(self) -> Iterator[NDArray[Any]]:
        layout = "rgb48le" if self._deep else "rgb24"
        with av.open(str(self._path)) as container:
            for picture in container.decode(container.streams.video[0]):
                yield picture.to_ndarray(format=layout)


class MovieMatte:
    """A movie as a matte: its brightest channel, in [0, 1]."""

    def __init__(self, movie: Movie) -> None:
        self.name = movie.name
        self._movie = movie

    @property
    def frames(self) -> Sequence[int]:
        """Numbers that exist."""
        return self._movie.frames

    def read(self, frame: int) -> NDArray[np.float32]:
        """(H, W) float32 in [0, 1]."""
        pixels = self._movie.read(frame)
        brightest: NDArray[np.float32] = pixels.max(axis=-1).astype(np.float32)
        return brightest / np.float32(np.iinfo(pixels.dtype).max)


class MovieWriter:
    """Writes clean plates as a movie under a temporary name, renamed when it is whole."""

    keeps_frames = False

    def __init__(
        self, path: Path, rate: Fraction, to_display: Callable[[NDArray[Any]], NDArray[Any]]
    ) -> None:
        """Prepare a movie.

        Args:
            path: Target; its suffix chooses the codec.
            rate: Frames per second.
            to_display: Makes (H, W, 3) uint8 or uint16 display-referred pixels of plate pixels.

        Raises:
            ClipError: a suffix that is not written.
        """
        if path.suffix.lower() not in WRITTEN:
            raise ClipError(
                f"movies are written as {', '.join(WRITTEN)}, not {path.suffix or 'without suffix'}"
            )
        self._target = path
        self._temporary = path.with_name(f".{path.stem}.part{path.suffix}")
        self._rate = rate
        self._to_display = to_display
        self._container: av.container.OutputContainer | None = None
        self._stream: Any = None

    def path(self, frame: int) -> Path:
        """The movie, whatever the frame."""
        return self._target

    def write(self, frame: int, pixels: NDArray[Any]) -> None:
        """Add one frame, (H, W, 3) of the plate's type.

        Raises:
            ClipError: it cannot be written.
        """
        shown = self._to_display(pixels)
        try:
            if self._container is None:
                self._open(shown)
            assert self._container is not None
            layout = "rgb48le" if shown.dtype == np.uint16 else "rgb24"
            even = shown[: self._stream.height, : self._stream.width]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format=layout)
            self._container.mux(self._stream.encode(picture))
        except (av.error.FFmpegError, OSError) as error:
            raise ClipError(f"cannot write {self._target}: {error}") from None

    def _open(self, first: NDArray[Any]) -> None:
        codec, shallow, deep, options = WRITTEN[self._target.suffix.lower()]
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self._temporary), "w")
        self._stream = self._container.add_stream(codec, rate=self._rate, options=options)
        self._stream.pix_fmt = deep if first.dtype == np.uint16 else shallow
        # Half-resolution chroma needs even sides.
        halves = 2 if "420" in self._stream.pix_fmt else 1
        self._stream.height = first.shape[0] // halves * halves
        self._stream.width = first.shape[1] // halves * halves

    def close(self) -> None:
        """Finish the movie and give it its name."""
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None
            self._temporary.replace(self._target)

    def discard(self) -> None:
        """Drop an unfinished movie: half of one must not look whole."""
        if self._container is not None:
            self._container.close()
            self._container = None
        self._temporary.unlink(missing_ok=True)
