"""Clean plates as a movie: what the matte does not cover keeps the plate's own code values."""

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import av.error
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from host_examples.standalone.images import ImagePlate
from host_examples.standalone.movies import Movie, display_matrix, turn_of
from host_examples.standalone.turning import UPRIGHT
from host_examples.standalone.unfinished import begun
from node.clips import nearest
from node.errors import ClipError

logger = logging.getLogger(__name__)


class Coding(NamedTuple):
    """How a kind of movie is coded."""

    container: str
    """By FFmpeg's name."""
    codec: str
    options: dict[str, str]
    opaque: tuple[str, str]
    """Pixel formats for 8 bits and for more."""
    with_alpha: tuple[str, str] | None
    color_range: int | None = None
    """Of its code values, where it knows one only; the plate's otherwise."""
    has_pixel_aspect: bool = True


WRITTEN = {
    ".mkv": Coding(
        *("matroska", "ffv1", {"level": "3"}, ("bgr0", "gbrp16le"), ("bgra", "gbrap16le")),
        has_pixel_aspect=False,
    ),
    ".mov": Coding(
        *("mov", "prores_ks", {"profile": "4"}, ("yuv444p10le",) * 2, ("yuva444p10le",) * 2),
        color_range=ColorRange.MPEG,
    ),
    ".mp4": Coding(
        *("mp4", "libx264", {"crf": "14", "preset": "medium"}, ("yuv420p", "yuv420p10le"), None)
    ),
}


