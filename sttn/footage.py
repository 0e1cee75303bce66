"""Reading 8-bit display-referred footage for training and evaluation.

Plates of artists go through OpenImageIO and OCIO in the hosts; this is for corpora.
"""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path, PurePath

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError, SizesDifferError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp"})
MOVIE_SUFFIXES = frozenset({".mp4", ".mkv", ".mov", ".avi", ".webm"})
ANNOTATIONS_FOLDER = re.compile(r"Annotations.*", re.IGNORECASE)
"""What lies below are masks of objects. DAVIS has Annotations_unsupervised too."""
MASKS_FOLDER = re.compile(r"masks?|objects", re.IGNORECASE)
"""What lies below are masks, where it looks like them."""

Image = NDArray[np.uint8]
"""(H, W, 3) RGB, or (T, H, W, 3) for several."""


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

    Linked folders count, each folder once; hidden ones do not, nor hidden files.
    """
    found: list[Path] = []
    entered: set[str] = set()
    roots = [folder]
    for root in roots:
        for place, folders, files in os.walk(root):
            if (real := os.path.realpath(place)) in entered:
                folders.clear()
                continue
            entered.add(real)
            folders[:] = [name for name in folders if not is_hidden(name)]
            # After all others, so that what is linked to from beside it keeps its own path.
            roots += [path for name in folders if (path := Path(place, name)).is_symlink()]
            found += _shown((Path(place, name) for name in files), suffixes)
    return sorted(found, key=natural_order)


def images_in(folder: Path) -> list[Path]:
    """The images in a folder itself, not below it, in natural order; hidden ones do not count."""
    return sorted(_shown(folder.iterdir(), IMAGE_SUFFIXES), key=natural_order)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is nobody's material: hidden, or what macOS lays beside files.

    >>> [is_hidden(name) for name in ("._00000.png", ".cache", "__MACOSX", "00000.png")]
    [True, True, True, False]
    """
    return name.startswith(".") or name == "__MACOSX"


def _shown(paths: Iterable[Path], suffixes: frozenset[str]) -> list[Path]:
    return [path for path in paths if path.suffix.lower() in suffixes and not is_hidden(path.name)]


def listed_videos(path: Path) -> set[str] | None:
    """The names of videos that a JSON object has as its keys; None where there is no file.

    Raises:
        FootageError: the file holds something else.
    """
    if not path.is_file():
        return None
    try:
        return set(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise FootageError(f"{path} is not a JSON object of video names: {error}") from error


def read_image(path: Path) -> Image:
    """Read an image as (H, W, 3) uint8 RGB.

    Raises:
        FootageError: the file is missing or cannot be decoded.
    """
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if pixels is None:
        raise FootageError(f"cannot read the image {path}")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def read_matte(path: Path) -> NDArray[np.bool_]:
    """Read a mask image as (H, W) bool; any value above 0 is hole.

    Raises:
        FootageError: the file is missing or cannot be decoded.
    """
    hole: NDArray[np.bool_] = read_image(path).max(axis=-1) > 0
    return hole


def read_movie(path: Path, limit: int, short_side: int) -> Image:
    """Decode the first frames of a movie, reduced to a short side.

    Args:
        path: Movie file.
        limit: Frames to decode at most.
        short_side: Height or width of the result, whichever is smaller; never enlarged.

    Returns:
        (T, H, W, 3) uint8 RGB.

    Raises:
        FootageError: the file is missing or holds no frame that can be decoded.
    """
    capture = cv2.VideoCapture(str(path))
    frames: list[Image] = []
    try:
        while len(frames) < limit:
            there, pixels = capture.read()
            if not there:
                break
            frames.append(reduced(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), short_side))
    finally:
        capture.release()
    if not frames:
        raise FootageError(f"cannot decode any frame of the movie {path}")
    return np.stack(frames)


def read_sequence(folder: Path, limit: int, short_side: int) -> Image:
    """Read the first images of a folder as the frames of one video, as :func:`read_movie` does.

    What lies in folders below it is no part of the video.

    Raises:
        FootageError: there are no images, or one cannot be decoded.
        SizesDifferError: they differ in size.
    """
    frames = [reduced(read_image(path), short_side) for path in images_in(folder)[:limit]]
    if not frames:
        raise FootageError(f"there are no images in {folder}")
    if len({frame.shape for frame in frames}) > 1:
        raise SizesDifferError(f"the images in {folder} differ in size")
    return np.stack(frames)


def reduced(image: NDArray[np.generic], short_side: int) -> Image:
    """Shrink (H, W, 3) uint8 by area averaging until its short side fits; never enlarge."""
    height, width = image.shape[:2]
    scale = short_side / min(height, width)
    pixels = image.astype(np.uint8, copy=False)
    if scale >= 1:
        return pixels
    size = (round(width * scale), round(height * scale))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
