"""Opens what the command line names: sequence, still or movie, plate, matte or output."""

import logging
import os
import re
from collections.abc import Collection, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from host_examples.standalone.images import (
    ImageMatte,
    ImagePlate,
    ImageSequence,
    ImageWriter,
    StillMatte,
)
from host_examples.standalone.movie_writer import MovieWriter
from host_examples.standalone.movies import MOVIE_SUFFIXES, Movie, MovieMatte
from host_examples.standalone.sequences import (
    ALPHA_SUFFIXES,
    DEEP_SUFFIXES,
    FLOAT_SUFFIXES,
    IMAGE_SUFFIXES,
    MOST_FRAMES_PER_SECOND,
    exact_rate,
    find_sequence,
    is_pattern,
    names_of,
    pattern_of,
)
from host_examples.standalone.unfinished import clear_abandoned
from node.clips import Clip, Clips, nearest
from node.color import PlateColor, unit
from node.errors import ClipError
from node.params import OutputMode

logger = logging.getLogger(__name__)

FIRST_MOVIE_FRAME = 1
"""Number of a plate movie's first frame."""

USUAL_RATE = Fraction(24)
"""Frames per second of a movie where nobody says."""

# Stems whose number stands where frame numbers do; in painted_v012 it does not.
_NUMBERED_BY_FRAME = re.compile(r"(.*\.)?-?\d+|.*_\d{4,}")


@runtime_checkable
class OnDisk(Protocol):
    """A clip that is read from files."""

    @property
    def paths(self) -> Collection[Path]:
        """All of them."""


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


def open_plate(
    location: str, *, alpha: bool = False, layer: str = "", over: Clip | None = None
) -> ImagePlate | Movie:
    """The plate, or clean frames of one: a folder, a pattern, one image or a movie.

    Args:
        location: Where it is.
        alpha: Whether frames are read with their alpha, where there is one.
        layer: Which colors are the plate, where files hold several layers; clean frames may lack
            it.
        over: The plate, for clean frames. One image without a number in its name is none of the
            plate's frames.

    Raises:
        ClipError: nothing there that can be read.
    """
    if _is_movie(location):
        if layer and over is None:
            raise ClipError(f"{location} is a movie without a layer {layer}")
        return Movie(_existing(location), FIRST_MOVIE_FRAME, alpha=alpha)
    found = _files(location) if over is None else _painted_files(location, over)
    files = ImageSequence(location, found)
    return ImagePlate(files, alpha=alpha, layer=layer, over=_with_windows(over))


def first_pixels(plate: ImagePlate | Movie, chosen: Sequence[int]) -> NDArray[Any]:
    """(H, W, 3 or 4) of the plate, as it is where a job begins: what lies before may be a slate.

    Args:
        plate: A sequence is compared with this frame from now on.
        chosen: Frames of the job, in rising order; of a movie any frame serves.

    Raises:
        ClipError: unreadable.
    """
    first = plate.frames[0]
    if isinstance(plate, ImagePlate):
        plate.first = first = nearest(plate.frames, chosen[0])
    pixels = plate.read(first)
    if plate.is_turned:
        height, width = pixels.shape[:2]
        logger.warning(
            "%s is stored turned; mattes and clean frames belong on what players show, %dx%d",
            *(plate.name, width, height),
        )
    if isinstance(plate, Movie) and plate.is_interlaced:
        logger.warning(
            "%s is interlaced, which is not seen to: two moments are completed as one picture, and "
            "written as such; deinterlace it first",
            plate.name,
        )
    return pixels


def open_matte(location: str, channel: str, plate: Clip) -> Clip:
    """The matte: a folder, a pattern, a movie that starts with the plate, or one still for all.

    Raises:
        ClipError: nothing there that can be read.
    """
    if _is_movie(location):
        return MovieMatte(Movie(_existing(location), plate.frames[0]), channel)
    if Path(location).is_file():
        _warn_of_sequence(Path(location), plate.frames)
        return StillMatte(Path(location), channel, plate.frames, _with_windows(plate))
    files = ImageSequence(location, _files(location))
    return ImageMatte(files, channel, _with_windows(plate))


def _warn_of_sequence(still: Path, frames: Sequence[int]) -> None:
    # Who names one file of a roto by mistake would see it stand still at the end.
    pattern = still.with_name(pattern_of(still.name))
    if is_pattern(str(pattern)):
        shared = set(frames) & find_sequence(str(pattern)).keys()
        if len(shared) > max(1, len(frames) / 2):
            logger.warning("%s serves all frames; name %s to give each its own", still, pattern)


def matte_of_plate(plate: ImagePlate | Movie, channel: str) -> Clip:
    """A channel of the plate as its matte; plate and matte decode each file of images once.

    Raises:
        ClipError: a movie has none of that name.
    """
    if isinstance(plate, Movie):
        return MovieMatte(plate, channel)
    return ImageMatte(plate.files, channel, plate)


def _with_windows(plate: Clip | None) -> ImagePlate | None:
    return plate if isinstance(plate, ImagePlate) else None