class MovieWriter:
    """Writes clean plates as a movie under a temporary name, renamed when it is whole."""

    keeps_frames = False

    def __init__(
        self,
        path: Path,
        rate: Fraction,
        to_display: Callable[[NDArray[Any]], NDArray[Any]],
        plate: ImagePlate | Movie | None = None,
        *,
        keeps_codes: bool = True,
    ) -> None:
        """Prepare a movie.

        Args:
            path: Target; its suffix chooses the codec.
            rate: Frames per second.
            to_display: Makes (H, W, 3) uint8 or uint16 display-referred pixels of plate pixels.
            plate: Its timecode and pixels' aspect are kept, and a movie's times, sound and turn.
            keeps_codes: Whether a movie's color tags and untouched code values are kept too, as in
                a clean plate of it.

        Raises:
            ClipError: a suffix that is not written.
        """
        if path.suffix.lower() not in WRITTEN:
            raise ClipError(
                f"movies are written as {', '.join(WRITTEN)}, not {path.suffix or 'without suffix'}"
            )
        self._target = path
        self._temporary: Path | None = None
        self._rate = rate
        self._to_display = to_display
        # A reader of its own: the node is frames ahead, and going back decodes from the start.
        self._plate = movie = plate.another() if isinstance(plate, Movie) else None
        self._described = movie or plate
        self._keeps_codes = keeps_codes
        self._turn = UPRIGHT
        kind = WRITTEN[path.suffix.lower()].container
        self._tracks = [] if movie is None else movie.tracks(kind)
        self._sound: Iterator[tuple[float, Any]] = iter(())
        self._pending: tuple[float, Any] | None = None
        self._written = 0
        self._first = Fraction(0)
        """Seconds of the plate at which this movie begins."""
        self._starts, self._ends = Fraction(-1), Fraction(0)
        """Seconds at which the frame written last appears, and goes."""
        self._container: av.container.OutputContainer | None = None
        self._stream: Any = None

    def path(self, frame: int) -> Path:
        """The movie, whatever the frame."""
        return self._target

    def write(self, frame: int, pixels: NDArray[Any]) -> None:
        """Add one frame, (H, W, C) of the plate's type, as players are to show it.

        Raises:
            ClipError: it cannot be written.
        """
        shown = self._to_display(pixels)
        try:
            if self._container is None:
                self._open(shown, frame)
            assert self._container is not None
            layout = "rgb48le" if shown.dtype == np.uint16 else "rgb24"
            stored = np.ascontiguousarray(self._turn.stored(shown))
            picture = av.VideoFrame.from_ndarray(stored, format=layout)
            if self._plate is not None and self._keeps_codes:
                own = nearest(self._plate.frames, frame)
                changed = (shown != self._plate.read(own)[..., :3]).any(axis=-1)
                changed = self._turn.stored(changed)
                picture = with_untouched(picture, self._plate.picture(own), changed)
            self._container.mux(self._stream.encode(self._coded(picture, frame)))
            self._written += 1
            self._mux_sound()
        except (av.error.FFmpegError, OSError) as error:
            raise ClipError(f"cannot write {self._target}: {error}") from None

    def _open(self, first: NDArray[Any], frame: int) -> None:
        coding, is_deep = WRITTEN[self._target.suffix.lower()], first.dtype == np.uint16
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = begun(self._target)
        self._container = av.open(str(self._temporary), "w")
        self._stream = self._container.add_stream(
            coding.codec, rate=self._rate, options=coding.options
        )
        context = self._stream.codec_context
        context.time_base = 1 / self._rate
        context.pix_fmt = coding.opaque[is_deep]
        is_rgb = True
        if self._plate is not None:
            original = self._plate.picture(nearest(self._plate.frames, frame))
            if self._keeps_codes:
                is_rgb = original.format.is_rgb
                context.pix_fmt = self._pixel_format(original, coding, is_deep)
                self._tag_like(self._plate, original, coding)
            self._turn_like(original)
            context.time_base = _common(1 / self._rate, self._plate.time_base)
            self._first = self._plate.span(frame)[0]
            self._sound = self._plate.sound(self._container, float(self._first), self._tracks)
        if self._described is not None:
            self._shape_like(self._described, coding)
            self._count_like(self._described, frame)
        context.height, context.width = self._turn.stored(first).shape[:2]
        if is_rgb and not context.format.is_rgb:
            context.colorspace = Colorspace.ITU709

    def _pixel_format(self, original: av.VideoFrame, coding: Coding, is_deep: bool) -> str:
        known = av.Codec(coding.codec, "w").video_formats or ()
        for alike in (original, _planar(original)):
            layout, _ = _layout(alike)
            if coding.codec == "ffv1" and layout in {each.name for each in known}:
                return layout
        if not any(part.is_alpha for part in original.format.components):
            return coding.opaque[is_deep]
        if coding.with_alpha is None:
            logger.warning("%s cannot hold the plate's alpha; .mkv can", self._target)
            return coding.opaque[is_deep]
        return coding.with_alpha[is_deep]

    def _tag_like(self, plate: Movie, original: av.VideoFrame, coding: Coding) -> None:
        context = self._stream.codec_context
        plate.copy_tags(context)
        # As it is decoded, and so read: that of MJPEG knows better than the container.
        context.colorspace = original.colorspace
        context.color_range = coding.color_range or _layout(original)[1]

    def _shape_like(self, plate: ImagePlate | Movie, coding: Coding) -> None:
        context = self._stream.codec_context
        context.sample_aspect_ratio = plate.pixel_aspect
        if (context.sample_aspect_ratio or 1) != 1 and not coding.has_pixel_aspect:
            logger.warning(
                "%s is written without the plate's pixel aspect %s; .mov has it",
                self._target,
                context.sample_aspect_ratio,
            )

    def _turn_like(self, original: av.VideoFrame) -> None:
        # A phone held upright: players turn the pictures, which lie.
        matrix = display_matrix(original)
        if matrix is None:
            return
        self._turn = turn_of(original)
        try:
            self._stream.set_display_matrix(matrix)
        except AttributeError:  # PyAV before 18
            logger.warning("%s is written as the plate lies, not turned", self._target)

    def _count_like(self, plate: ImagePlate | Movie, frame: int) -> None:
        assert self._container is not None
        try:
            first = plate.timecode_of(frame, self._rate)
        except ClipError as error:
            logger.warning("%s is written without a timecode: %s", self._target, error)
        else:
            if first:
                self._container.metadata["timecode"] = first

    def _coded(self, picture: av.VideoFrame, frame: int) -> av.VideoFrame:
        # Said here: what the encoder does unasked knows nothing of spaces and ranges.
        context = self._stream.codec_context
        coded = picture.reformat(
            format=context.pix_fmt,
            dst_colorspace=context.colorspace,
            dst_color_range=context.color_range,
        )
        self._starts, self._ends = self._shown(frame)
        coded.time_base = context.time_base
        coded.pts = round(self._starts / context.time_base)
        return coded

    def _shown(self, frame: int) -> tuple[Fraction, Fraction]:
        # Seconds from the first frame that is written.
        starts, length = self._written / self._rate, 1 / self._rate
        if self._plate is None:
            return starts, starts + length
        own, ends = (each - self._first for each in self._plate.span(frame))
        if abs(own - starts) > self._plate.time_base:  # an even time, which containers round
            starts = own
        if starts <= self._starts:  # a clock that was set back
            starts = self._starts + length
        return starts, max(ends, starts + length)

    def _mux_sound(self) -> None:
        # Sound goes in beside the pictures it belongs to.
        while self._pending is None or self._pending[0] <= self._ends:
            if self._pending is not None:
                assert self._container is not None
                self._container.mux(self._pending[1])
            self._pending = next(self._sound, None)
            if self._pending is None:
                return

    def close(self) -> None:
        """Finish the movie and give it its name.

        Raises:
            ClipError: it cannot be written.
        """
        if self._container is None or self._temporary is None:
            return
        try:
            self._container.mux(self._stream.encode(None))
            self._container.close()
            self._container = None
            self._temporary.replace(self._target)
        except (av.error.FFmpegError, OSError) as error:
            raise ClipError(f"cannot write {self._target}: {error}") from None

    def discard(self) -> None:
        """Drop an unfinished movie: half of one must not look whole."""
        if self._container is not None:
            with suppress(av.error.FFmpegError, OSError):  # on a full disk it cannot be finished
                self._container.close()
            self._container = None
        if self._temporary is not None:
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
        In the original's coding, alpha included, if that has a plane for each component or alpha;
        the picture otherwise.
    """
    original = _planar(original)
    components = original.format.components
    if len(original.planes) != len(components):
        return picture
    layout, color_range = _layout(original)
    coded = picture.reformat(
        format=layout, dst_colorspace=original.colorspace, dst_color_range=color_range
    )
    for new, old, part in zip(coded.planes, original.planes, components, strict=True):
        covered = _touched(changed, part.height, part.width)
        values, kept = (_values(plane, part.bits) for plane in (new, old))
        np.copyto(values, kept, where=True if part.is_alpha else ~covered)
    return coded


def _common(*steps: Fraction) -> Fraction:
    # The longest step of which each is a multiple; the last, where none can be written.
    finest = Fraction(1, math.lcm(*(step.denominator for step in steps)))
    return finest if finest.denominator < 2**31 else steps[-1]


def _layout(picture: av.VideoFrame) -> tuple[str, int]:
    # Pixel format and range of values: yuvj420p is an old name of yuv420p with the full range.
    name = picture.format.name
    if name.startswith("yuvj"):
        return name.replace("yuvj", "yuv"), ColorRange.JPEG
    return name, int(picture.color_range)


def _planar(picture: av.VideoFrame) -> av.VideoFrame:
    # The same values with a plane for each component; packed RGB is written as well from an array,
    # which has no alpha.
    components = picture.format.components
    if len(picture.planes) == len(components):
        return picture
    if len(components) > 2 and not picture.format.is_rgb and picture.format.name[:3] != "xyz":
        return picture.reformat(format=_planar_yuv(picture.format))
    if not any(part.is_alpha for part in components):
        return picture
    is_deep = any(part.bits > 8 for part in components)
    return picture.reformat(format="gbrap16le" if is_deep else "gbrap")


_COARSENESS = {(1, 1): "444", (1, 2): "440", (2, 1): "422", (2, 2): "420", (4, 1): "411"}
"""How many pixels of a row, and rows, share a color value."""


def _planar_yuv(packed: av.VideoFormat) -> str:
    luma, color, *_ = packed.components
    shared = _COARSENESS[round(luma.width / color.width), round(luma.height / color.height)]
    alpha = "a" if any(part.is_alpha for part in packed.components) else ""
    depth = f"{luma.bits}le" if luma.bits > 8 else ""
    return f"yuv{alpha}{shared}p{depth}"


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
