"""Clean plates as a movie: what the matte does not cover keeps the plate's own code values."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from numpy.typing import NDArray

from host_examples.standalone.movies import Movie
from node.clips import nearest
from node.errors import ClipError

WRITTEN = {
    # suffix: codec, pixel format for 8 bits, for more, options
    ".mkv": ("ffv1", "bgr0", "gbrp16le", {"level": "3"}),
    ".mov": ("prores_ks", "yuv444p10le", "yuv444p10le", {"profile": "4"}),
    ".mp4": ("libx264", "yuv420p", "yuv420p10le", {"crf": "14", "preset": "medium"}),
}


class MovieWriter:
    """Writes clean plates as a movie under a temporary name, renamed when it is whole."""

    keeps_frames = False

    def __init__(
        self,
        path: Path,
        rate: Fraction,
        to_display: Callable[[NDArray[Any]], NDArray[Any]],
        plate: Movie | None = None,
    ) -> None:
        """Prepare a movie.

        Args:
            path: Target; its suffix chooses the codec.
            rate: Frames per second.
            to_display: Makes (H, W, 3) uint8 or uint16 display-referred pixels of plate pixels.
            plate: Movie whose color tags, sound and untouched code values are kept.

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
        # A reader of its own: the node is frames ahead, and going back decodes from the start.
        self._plate = None if plate is None else Movie(plate.path, plate.frames[0])
        self._sound: Iterator[tuple[float, Any]] = iter(())
        self._pending: tuple[float, Any] | None = None
        self._written = 0
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
                self._open(shown, frame)
            assert self._container is not None
            layout = "rgb48le" if shown.dtype == np.uint16 else "rgb24"
            even = shown[: self._stream.height, : self._stream.width]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format=layout)
            if self._plate is not None and even.shape == shown.shape:
                own = nearest(self._plate.frames, frame)
                changed = (shown != self._plate.read(own)).any(axis=-1)
                picture = with_untouched(picture, self._plate.picture(own), changed)
            self._written += 1
            self._mux_sound()
            self._container.mux(self._stream.encode(picture))
        except (av.error.FFmpegError, OSError) as error:
            raise ClipError(f"cannot write {self._target}: {error}") from None

    def _open(self, first: NDArray[Any], frame: int) -> None:
        codec, shallow, deep, options = WRITTEN[self._target.suffix.lower()]
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(self._temporary), "w")
        self._stream = self._container.add_stream(codec, rate=self._rate, options=options)
        self._stream.pix_fmt = deep if first.dtype == np.uint16 else shallow
        if self._plate is not None:
            original = self._plate.picture(nearest(self._plate.frames, frame))
            known = av.Codec(codec, "w").video_formats or ()
            if codec == "ffv1" and original.format.name in {each.name for each in known}:
                self._stream.pix_fmt = original.format.name
            self._plate.copy_tags(self._stream.codec_context)
            self._sound = self._plate.sound(self._container, float(original.time or 0))
        # Half-resolution chroma needs even sides.
        halves = 2 if codec == "libx264" else 1
        self._stream.height = first.shape[0] // halves * halves
        self._stream.width = first.shape[1] // halves * halves

    def _mux_sound(self) -> None:
        # Sound goes in beside the pictures it belongs to.
        until = self._written / self._rate
        while self._pending is None or self._pending[0] <= until:
            if self._pending is not None:
                assert self._container is not None
                self._container.mux(self._pending[1])
            self._pending = next(self._sound, None)
            if self._pending is None:
                return

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


def with_untouched(
    picture: av.VideoFrame, original: av.VideoFrame, changed: NDArray[np.bool_]
) -> av.VideoFrame:
    """A picture in the original's coding, with the original's own code values where unchanged.

    Args:
        picture: RGB.
        original: As the plate is coded.
        changed: (H, W). Where color is coded coarser than brightness, a color value is the
            original's if none of the pixels it belongs to changed.

    Returns:
        In the original's coding if that has a plane for each component; the picture otherwise.
    """
    components = original.format.components
    if len(original.planes) != len(components):
        return picture
    coded = picture.reformat(format=original.format.name, dst_colorspace=original.colorspace)
    for new, old, part in zip(coded.planes, original.planes, components, strict=True):
        covered = _touched(changed, part.height, part.width)
        values, kept = (_values(plane, part.bits) for plane in (new, old))
        np.copyto(values, kept, where=~covered)
    return coded


def _touched(changed: NDArray[np.bool_], height: int, width: int) -> NDArray[np.bool_]:
    rows, columns = (
        -(-side // small) for side, small in zip(changed.shape, (height, width), strict=True)
    )
    padded = np.zeros((height * rows, width * columns), np.bool_)
    padded[: changed.shape[0], : changed.shape[1]] = changed
    return np.asarray(padded.reshape(height, rows, width, columns).any(axis=(1, 3)))


def _values(plane: av.video.plane.VideoPlane, bits: int) -> NDArray[Any]:
    kind = np.dtype("u1" if bits <= 8 else "u2")
    rows = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
    return np.asarray(rows[: plane.height, : plane.width])