def open_output(
    location: str,
    plate: Clip,
    first: NDArray[Any],
    color: PlateColor,
    mode: OutputMode = "clean plate",
    rate: float | None = None,
    *,
    single: bool = False,
) -> Writer:
    """Where clean plates go: a pattern, the file of a single one, or a movie.

    Args:
        location: ``name.####.exr``, ``name.%04d.png``, ``name.mkv`` ...
        plate: Tells frame rate and file descriptions.
        first: As :func:`first_pixels` gives it; its type has to fit the output.
        color: Conversion of the plate, for a movie made of a float one.
        mode: What is written.
        rate: Frames per second of a movie made of a sequence; None takes what its files tell.
        single: Whether one frame is all that is written.

    Raises:
        ClipError: no such kind of file, or one that cannot hold the plate's pixels; a rate that
            nothing has.
    """
    # Where files will lie once folders are made: until then new/../plate.0001.exr is no file.
    location = str(Path(os.path.realpath(Path(location).parent), Path(location).name))
    _require_folder_of(Path(location))
    _clear_abandoned(Path(location))
    if mode == "fill only" and Path(location).suffix.lower() not in ALPHA_SUFFIXES:
        raise ClipError(f"{location} cannot hold the fill's alpha; write name.####.exr or .png")
    if _is_movie(location):
        height, width = first.shape[:2]
        if Path(location).suffix.lower() == ".mp4" and (height % 2 or width % 2):
            raise ClipError(
                f"{location}: such movies have even sides, and the plate is {width}x{height}; "
                "write .mkv or .mov"
            )

        def to_display(pixels: NDArray[Any]) -> NDArray[Any]:
            if pixels.shape[-1] == 1:
                return (unit(pixels) * 255).round().astype(np.uint8).repeat(3, axis=-1)
            # Movies are written without alpha: what is multiplied by it shows over black.
            if pixels.dtype.kind == "u":
                return pixels[..., :3]
            code = color.to_code(pixels[..., :3])
            return (np.clip(code, 0, 1) * 255).round().astype(np.uint8)

        described = plate if isinstance(plate, ImagePlate | Movie) else None
        is_clean = mode == "clean plate"
        exact = _rate(plate, rate)
        return MovieWriter(Path(location), exact, to_display, described, keeps_codes=is_clean)
    if rate is not None:
        raise ClipError("--rate goes with a movie as --output; leave it out")
    suffix = Path(location).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise ClipError(
            f"cannot write {suffix or 'files without suffix'}; give a pattern such as "
            "clean.####.exr, or a movie (.mkv, .mov, .mp4)"
        )
    if not single and not is_pattern(location):
        raise ClipError(f"{location} names one file for all frames; write name.####{suffix}")
    is_float = first.dtype.kind == "f"
    if is_float != (suffix in FLOAT_SUFFIXES) or (
        first.itemsize > 1 and suffix not in DEEP_SUFFIXES
    ):
        better = ".exr" if is_float else ".png"
        raise ClipError(
            f"{suffix} cannot hold the plate's {first.dtype} pixels as they are; write {better}"
        )
    writer = ImageWriter(location, _with_windows(plate), mode)
    writer.require_describable(first)
    return writer


def _rate(plate: Clip, wanted: float | None) -> Fraction:
    if isinstance(plate, Movie):
        if wanted is not None:
            raise ClipError(f"--rate goes with sequences; {plate.name} is a movie and has its own")
        return plate.rate
    if wanted is not None:
        if not 1 <= wanted <= MOST_FRAMES_PER_SECOND:
            raise ClipError(f"--rate must be 1 to {MOST_FRAMES_PER_SECOND}, got {wanted:g}")
        return exact_rate(wanted)
    told = plate.rate if isinstance(plate, ImagePlate) else None
    if told is None:
        logger.warning("%s does not tell its frames per second; 24, or say --rate", plate.name)
    return told or USUAL_RATE


def require_apart(targets: Iterable[Path], clips: Clips) -> None:
    """Refuse to write over what is read, by whatever name.

    Raises:
        ClipError: a file that exists is one of a clip's.
    """
    read = {
        _identity(path): clip.name
        for clip in clips.connected().values()
        if isinstance(clip, OnDisk)
        for path in clip.paths
        if path.exists()
    }
    for path in targets:
        name = read.get(_identity(path))
        if name is not None:
            raise ClipError(f"{path} is a file of {name}, which is read; choose another --output")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _require_folder_of(path: Path) -> None:
    # An hour later is too late to hear of it.
    if path.is_dir():
        raise ClipError(f"{path} is a folder; write {path / 'clean.####.exr'}")
    folder = next(each for each in path.absolute().parents if each.exists())
    if not folder.is_dir():
        raise ClipError(f"cannot write {path}: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ClipError(f"cannot write {path}: you may not write into {folder}")


def _clear_abandoned(path: Path) -> None:
    names = names_of(path)
    clear_abandoned(
        path.parent, lambda name: bool(names.fullmatch(name)) if names else name == path.name
    )


def _painted_files(location: str, plate: Clip) -> dict[int, Path]:
    # A still without a number is none of the plate's frames: it comes before the first.
    files = _files(location, unnumbered=plate.frames[0] - 1)
    if is_pattern(location):
        return files
    frame, path = min(files.items())
    if re.search(r"\d$", path.stem) is None:
        logger.warning("%s has no frame number: it is copied from, and replaces no frame", path)
    elif _NUMBERED_BY_FRAME.fullmatch(path.stem) is None:
        logger.warning(
            "%s is taken as frame %d; if that is a version, name it as %s.%04d%s",
            *(path, frame, path.stem, plate.frames[0], path.suffix),
        )
    return files


def _files(location: str, unnumbered: int = 1) -> dict[int, Path]:
    path = Path(location)
    if path.is_file():
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            raise ClipError(f"{location} is neither an image nor a movie that can be read")
        number = re.search(r"(\d+)$", path.stem)
        return {int(number[1]) if number else unnumbered: path}
    if not path.is_dir() and not is_pattern(location):
        raise ClipError(
            f"no file or folder {location}; a sequence is written name.####.exr or name.%04d.exr"
        )
    return find_sequence(location)


def _is_movie(location: str) -> bool:
    return Path(location).suffix.lower() in MOVIE_SUFFIXES


def _existing(location: str) -> Path:
    path = Path(location)
    if not path.is_file():
        raise ClipError(f"no file {location}")
    return path
