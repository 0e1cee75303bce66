"""Finding the videos of a test set, however it lies on disk.

Known layouts, NAME being a video's:

- ``NAME/frames/`` with ``NAME/objects/`` (masks of an object) and ``NAME/stationary_WxH.png``
  (a mask for all frames), where there are any;
- ``JPEGImages/NAME/`` or ``JPEGImages/480p/NAME/`` with ``Annotations/`` likewise, as DAVIS and
  YouTube-VOS have them; NAME may be a zip of images;
- ``NAME/`` full of images, ``NAME.zip``, or a movie.

A ``test.json`` beside them, an object whose keys are names of videos, limits which count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError
from sttn.footage import (
    IMAGE_SUFFIXES,
    MOVIE_SUFFIXES,
    Image,
    files_in,
    listed_videos,
    read_matte,
    read_movie,
    read_sequence,
)
from sttn.training.shards import read_frames_zip

ANY_SIZE = 2**31
RESOLUTION = "480p"
"""The folder that DAVIS' published figures were made with, where it has several."""


@dataclass(frozen=True, kw_only=True)
class Video:
    """Where a video and its masks lie."""

    name: str
    frames: Path
    """A folder of images, a zip of images, or a movie."""
    objects: Path | None = None
    """Folder of masks of an object."""
    stationary: Path | None = None
    """Image of a mask for all frames."""


def find_videos(folder: Path) -> list[Video]:
    """All videos of a test set, in order of their names.

    Raises:
        FootageError: no such folder, nothing in it looks like a video, or two of one name.
    """
    if not folder.is_dir():
        raise FootageError(f"no folder of videos at {folder}")
    listed = listed_videos(folder / "test.json")
    found = sorted(_found(folder), key=lambda video: video.name)
    videos = [video for video in found if listed is None or video.name in listed]
    if not videos:
        raise FootageError(
            f"no videos in {folder}; it should hold folders of images, NAME/frames/, or JPEGImages/"
        )
    for first, second in pairwise(videos):
        if first.name == second.name:
            raise FootageError(f"{first.frames} and {second.frames} have the same name; rename one")
    return videos


def _found(folder: Path) -> Iterator[Video]:
    if (folder / "JPEGImages").is_dir():
        images, masks = (_resolution(folder / kind) for kind in ("JPEGImages", "Annotations"))
        for path in _videos_in(images):
            name = _name(path)
            objects = masks / name
            yield Video(name=name, frames=path, objects=objects if objects.is_dir() else None)
    elif (folder / "frames").is_dir():
        yield _with_masks(folder)
    elif _has_images(folder):
        yield Video(name=folder.resolve().name, frames=folder)
    else:
        clips = [path for path in folder.iterdir() if (path / "frames").is_dir()]
        yield from (_with_masks(path) for path in clips)
        plain = (path for path in _videos_in(folder) if path not in clips)
        yield from (Video(name=_name(path), frames=path) for path in plain)


def _name(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _resolution(folder: Path) -> Path:
    return folder / RESOLUTION if (folder / RESOLUTION).is_dir() else folder


def _videos_in(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if _has_images(path):
                yield path
        elif path.suffix.lower() in MOVIE_SUFFIXES | {".zip"}:
            yield path


def _has_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())


def _with_masks(folder: Path) -> Video:
    stationary = sorted(folder.glob("stationary_*.png"))
    if len(stationary) > 1:
        raise FootageError(f"{folder} has {len(stationary)} stationary masks; leave one")
    objects = folder / "objects"
    return Video(
        name=folder.resolve().name,
        frames=folder / "frames",
        objects=objects if objects.is_dir() else None,
        stationary=stationary[0] if stationary else None,
    )


def read_frames(video: Video, limit: int, size: tuple[int, int]) -> Image:
    """The first frames of a video at a size, by area averaging: (T, H, W, 3) uint8 RGB.

    Args:
        video: Which.
        limit: Frames at most.
        size: Width and height.

    Raises:
        FootageError: they cannot be read.
    """
    if video.frames.is_dir():
        frames = read_sequence(video.frames, limit, ANY_SIZE)
    elif video.frames.suffix.lower() == ".zip":
        frames = read_frames_zip(video.frames, limit, ANY_SIZE)
    else:
        frames = read_movie(video.frames, limit, ANY_SIZE)
    resized = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(resized).astype(np.uint8, copy=False)


def read_masks(path: Path, count: int, size: tuple[int, int], *, paired: bool) -> NDArray[np.bool_]:
    """One mask for every frame: (count, H, W), True inside the hole; nearest, as published.

    Args:
        path: An image for all frames, or a folder of images in order.
        count: Frames.
        size: Width and height.
        paired: Whether each mask belongs to its frame; if not, a folder that holds fewer is gone
            through back and forth.

    Raises:
        FootageError: they cannot be read, or are paired and too few.
    """
    paths = [path] if path.is_file() else files_in(path, IMAGE_SUFFIXES)[:count]
    if not paths:
        raise FootageError(f"no masks in {path}")
    if paired and path.is_dir() and len(paths) < count:
        raise FootageError(f"{path} holds {len(paths)} masks for {count} frames; lower --limit")
    masks = [_resized(read_matte(one), size) for one in paths]
    there_and_back = [*masks, *masks[-2:0:-1]]
    return np.stack([there_and_back[index % len(there_and_back)] for index in range(count)])


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    resized = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized) > 0
