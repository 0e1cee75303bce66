"""Finding the videos of a test set, however it lies on disk.

Known layouts, NAME being a video's:

- ``NAME/frames/`` with ``NAME/objects/`` (masks of an object) and ``NAME/stationary_WxH.png``
  (a mask for all frames), where there are any;
- ``JPEGImages/NAME/`` or ``JPEGImages/480p/NAME/`` with ``Annotations/`` likewise, as DAVIS and
  YouTube-VOS have them; NAME may be a zip of images; of several sizes, 480p counts;
- ``NAME/`` full of images, ``NAME.zip``, or a movie;
- a folder of images without any of these beside them, which is one video itself.

A ``test.json`` beside them, an object whose keys are names of videos, limits which count; without
one DAVIS' own ``ImageSets/*/val.txt`` do, since the others are what networks are trained on.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError
from sttn.footage import (
    FRAMES_FOLDER,
    MOVIE_SUFFIXES,
    Image,
    called_as_masks,
    images_in,
    is_hidden,
    listed_videos,
    of_one_size,
    read_matte,
    read_movie,
    read_sequence,
    require_unicode,
    tell_listed,
)
from sttn.training.shards import images_in_zip, read_frames_zip

ANY_SIZE = 2**31
SHORTEST = 2
"""Frames without which nothing can be measured."""


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
        FootageError: no such folder, nothing in it looks like a video, two of one name, or one
            whose name is no UTF-8; or the list of those that count has none of them.
    """
    if not folder.is_dir():
        raise FootageError(f"no folder of videos at {folder}")
    videos = sorted(_found(folder), key=lambda video: video.name)
    if lists := _lists(folder):
        names = [video.name for video in videos]
        listed = {name for path in lists for name in listed_videos(path) or ()}
        tell_listed(lists[-1], listed, names, names)
        videos = [video for video in videos if video.name in listed]
    if not videos:
        raise FootageError(
            f"no videos in {folder}; it should hold folders of images, NAME/frames/, or JPEGImages/"
        )
    for video in videos:
        require_unicode(Path(video.name))
    for first, second in pairwise(videos):
        if first.name == second.name:
            raise FootageError(f"{first.frames} and {second.frames} have the same name; rename one")
    return videos


def _lists(folder: Path) -> list[Path]:
    """Lists of the videos that count; DAVIS has one for each of its years."""
    own = folder / "test.json"
    return [own] if own.is_file() else sorted(folder.glob("ImageSets/*/val.txt"))


def _found(folder: Path) -> Iterator[Video]:
    if (folder / FRAMES_FOLDER).is_dir():
        images, masks = (
            of_one_size(folder / kind) if (folder / kind).is_dir() else folder / kind
            for kind in (FRAMES_FOLDER, "Annotations")
        )
        for path in _videos_in(images):
            name = _name(path)
            objects = masks / name
            yield Video(name=name, frames=path, objects=objects if objects.is_dir() else None)
    elif (folder / "frames").is_dir():
        yield _with_masks(folder)
    else:
        inside = [_clip(path) for path in _videos_in(folder) if not called_as_masks(path)]
        # A picture beside clips, a contact sheet say, makes no video of their folder.
        if not inside and images_in(folder):
            inside = [Video(name=folder.resolve().name, frames=folder)]
        yield from inside


def _clip(path: Path) -> Video:
    return _with_masks(path) if _has_frames(path) else Video(name=_name(path), frames=path)


def _name(path: Path) -> str:
    return path.name if path.is_dir() else path.stem


def _videos_in(folder: Path) -> Iterator[Path]:
    for path in _shown(folder):
        if path.is_dir():
            if _has_frames(path) or images_in(path):
                yield path
        elif path.suffix.lower() in MOVIE_SUFFIXES | {".zip"}:
            yield path


def _has_frames(folder: Path) -> bool:
    return (folder / "frames").is_dir()


def _shown(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not is_hidden(path.name))


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


def read_masks(path: Path, count: int, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks that are no frame's own: (count, H, W), True inside the hole; nearest, as published.

    Args:
        path: An image for all frames, or a folder of images in order, which is gone through back
            and forth where it holds fewer.
        count: Frames.
        size: Width and height.

    Raises:
        FootageError: they cannot be read, or there are none.
    """
    paths = [path] if path.is_file() else _masks_in(path)[:count]
    masks = [_resized(read_matte(one), size) for one in paths]
    there_and_back = [*masks, *masks[-2:0:-1]]
    return np.stack([there_and_back[index % len(there_and_back)] for index in range(count)])


def read_own_masks(
    path: Path, video: Video, count: int, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """The mask of each of a video's first frames: (count, H, W), True inside the hole; nearest.

    A frame's mask has its name. Where masks and frames have no name in common, and in movies, they
    have the same order, and there is one for each. A frame without a mask is refused: whether its
    object has not appeared yet, which an empty one says, or was not drawn, nobody knows.

    Args:
        path: A folder of images.
        video: Whose frames.
        count: Frames.
        size: Width and height.

    Raises:
        FootageError: they cannot be read, or a frame has none.
    """
    masks, names = _masks_in(path), _frame_names(video)
    by_name = {mask.stem: mask for mask in masks}
    if len(by_name) < len(masks):
        raise FootageError(f"two masks in {path} have the same name; leave one")
    if by_name.keys().isdisjoint(names):
        own = _in_order(path, masks, count, len(names))
    else:
        own = _by_name(path, by_name, names[:count])
    return np.stack([_resized(read_matte(one), size) for one in own])


def _masks_in(folder: Path) -> list[Path]:
    masks = images_in(folder)
    if not masks:
        raise FootageError(f"no masks in {folder}")
    return masks


def _frame_names(video: Video) -> list[str]:
    """The names of a video's frames in their order, without suffixes; a movie's have none."""
    if video.frames.is_dir():
        return [path.stem for path in images_in(video.frames)]
    if video.frames.suffix.lower() == ".zip":
        return [path.stem for path in images_in_zip(video.frames)]
    return []


def _by_name(path: Path, masks: dict[str, Path], names: list[str]) -> list[Path]:
    for place, name in enumerate(names):
        if name not in masks:
            raise FootageError(
                f"{path} has no mask for frame {name}; give it one, empty where nothing is "
                f"to be removed{_or_fewer(place)}"
            )
    return [masks[name] for name in names]


def _in_order(path: Path, masks: list[Path], count: int, named: int) -> list[Path]:
    """The masks of the first frames, where order is all there is to go by.

    Args:
        path: Their folder, for messages.
        masks: All of them.
        count: Frames.
        named: How many frames there are in all, whose names are others; 0 where they have none.
    """
    if named and named != len(masks):
        raise FootageError(
            f"{path} has {len(masks)} masks for {named} frames, and no name in common; "
            "a mask wants its frame's name"
        )
    numbers = [int(found[1]) for mask in masks if (found := re.search(r"(\d+)\D*$", mask.stem))]
    jump = next((one for one, other in pairwise(numbers) if other != one + 1), None)
    if not named and jump is not None:
        raise FootageError(f"{path} has no mask after number {jump}; a movie wants one for each")
    if len(masks) < count:
        fewer = _or_fewer(len(masks))
        raise FootageError(f"{path} has {len(masks)} masks for {count} frames; add some{fewer}")
    return masks[:count]


def _or_fewer(frames: int) -> str:
    return f", or --limit {frames}" if frames >= SHORTEST else ""


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    resized = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(resized) > 0
