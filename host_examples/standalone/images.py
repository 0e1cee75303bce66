"""Plate, matte and clean plate as image sequences: pixels stay in the type they were stored in."""

import logging
import math
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from host_examples.standalone.image_files import (
    Part,
    Picture,
    Windows,
    lossy_compression,
    oiio_type,
    read_picture,
    require_describable,
    spec_like,
    write_picture,
)
from host_examples.standalone.layers import Layer, matte_channel, plate_layer
from host_examples.standalone.sequences import MOST_FRAMES_PER_SECOND, exact_rate, file_of
from host_examples.standalone.timecode import later, unpacked
from node.clips import Region, nearest
from node.color import unit
from node.errors import ClipError
from node.params import OutputMode

logger = logging.getLogger(__name__)

KEPT_PICTURES = 3
"""Files kept at hand, so that plate, matte and writer decode a frame once."""

READ_AHEAD = 2
"""Files that are decoded before they are asked for."""


_RATES = ("FramesPerSecond", "dpx:FrameRate", "dpx:TemporalFrameRate")


class ImageSequence:
    """Files by frame number; threads may share it."""

    def __init__(self, name: str, files: dict[int, Path]) -> None:
        self.name = name
        self._files = files
        threads = ThreadPoolExecutor(READ_AHEAD, thread_name_prefix="read-ahead")

        def begin(path: Path, stamp: str) -> Future[Picture]:
            return threads.submit(read_picture, path)

        self._begun = lru_cache(KEPT_PICTURES + READ_AHEAD)(begin)
        self._expected: list[int] = []

    @property
    def frames(self) -> Sequence[int]:
        """Numbers that exist, in rising order."""
        return sorted(self._files)

    @property
    def paths(self) -> Collection[Path]:
        """Every file."""
        return self._files.values()

    def load(self, frame: int) -> Picture:
        """All parts of a frame's file.

        Raises:
            ClipError: unreadable.
        """
        reading = self._reading(frame)
        expected = self._expected
        if frame in expected:
            self._expected = following = expected[expected.index(frame) + 1 :]
            for each in following[:READ_AHEAD]:
                self._reading(each)
        try:
            return reading.result()
        except ClipError:
            self._begun.cache_clear()  # it may be written anew
            raise

    def _reading(self, frame: int) -> Future[Picture]:
        try:
            stamp = self.stamp(frame)
        except OSError:  # which reading tells better
            stamp = ""
        return self._begun(self._files[frame], stamp)

    def expect(self, frames: Sequence[int]) -> None:
        """Frames that are asked for next, in order: they are decoded meanwhile."""
        self._expected = list(frames)

    def stamp(self, frame: int) -> str:
        """Path, size and time of a frame's file."""
        status = self._files[frame].stat()
        return f"{self._files[frame]} {status.st_size} {status.st_mtime_ns}"


class _OfFiles:
    """A clip whose frames are files."""

    def __init__(self, files: ImageSequence) -> None:
        self.files = files

    @property
    def name(self) -> str:
        """Where it is."""
        return self.files.name

    @property
    def frames(self) -> Sequence[int]:
        """Numbers that exist, in rising order."""
        return self.files.frames

    @property
    def paths(self) -> Collection[Path]:
        """Every file it is read from."""
        return self.files.paths

    def stamp(self, frame: int) -> str:
        """What changes with a frame."""
        return self.files.stamp(frame)

    def expect(self, frames: Sequence[int]) -> None:
        """Frames that are read next, in order."""
        self.files.expect(frames)


class Lying(Protocol):
    """A plate of which it is known where it lies."""

    @property
    def windows(self) -> Windows:
        """Where the pixels of every frame lie."""


