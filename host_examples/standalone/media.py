"""Opens what the command line names: sequence, still or movie, plate, matte or output."""

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from host_examples.standalone.images import (
    DEEP_SUFFIXES,
    FLOAT_SUFFIXES,
    IMAGE_SUFFIXES,
    ImageMatte,
    ImagePlate,
    ImageWriter,
    StillMatte,
    find_sequence,
    is_pattern,
    parts_of,
)
from host_examples.standalone.movies import MOVIE_SUFFIXES, Movie, MovieMatte, MovieWriter
from node.clips import Clip
from node.color import PlateColor, encode, finite
from node.errors import ClipError

FIRST_MOVIE_FRAME = 1
"""Number of a plate movie's first frame."""


class Writer(Protocol):
    """Takes clean plates as they are done."""

    keeps_frames: bool
    """Whether frames written before an interruption stay."""

    def path(self, frame: int) -> Path:
        """The file a frame goes to."""

    def write(self, frame: int, pixels: NDArray[Any]) -> None:
        """Write one frame."""

    def close(self) -> None:
        """All frames are written."""

    def discard(self) -> None:
        """The job ended early."""


def open_plate(location: str) -> ImagePlate | Movie:
    """The plate: a folder, a pattern, one image or a movie.

    Raises:
        ClipError: nothing there that can be read.
    """
    if _is_movie(location):
        return Movie(_existing(location), FIRST_MOVIE_FRAME)
    files = _files(location)
    first = next(iter(files.values()))
    if parts_of(first) > 1:
        raise ClipError(
            f"{first} has {parts_of(first)} parts, and all but the first would be lost; "
            "write the plate as single-part files first"
        )
    return ImagePlate(location, files)


def open_matte(location: str, channel: str | None, plate: Clip) -> Clip:
    """The matte: a folder, a pattern, a movie that starts with the plate, or one still for all.

    Raises:
        ClipError: nothing there that can be read.
    """
    if _is_movie(location):
        if channel is not None:
            raise ClipError(f"{location} is a movie without a channel {channel}")
        return MovieMatte(Movie(_existing(location), plate.frames[0]))
    if Path(location).is_file():
        return StillMatte(Path(location), channel, plate.frames)
    return ImageMatte(location, _files(location), channel)


def matte_of_plate(plate: Clip, location: str, channel: str) -> Clip:
    """A channel of the plate as its matte.

    Raises:
        ClipError: the plate is a movie.
    """
    if not isinstance(plate, ImagePlate):
        raise ClipError(f"{plate.name} is a movie without a channel {channel}; give --matte")
    return ImageMatte(location, _files(location), channel)


def open_output(location: str, plate: Clip, first: NDArray[Any], color_space: str | None) -> Writer:
    """Where clean plates go: a pattern, or a movie.

    Args:
        location: ``name.####.exr``, ``name.%04d.png``, ``name.mkv`` ...
        plate: Tells frame rate and file descriptions.
        first: Any frame of the plate; its type has to fit the output.
        color_space: Color space of the plate.

    Raises:
        ClipError: no such kind of file, or one that cannot hold the plate's pixels.
    """
    if _is_movie(location):
        rate = plate.rate if isinstance(plate, Movie) else Fraction(24)
        color = PlateColor(color_space, first.dtype)

        def to_display(pixels: NDArray[Any]) -> NDArray[Any]:
            if pixels.dtype.kind == "u":
                return pixels
            code = encode(finite(color.to_linear(pixels)))
            return (np.clip(code, 0, 1) * 255).round().astype(np.uint8)

        return MovieWriter(Path(location), rate, to_display)
    suffix = Path(location).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise ClipError(
            f"cannot write {suffix or 'files without suffix'}; give a pattern such as "
            "clean.####.exr, or a movie (.mkv, .mov, .mp4)"
        )
    if not is_pattern(location):
        raise ClipError(f"{location} names one file for all frames; write name.####{suffix}")
    is_float = first.dtype.kind == "f"
    if is_float != (suffix in FLOAT_SUFFIXES) or (
        first.itemsize > 1 and suffix not in DEEP_SUFFIXES
    ):
        better = ".exr" if is_float else ".png"
        raise ClipError(
            f"{suffix} cannot hold the plate's {first.dtype} pixels as they are; write {better}"
        )
    return ImageWriter(location, plate if isinstance(plate, ImagePlate) else None)


def parse_frames(text: str | None, available: Sequence[int]) -> list[int]:
    """``1001-1048`` or ``1001``, first and last included; None means all there are.

    Raises:
        ClipError: not a range, or an empty one.
    """
    if text is None:
        return list(available)
    match = re.fullmatch(r"\s*(-?\d+)(?:\s*-\s*(-?\d+))?\s*", text)
    if match is None:
        raise ClipError(f"--frames {text!r} is not a range; write 1001-1048")
    first = int(match[1])
    last = int(match[2]) if match[2] is not None else first
    if last < first:
        raise ClipError(f"--frames {text} is empty: {last} comes before {first}")
    return list(range(first, last + 1))


def _files(location: str) -> dict[int, Path]:
    path = Path(location)
    if path.is_file():
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise ClipError(f"{location} is neither an image nor a movie that can be read")
        number = re.search(r"(\d+)$", path.stem)
        return {int(number[1]) if number else 1: path}
    if not path.is_dir() and not is_pattern(location):
        raise ClipError(f"no file or folder {location}")
    return find_sequence(location)


def _is_movie(location: str) -> bool:
    return Path(location).suffix.lower() in MOVIE_SUFFIXES


def _existing(location: str) -> Path:
    path = Path(location)
    if not path.is_file():
        raise ClipError(f"no file {location}")
    return path
