"""The shot that weights adapt to, and what is to be removed from it."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError
from sttn.footage import (
    IMAGE_SUFFIXES,
    MOVIE_SUFFIXES,
    Image,
    images_in,
    read_image,
    read_matte,
    read_movie,
)
from sttn.scene_linear import SCENE_LINEAR_SUFFIXES, read_exr
from sttn.training.plates import Codes, read_codes, white_of

STILL_SUFFIXES = IMAGE_SUFFIXES | SCENE_LINEAR_SUFFIXES
EVERYTHING = 2**31


def read_shot(plate: Path, matte: Path) -> tuple[Image | Codes, NDArray[np.bool_]]:
    """Read a whole shot and what is to be removed from it.

    Args:
        plate: Folder or pattern (``plate.####.exr``) of images, or a movie. .exr and .hdr are
            scene-linear Rec.709, everything else is display-referred.
        matte: A still for all frames, or what a plate may be. Patterns pair by frame number,
            anything else in order. Of an .exr its alpha counts, else its first channel.

    Returns:
        (T, H, W, 3) RGB, uint8 sRGB or, of a scene-linear plate, float16 in the working space; and
        (T, H, W), True where the matte is above 0.

    Raises:
        FootageError: something cannot be read, or does not fit together.
    """
    if plate.suffix.lower() in MOVIE_SUFFIXES:
        frames: Image | Codes = read_movie(plate, EVERYTHING, EVERYTHING)
        numbers = list(range(len(frames)))
    else:
        files = _files(plate)
        frames, numbers = _stacked(_read_frame, files.values(), plate), list(files)
    masks = _masks(matte, numbers, by_number="#" in plate.name and "#" in matte.name)
    if masks.shape != frames.shape[:3]:
        (t, h, w), (count, height, width) = masks.shape, frames.shape[:3]
        raise FootageError(
            f"the matte has {t} frames of {w}x{h}, the plate {count} of {width}x{height}"
        )
    if frames.dtype == np.float16:
        white = white_of(frame[~mask] for frame, mask in zip(frames, masks, strict=True))
        frames = np.asarray(np.clip(frames / white, 0, 1), np.float16)
    return frames, masks


def _masks(matte: Path, numbers: list[int], *, by_number: bool) -> NDArray[np.bool_]:
    if matte.suffix.lower() in MOVIE_SUFFIXES:
        covered: NDArray[np.bool_] = read_movie(matte, EVERYTHING, EVERYTHING).max(axis=-1) > 0
        return covered
    if matte.is_file():
        return np.repeat(_read_mask(matte)[None], len(numbers), axis=0)
    files = _files(matte)
    if by_number:
        missing = sorted(set(numbers) - set(files))
        if missing:
            raise FootageError(f"the matte {matte} has no frame {missing[0]}, the plate has one")
        files = {number: files[number] for number in numbers}
    masks: NDArray[np.bool_] = _stacked(_read_mask, files.values(), matte)
    return masks


def _files(location: Path) -> dict[int, Path]:
    """Files by frame number where a pattern names them, by position where they lie in a folder.

    Raises:
        FootageError: there are none.
    """
    if "#" in location.name:
        parts = [re.escape(part) for part in re.split("#+", location.name, maxsplit=1)]
        named = re.compile(r"(-?\d+)".join(parts))
        found = [(named.fullmatch(path.name), path) for path in location.parent.glob("*")]
        files = dict(sorted((int(name[1]), path) for name, path in found if name))
    else:
        files = dict(enumerate(images_in(location, STILL_SUFFIXES) if location.is_dir() else []))
    if not files:
        raise FootageError(f"no images at {location}; give a folder, name.####.exr or a movie")
    return files


def _read_frame(path: Path) -> Image | NDArray[np.float16]:
    """(H, W, 3): uint8 sRGB, or scene-linear values in the working encoding."""
    if path.suffix.lower() not in SCENE_LINEAR_SUFFIXES:
        return read_image(path)
    return read_codes(path).astype(np.float16)


def _read_mask(path: Path) -> NDArray[np.bool_]:
    if path.suffix.lower() != ".exr":
        return read_matte(path)
    pixels, names = read_exr(path)
    covered: NDArray[np.bool_] = pixels[..., names.index("A") if "A" in names else 0] > 0
    return covered


def _stacked(
    read: Callable[[Path], NDArray[Any]], paths: Iterable[Path], location: Path
) -> NDArray[Any]:
    frames = [read(path) for path in paths]
    if len({(frame.shape, frame.dtype) for frame in frames}) > 1:
        raise FootageError(f"the images of {location} differ in size or kind")
    return np.stack(frames)