class ImagePlate(_OfFiles):
    """The plate: R, G and B of each file, and alpha where it is asked for."""

    def __init__(
        self,
        files: ImageSequence,
        *,
        alpha: bool = False,
        layer: str = "",
        over: Lying | None = None,
    ) -> None:
        """Frames of files.

        Args:
            files: Where they are.
            alpha: Whether frames are read with their alpha.
            layer: Which colors are read, as :func:`plate_layer` takes them; clean frames need not
                have it.
            over: The plate that these are clean frames of, whose place they get.
        """
        super().__init__(files)
        self.wanted_layer = layer
        self.first = next(iter(self.frames), 0)
        """Frame that tells where the pixels of all lie, and what is written."""
        self._alpha = alpha
        self._over = over

    def layer(self, picture: Picture) -> Layer:
        """What of a file is the plate."""
        return plate_layer(picture, self.wanted_layer, optional=self._over is not None)

    @cached_property
    def windows(self) -> Windows:
        """Where the pixels of every frame lie."""
        picture = self.files.load(self.first)
        return picture.parts[self.layer(picture).part].windows

    @property
    def rate(self) -> Fraction | None:
        """Frames per second, if files tell them."""
        spec = self.files.load(self.first).parts[0].spec
        told = next(filter(None, map(spec.getattribute, _RATES)), 0)
        if isinstance(told, tuple):
            numerator, denominator = told
            told = numerator / denominator if denominator else 0
        known = isinstance(told, (int, float)) and 1 <= told <= MOST_FRAMES_PER_SECOND
        return exact_rate(told) if known else None

    def timecode_of(self, frame: int, rate: Fraction) -> str:
        """The timecode that a frame's file bears; empty where it has none.

        Args:
            frame: One that the plate lacks counts on from the nearest.
            rate: Frames per second.

        Raises:
            ClipError: unreadable, or what it bears is no timecode.
        """
        own = nearest(self.frames, frame)
        told = self.files.load(own).parts[0].spec.getattribute("smpte:TimeCode")
        return later(unpacked(told[0]), frame - own, rate) if told else ""

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of a pixel over its height."""
        told = self.files.load(self.first).parts[0].spec.get_float_attribute("PixelAspectRatio", 1)
        return Fraction(told).limit_denominator(1000) if 0 < told < math.inf else Fraction(1)

    @property
    def is_turned(self) -> bool:
        """Whether files store it otherwise than viewers show it."""
        picture = self.files.load(self.first)
        return picture.parts[self.layer(picture).part].orientation != 1

    def read(self, frame: int) -> NDArray[Any]:
        """(H, W, 3 or 4), values as stored, as viewers turn them; a file with one channel is gray.

        Raises:
            ClipError: unreadable, of a type or colors that no plate has, or its pixels lie
                elsewhere than the first frame's; a clean frame that does not cover the plate.
        """
        picture = self.files.load(frame)
        layer = self.layer(picture)
        part = picture.parts[layer.part]
        alpha = [layer.alpha] if self._alpha and layer.alpha is not None else []
        pixels = part.picked(layer.colors + alpha)
        if pixels.dtype not in (np.uint8, np.uint16, np.float16, np.float32):
            kind = part.spec.channelformat(layer.colors[0])
            raise ClipError(
                f"{picture.path} holds {kind} pixels; write 8 or 16 bits without sign, half or "
                "float"
            )
        if "CMYK" in (part.spec.getattribute(f"{kind}:ColorSpace") for kind in ("tiff", "jpeg")):
            raise ClipError(f"{picture.path} is CMYK, not RGB; convert it first")
        if self._over is not None:
            place = self._over.windows
            return placed(pixels, picture.path, part.windows, place, covering=True)
        if part.windows.data != self.windows.data and not (
            _fills_its_display(part.windows) and _fills_its_display(self.windows)
        ):
            raise ClipError(
                f"{picture.path} has the data window {_in_words(part.windows.data)}, the first "
                f"frame {_in_words(self.windows.data)}; write all frames with one data window"
            )
        return pixels


class ImageMatte(_OfFiles):
    """The matte: one channel of each file."""

    def __init__(self, files: ImageSequence, channel: str, over: ImagePlate | None = None) -> None:
        super().__init__(files)
        self._channel = channel
        self._over = over

    def read(self, frame: int) -> NDArray[np.float32]:
        """(H, W) float32, integer types scaled to [0, 1]; over the plate's pixels if there is one.

        Raises:
            ClipError: unreadable, or it cannot be told where on the plate it lies.
        """
        picture = self.files.load(frame)
        layer = "" if self._over is None else self._over.wanted_layer
        part, position = matte_channel(picture, self._channel, layer)
        picked = part.pixels[..., position]
        if self._over is not None:
            picked = placed(picked, picture.path, part.windows, self._over.windows)
        return unit(picked) if picked.dtype.kind == "u" else picked.astype(np.float32)


class StillMatte(ImageMatte):
    """One image that serves every frame."""

    def __init__(
        self,
        path: Path,
        channel: str,
        frames: Sequence[int],
        over: ImagePlate | None = None,
    ) -> None:
        super().__init__(ImageSequence(str(path), dict.fromkeys(frames, path)), channel, over)


def placed(
    pixels: NDArray[Any], path: Path, own: Windows, plate: Windows, *, covering: bool = False
) -> NDArray[Any]:
    """What of a file lies over a plate's pixels; 0 where the file has none.

    Args:
        pixels: (H, W, ...) in the file's data window.
        path: The file.
        own: Its windows. One that fills a display window other than the plate's tells no place: its
            pixels are taken as they are, to be compared with the plate's by size.
        plate: The plate's.
        covering: Whether there must be none of which the file has none.

    Raises:
        ClipError: its place is on a sheet other than the plate's, or it does not cover the plate.
    """
    if own.data == plate.data or (own.display != plate.display and _fills_its_display(own)):
        return pixels
    if own.display != plate.display:
        raise ClipError(
            f"{path} has the display window {_in_words(own.display)}, the plate "
            f"{_in_words(plate.display)}; reformat it first"
        )
    # Both boxes as seen from the plate's corner.
    lies = own.data.moved(-plate.data.left, -plate.data.top)
    shared = lies.within(plate.data.width, plate.data.height)
    if covering and shared != plate.data.moved(-plate.data.left, -plate.data.top):
        raise ClipError(
            f"{path} has the data window {_in_words(own.data)}, which does not cover the plate's "
            f"{_in_words(plate.data)}; write whole frames"
        )
    over = np.zeros((plate.data.height, plate.data.width, *pixels.shape[2:]), pixels.dtype)
    shared.of(over)[...] = shared.moved(-lies.left, -lies.top).of(pixels)
    return over


def _fills_its_display(windows: Windows) -> bool:
    return windows.data == windows.display


def _in_words(box: Region) -> str:
    return f"{box.width}x{box.height} at {box.left}, {box.top}"


def _gray(colors: NDArray[Any], plate: NDArray[Any]) -> NDArray[Any]:
    # The plate's own bits where nothing changed: the mean of a NaN may be another NaN.
    gray, bits = plate.copy(), f"u{plate.itemsize}"
    is_changed = (np.ascontiguousarray(colors).view(bits) != gray.view(bits)).any(axis=-1)
    mean = colors[is_changed].mean(axis=-1, dtype=np.float64, keepdims=True)
    gray[is_changed] = mean.round() if gray.dtype.kind == "u" else mean
    return gray


class ImageWriter:
    """Writes results as a sequence, each like the plate's own file."""

    keeps_frames = True

    def __init__(
        self, pattern: str, plate: ImagePlate | None, mode: OutputMode = "clean plate"
    ) -> None:
        self._pattern = pattern
        self._plate = plate
        self._mode = mode
        self._told: set[str] = set()

    def path(self, frame: int) -> Path:
        """The file of a frame."""
        return file_of(self._pattern, frame)

    def write(self, frame: int, pixels: NDArray[Any]) -> None:
        """Write one frame.

        Args:
            frame: Its number.
            pixels: (H, W, C) of the plate's type: a clean plate (3 or 4) takes the place of the
                plate's own colors, a fill (4) or a matte (1) makes a file of its own. A frame
                that the plate lacks is described as the nearest.

        Raises:
            ClipError: it cannot be written.
        """
        write_picture(self.path(frame), self._described(frame, pixels))

    def require_describable(self, first: NDArray[Any]) -> None:
        """Find out whether files can be written as the plate's are, before any work.

        Args:
            first: (H, W, 3 or 4), the plate's :attr:`ImagePlate.first` frame.

        Raises:
            ClipError: the format cannot hold them.
        """
        frame = 0 if self._plate is None else self._plate.first
        channels = {"clean plate": first.shape[-1], "fill only": 4}.get(self._mode, 1)
        pixels = np.zeros((*first.shape[:2], channels), first.dtype)
        require_describable(self.path(frame), self._described(frame, pixels))

    def _described(self, frame: int, pixels: NDArray[Any]) -> list[Part]:
        if self._plate is None:
            names = "RGBA"[: pixels.shape[-1]] if pixels.shape[-1] > 1 else "A"
            spec = oiio.ImageSpec(
                pixels.shape[1], pixels.shape[0], len(names), oiio_type(pixels.dtype)
            )
            spec.channelnames = tuple(names)
            if self._mode == "clean plate" and self.path(frame).suffix.lower() == ".png":
                spec["oiio:UnassociatedAlpha"] = 1  # colors as they are, or they would be divided
            return [Part(pixels, spec)]
        picture = self._plate.files.load(nearest(self._plate.frames, frame))
        lossy = {lossy_compression(part.spec) for part in picture.parts} - {""} - self._told
        for compression in lossy:
            logger.warning(
                "the plate's %s compression loses; written as zip, so that nothing else changes",
                compression,
            )
        self._told |= lossy
        return self._parts(picture, self._plate.layer(picture), pixels)

    def _parts(self, picture: Picture, layer: Layer, pixels: NDArray[Any]) -> list[Part]:
        parts = list(picture.parts)
        part = parts[layer.part]
        if self._mode != "clean plate":
            names = "RGBA" if pixels.shape[-1] == 4 else "A"
            spec = spec_like(part.spec, names, pixels.dtype)
            return [Part(pixels, spec, orientation=part.orientation)]
        merged = part.pixels.copy()
        colors = pixels[..., :3]
        if len(set(layer.colors)) == 1:
            colors = _gray(colors, part.picked(layer.colors))
        merged[..., layer.colors] = colors
        parts[layer.part] = replace(part, pixels=merged)
        return parts

    def close(self) -> None:
        """Every frame is a file of its own; nothing is left to do."""

    def discard(self) -> None:
        """Finished frames stay."""
