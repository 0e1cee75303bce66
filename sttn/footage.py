"""Reading 8-bit display-referred footage for training and evaluation.

Plates of artists go through OpenImageIO and OCIO in the hosts; this is for corpora.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError, SizesDifferError

logger = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
MOVIE_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm"})
ANNOTATIONS_FOLDER = re.compile(r"Annotations.*", re.IGNORECASE)
"""What lies below are masks of objects. DAVIS has Annotations_unsupervised too."""
FRAMES_FOLDER = "JPEGImages"
"""What lies below are the frames of DAVIS or YouTube-VOS."""
RESOLUTION = "480p"
"""The folder that DAVIS' published figures were made with, where it has several."""
MASKS_FOLDER = re.compile(r"masks?|objects", re.IGNORECASE)
"""What lies below are masks, where it looks like them."""

Image = NDArray[np.uint8]
"""(H, W, 3) RGB, or (T, H, W, 3) for several."""

Pixel = TypeVar("Pixel", np.uint8, np.float32)

Decoder = Callable[[bytes, object], Image]
"""Makes an image of a file's bytes; gets what messages call it, too."""

FEWER = 0.9
"""Share of the frames that a movie says it has; what an edit list hides, or what is only estimated
from its duration, lies between this and all of them."""


def natural_order(path: PurePath) -> tuple[list[list[str | int]], str]:
    """What names are sorted by, numbers in them as numbers.

    >>> [str(path) for path in sorted(map(PurePath, ("10.png", "9.png")), key=natural_order)]
    ['9.png', '10.png']
    """
    parts: list[list[str | int]] = [
        [int(piece) if place % 2 else piece for place, piece in enumerate(re.split(r"(\d+)", part))]
        for part in path.parts
    ]
    return parts, str(path)


def files_in(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """All files below a folder with one of the suffixes, in natural order.

    Linked folders count, each folder once; hidden ones do not, nor hidden files. Of a data set that
    has its videos in several sizes one counts, as :func:`of_one_size` says. Folders that cannot be
    listed are named in warnings, and counted.
    """
    found: list[Path] = []
    unlisted: list[OSError] = []
    entered: set[str] = set()
    roots = [folder]
    for root in roots:
        for place, folders, files in os.walk(root, onerror=unlisted.append):
            if (real := os.path.realpath(place)) in entered:
                folders.clear()
                continue
            entered.add(real)
            folders[:] = _of_one_size(Path(place), folders)
            # After all others, so that what is linked to from beside it keeps its own path.
            roots += [path for name in folders if (path := Path(place, name)).is_symlink()]
            found += _shown((Path(place, name) for name in files), suffixes)
    for error in unlisted:
        logger.warning("left out: %s: %s", error.filename, error.strerror)
    if unlisted:
        logger.warning("%d folders could not be listed", len(unlisted))
    return sorted(found, key=natural_order)


def _of_one_size(place: Path, folders: list[str]) -> list[str]:
    """Which of the folders in a place count."""
    shown = [name for name in folders if not is_hidden(name)]
    if place.name != FRAMES_FOLDER and not ANNOTATIONS_FOLDER.fullmatch(place.name):
        return shown
    one = of_one_size(place)
    if one == place or len(shown) < 2:
        return shown
    logger.info("of the sizes in %s that of %s counts", place, one.name)
    return [one.name]


def of_one_size(folder: Path) -> Path:
    """Where a data set's videos lie: in 480p, in a folder that is alone and no video, or here.

    Args:
        folder: DAVIS' or YouTube-VOS' JPEGImages or Annotations.
    """
    if (folder / RESOLUTION).is_dir():
        return folder / RESOLUTION
    inside = [path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)]
    return inside[0] if len(inside) == 1 and not images_in(inside[0]) else folder


