"""What a method is given and measured on: frames, masks, and the truth where there is one."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError
from sttn.evaluation.shots import is_shot, read_shot_with_truth
from sttn.evaluation.videos import (
    SHORTEST,
    Video,
    find_videos,
    read_frames,
    read_masks,
    read_own_masks,
)
from sttn.footage import Image, read_matte
from sttn.settings.raster import RASTER_MULTIPLE
from sttn.training.masks import blob

Protocol = Literal["stationary", "moving", "removal", "shot"]

TRUTH, HOLE = "truth", "hole"
"""What of a case is shown beside the methods' frames is called so."""


@dataclass(frozen=True, kw_only=True)
class ProtocolConfig:
    """What is cut out of which videos."""

    protocol: Protocol = "stationary"
    """stationary: one random shape for all frames (the paper's Algorithm 1), always the same for a
    video's name, or the clip's own stationary_WxH.png; moving: the object masks of the next video
    that has any, so that the truth is known; removal: the video's own object, without a truth;
    shot: plate.*.exr with a matte and truth.*.exr, as our rendered one."""
    masks: Path | None = None
    """Folder of masks to use in their place: NAME.png for all frames of video NAME, or NAME/ with
    one for each, called like its frame."""
    pattern: str = "*"
    """Which videos count, by name."""
    limit: int = 1000
    """Frames used of each video at most."""
    width: int = 432
    """Columns that frames are resized to, a multiple of 48; a clip's own mask has the last word."""
    height: int = 240
    """Rows, likewise."""
    grow: int = 4
    """Pixels by which the mask of an object that is removed grows, as in the released test."""

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if value < RASTER_MULTIPLE or value % RASTER_MULTIPLE:
                raise ValueError(f"{name} must be a multiple of {RASTER_MULTIPLE}, got {value}")
        if self.limit < SHORTEST:
            raise ValueError(f"limit must be at least {SHORTEST} frames, got {self.limit}")
        if self.grow < 0:
            raise ValueError(f"grow must be at least 0, got {self.grow}")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One video with its holes."""

    name: str
    frames: Image
    """(T, H, W, 3) uint8, black inside the holes."""
    masks: NDArray[np.bool_]
    """(T, H, W), True inside the hole."""
    truth: Image | None
    """Shape of ``frames``; None where nobody knows."""


@dataclass(frozen=True, kw_only=True)
class CaseSource:
    """Where a case comes from; small, so that it can travel to another process."""

    video: Video
    config: ProtocolConfig
    masks: Path | None
    """An image for all frames or a folder of images; None draws a shape by the video's name."""

    @property
    def name(self) -> str:
        """The video's."""
        return self.video.name

    def read(self) -> Case:
        """Read frames and masks.

        Raises:
            FootageError: something is missing, cannot be read, or no frame has a hole.
        """
        config = self.config
        if config.protocol == "shot":
            plate, masks, truth = read_shot_with_truth(
                self.video.frames, config.limit, (config.width, config.height)
            )
            return self._case(plate, _grown(masks, config.grow), truth)
        size = (config.width, config.height)
        if self.masks is not None and self.masks == self.video.stationary:
            size = read_matte(self.masks).shape[::-1]
        plate = read_frames(self.video, config.limit, size)
        if self.masks is None:
            masks = np.repeat(stationary_mask(self.name, *size)[None], len(plate), axis=0)
        else:
            own = config.masks is not None or config.protocol == "removal"
            if own and self.masks.is_dir():
                masks = read_own_masks(self.masks, self.video, len(plate), size)
            else:
                masks = read_masks(self.masks, len(plate), size)
        if config.protocol == "removal":
            return self._case(plate, _grown(masks, config.grow), None)
        return self._case(plate, masks, plate)

    def _case(self, plate: Image, masks: NDArray[np.bool_], truth: Image | None) -> Case:
        if not masks.any():
            raise FootageError(f"{self.name}: no frame has a hole; is the mask empty?")
        frames = np.where(masks[..., None], np.uint8(0), plate)
        return Case(name=self.name, frames=frames, masks=masks, truth=truth)


def find_cases(folder: Path, config: ProtocolConfig) -> list[CaseSource]:
    """The cases that a protocol makes of a folder, in order of their names.

    Raises:
        FootageError: no videos, none that matches, or masks that are missing.
    """
    if config.protocol == "shot":
        if not is_shot(folder):
            raise FootageError(f"{folder} holds no shot; it needs plate.*.exr and truth.*.exr")
        video = Video(name=folder.resolve().name, frames=folder)
        return [CaseSource(video=video, config=config, masks=None)]
    videos = find_videos(folder)
    chosen = [video for video in videos if fnmatch(video.name, config.pattern)]
    if config.masks is None and config.protocol in ("removal", "moving"):
        # Of a set in which only some videos have object masks, those count.
        if not any(video.objects for video in videos):
            raise FootageError(f"no video in {folder} has object masks; give --masks")
        chosen = [video for video in chosen if config.protocol == "moving" or video.objects]
    if not chosen:
        raise FootageError(f"no video in {folder} matches {config.pattern!r}")
    return [
        CaseSource(video=video, config=config, masks=_masks_of(video, videos, config))
        for video in chosen
    ]


def _masks_of(video: Video, videos: Sequence[Video], config: ProtocolConfig) -> Path | None:
    if config.masks is not None:
        for path in (config.masks / video.name, config.masks / f"{video.name}.png"):
            if path.exists():
                return path
        raise FootageError(f"{config.masks} has neither {video.name}.png nor {video.name}/")
    if config.protocol == "stationary":
        return video.stationary
    if config.protocol == "removal":
        return video.objects
    # Of all videos, not only those that match: a subset has the same masks as the whole set.
    place = [other.name for other in videos].index(video.name)
    others = [*videos[place + 1 :], *videos[:place]]
    objects = [other.objects for other in others if other.objects]
    if not objects:
        raise FootageError(f"{video.name} needs another video with object masks")
    return objects[0]


def stationary_mask(name: str, width: int, height: int) -> NDArray[np.bool_]:
    """The shape that is cut out of all frames of a video (Algorithm 1).

    The same name and size always give the same shape. Height is between a third of the frame and
    all of it, and so is width, as in the released code.

    Returns:
        (height, width), True inside the hole.
    """
    seed = hashlib.blake2b(name.encode(), digest_size=8).digest()
    rng = np.random.default_rng(int.from_bytes(seed, "little"))
    box = [int(rng.integers(side // 3, side)) for side in (height, width)]
    top, left = (
        int(rng.integers(0, side - part)) for side, part in zip((height, width), box, strict=True)
    )
    mask = np.zeros((height, width), np.bool_)
    mask[top : top + box[0], left : left + box[1]] = blob(box[0], box[1], rng) > 0
    return mask


def _grown(masks: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return np.stack(
        [cv2.dilate(mask.astype(np.uint8), cross, iterations=pixels) > 0 for mask in masks]
    )