def images_in(folder: Path, suffixes: frozenset[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The images in a folder itself, not below it, in natural order; hidden ones do not count."""
    return sorted(_shown(folder.iterdir(), suffixes), key=natural_order)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is nobody's material: hidden, or what macOS lays beside files.

    >>> [is_hidden(name) for name in ("._00000.png", ".cache", "__MACOSX", "00000.png")]
    [True, True, True, False]
    """
    return name.startswith(".") or name == "__MACOSX"


def _shown(paths: Iterable[Path], suffixes: frozenset[str]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() in suffixes and not is_hidden(path.name)]


def called_as_masks(folder: PurePath) -> bool:
    """Whether what lies in a folder of this name may be masks."""
    return any(kind.fullmatch(folder.name) for kind in (ANNOTATIONS_FOLDER, MASKS_FOLDER))


def listed_videos(path: Path) -> set[str] | None:
    """The names of videos that a list has; None where there is no file.

    A list is a JSON object with names as its keys, or a text with a name to a line, or with the
    path of a frame, as DAVIS has them in ImageSets.

    Raises:
        FootageError: the file holds something else.
    """
    if not path.is_file():
        return None
    if path.suffix == ".txt":
        lines = path.read_text(errors="replace").splitlines()
        named = [PurePosixPath(line.split()[0]) for line in lines if line.strip()]
        return {one.parent.name or one.name for one in named}
    try:
        return set(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise FootageError(f"{path} is not a JSON object of video names: {error}") from error


def tell_listed(path: Path, listed: set[str], names: list[str], decided: list[str]) -> None:
    """Tell how many videos a list leaves out, and how many it has that are not there.

    Args:
        path: The list.
        listed: What :func:`listed_videos` found in it.
        names: The videos that are there.
        decided: Those of them about which no other list decides.

    Raises:
        FootageError: it has none of them, as a list of something else.
    """
    there = listed.intersection(names)
    if names and not there:
        raise FootageError(
            f"{path} lists none of the {len(names)} videos that are there, such as {names[0]}; "
            "correct it, or move it away"
        )
    if left_out := sum(name not in listed for name in decided):
        logger.warning("%s leaves out %d of %d videos", path, left_out, len(decided))
    if lost := len(listed - there):
        logger.warning("%s lists %d videos that are not there", path, lost)


def decoded(content: bytes, name: object, way: int = cv2.IMREAD_COLOR) -> Image:
    """Decode a file's bytes as (H, W, 3) RGB; uint8, unless OpenCV's flags say otherwise.

    Bytes and no path: OpenCV crashes of paths that are no UTF-8, and fills up with gray what a
    JPEG file lacks at its end.

    Args:
        content: The whole file.
        name: What messages call it.
        way: OpenCV's flags of reading.

    Raises:
        FootageError: it cannot be decoded, or ends before its image does.
    """
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), way) if content else None
    if pixels is None:
        raise FootageError(f"cannot decode the image {name}")
    return np.ascontiguousarray(pixels[..., ::-1])


def decoded_mask(content: bytes, name: object) -> Image:
    """Decode a mask's bytes as (H, W, 3) uint8: 255 where any color of it is above 0, of 16 bits
    too.

    Raises:
        FootageError: as :func:`decoded`.
    """
    values = decoded(content, name, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    covered = np.where(values.max(axis=-1, keepdims=True) > 0, np.uint8(255), np.uint8(0))
    return np.repeat(covered, 3, axis=-1)


def read_image(path: Path, decoder: Decoder = decoded) -> Image:
    """Read an image as (H, W, 3) uint8 RGB.

    Raises:
        FootageError: the file is missing, cannot be decoded or ends too early.
    """
    return decoder(content_of(path), path)


def content_of(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        FootageError: it is missing or cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FootageError(f"cannot read {path}: {error.strerror}") from error


def read_matte(path: Path) -> NDArray[np.bool_]:
    """Read a mask image as (H, W) bool; any value above 0 is hole.

    Raises:
        FootageError: as :func:`read_image`.
    """
    hole: NDArray[np.bool_] = read_image(path, decoded_mask)[..., 0] > 0
    return hole


def read_movie(path: Path, limit: int, short_side: int) -> Image:
    """Decode the first frames of a movie, reduced to a short side.

    A movie with fewer frames than it says it has is named in a warning.

    Args:
        path: Movie file.
        limit: Frames to decode at most.
        short_side: Height or width of the result, whichever is smaller; never enlarged.

    Returns:
        (T, H, W, 3) uint8 RGB.

    Raises:
        FootageError: the file is missing, holds no frame that can be decoded, or its path is no
            UTF-8.
    """
    require_unicode(path)
    capture = cv2.VideoCapture(str(path))
    frames: list[Image] = []
    try:
        while len(frames) < limit:
            there, pixels = capture.read()
            if not there:
                break
            frame = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
            frames.append(reduced(frame, short_side))
        said = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    finally:
        capture.release()
    if not frames:
        raise FootageError(f"cannot decode any frame of the movie {path}")
    if len(frames) < FEWER * min(limit, said):
        logger.warning("%s says it has %d frames, and %d are there", path, said, len(frames))
    return np.stack(frames)


def require_unicode(path: Path) -> None:
    """Raise FootageError where a path is no UTF-8, which libraries crash of."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        told = str(path).encode(errors="backslashreplace").decode()
        raise FootageError(f"the name of {told} is no UTF-8; rename it") from error


def read_sequence(folder: Path, limit: int, short_side: int, decoder: Decoder = decoded) -> Image:
    """Read the first images of a folder as the frames of one video, as :func:`read_movie` does.

    What lies in folders below it is no part of the video.

    Raises:
        FootageError: there are no images, or one cannot be decoded.
        SizesDifferError: they differ in size.
    """
    frames = [reduced(read_image(path, decoder), short_side) for path in images_in(folder)[:limit]]
    if not frames:
        raise FootageError(f"there are no images in {folder}")
    require_one_size(folder, frames)
    return np.stack(frames)


def require_one_size(place: Path, frames: Iterable[NDArray[Any]]) -> None:
    """Raise SizesDifferError where images of a folder or file cannot be one video's."""
    if len({frame.shape for frame in frames}) > 1:
        raise SizesDifferError(f"the images in {place} differ in size")


def reduced(image: NDArray[Pixel], short_side: int) -> NDArray[Pixel]:
    """Shrink (H, W, 3) by area averaging until its short side fits; never enlarge."""
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    if scale >= 1:
        return image
    size = (round(width * scale), round(height * scale))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return resized.astype(image.dtype, copy=False)
