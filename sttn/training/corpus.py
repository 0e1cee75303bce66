"""The material a run trains on, held in memory, but for the movies of shards.

A corpus is a folder. Below it, in any depth, linked folders included: photographs; equirectangular
panoramas, .hdr and .exr; movies; folders of numbered frames, as DAVIS has them, or of scene-linear
ones, .exr and .hdr, as plates are; zips of numbered frames, one per video, as the released code
wants YouTube-VOS; and shards that ``sttn-train pack`` wrote. A ``train.json``, an object whose keys
are names of videos, limits which videos below its folder count; where there is none, DAVIS'
``ImageSets/*/train.txt`` do. Of the sizes that DAVIS has its videos in, 480p counts. Videos of
masks in or below a folder that is called ``Annotations``, as DAVIS and YouTube-VOS have them, are
shapes of objects to cut holes with; below ``masks`` or ``objects``, as people also call folders of
pictures, they are where their pixels look like it. Hidden files and the folders of runs do not
count.

Numbers may be a data set's or a camera's, so that images are frames only where neighbors look
alike, wherever in the folder; less alike will do where nothing stands before the numbers, as in
``00001.jpg``. Numbered images that differ in size are photographs, or panoramas.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError, SizesDifferError
from sttn.footage import (
    ANNOTATIONS_FOLDER,
    FRAMES_FOLDER,
    IMAGE_SUFFIXES,
    MASKS_FOLDER,
    MOVIE_SUFFIXES,
    Decoder,
    Image,
    called_as_masks,
    decoded,
    decoded_mask,
    files_in,
    images_in,
    listed_videos,
    natural_order,
    read_image,
    read_movie,
    read_sequence,
    reduced,
    tell_listed,
)
from sttn.scene_linear import SCENE_LINEAR_SUFFIXES
from sttn.training.panoramas import Panorama, read_panorama
from sttn.training.plates import read_codes, read_plates
from sttn.training.shards import SHARD_PATTERN, Material, Movie, read_frames_zip, read_shard

Kind = TypeVar("Kind")

logger = logging.getLogger(__name__)

HELD_OUT_EVERY = 12
"""One photograph, movie and panorama in this many is kept for validation."""

LEAST_BACKGROUND = 0.01
"""Share of the pixels of masks that is 0, at least."""
FEW_VALUES = 8
"""So many values make up nearly all pixels of masks."""
NEARLY_ALL = 0.9
"""Share of the pixels. Of masks that are compressed as JPEG or blurred by four pixels it is above
0.92, of photographs that have a background of 0 below 0.86, of videos below 0.35."""
OBJECTS_SHORT_SIDE = 240
"""Masks of objects are shrunk to this many pixels; they are enlarged again where needed."""

READ_SUFFIXES = IMAGE_SUFFIXES | SCENE_LINEAR_SUFFIXES | MOVIE_SUFFIXES | {".zip"}
NOTED_SUFFIXES = frozenset({".json", ".jsonl", ".txt"})
"""Of lists of videos, and of what tells a run's folder."""

LEAST_SIDE = 2
"""Pixels of a photograph's or movie's sides at least; nothing can be cut from fewer."""

RUN_FILES = ("config.json", "log.jsonl")
"""Their folder is a run's."""

VIDEOS = ("sequence", "movie", "zip", "plates")
"""Kinds of videos, which lists decide about."""

SAMPLES = 5
"""Images, or pairs of neighbors, that are looked at to tell what a folder holds."""

FEWEST_FRAMES = 5
"""A folder of numbered images is a video from this many on."""

ALIKE = 12.0
"""Mean difference of 8 x 8 gray values in [0, 255] up to which neighbors are frames of one shot.
Videos of 24 frames a second stay below 8, unrelated photographs above 22, a photographer's
successive ones above 13, but for bursts."""
BARELY_ALIKE = 24.0
"""The same of neighbors whose names are numbers alone, which most are a video's: at five frames a
second, as in YouTube-VOS, one of five pairs comes above 19. Four of five pairs of unrelated
photographs do not stay below this."""


_Lists = dict[Path, tuple[Path, set[str]]]
"""By the folder that a list is about, its path and the videos in it."""


@dataclass(frozen=True, kw_only=True)
class CorpusShape:
    """What a recipe has to know of a corpus."""

    photographs: tuple[tuple[int, int], ...]
    """Height and width of each."""
    movies: tuple[tuple[int, int, int], ...]
    """Frames, height and width of each."""
    panoramas: int
    """How many there are."""


@dataclass(frozen=True, kw_only=True)
class CorpusLimits:
    """What is kept of the material, so that it fits into memory."""

    photograph_short_side: int = 720
    """Photographs are shrunk to this many pixels."""
    panorama_height: int = 1024
    """Panoramas are shrunk to this many pixels."""
    movie_short_side: int = 270
    """Videos are shrunk to this many pixels."""
    movie_frames: int = 150
    """Frames used of each video."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Photographs to set in motion and movies that move by themselves."""

    photographs: list[Image]
    """(H, W, 3) uint8 RGB each, of any size."""
    movies: list[Movie]
    """(T, H, W, 3) uint8 RGB each, of any size and length."""
    objects: list[NDArray[np.bool_]] = field(default_factory=list)
    """(T, H, W) each, True where an object is."""
    panoramas: list[Panorama] = field(default_factory=list)
    """(H, 2 H, 3) float16 each, scene-linear."""

    def __post_init__(self) -> None:
        if not self.photographs and not self.movies and not self.panoramas:
            raise FootageError("the corpus holds neither a photograph nor a movie nor a panorama")

    def __str__(self) -> str:
        return (
            f"{len(self.photographs)} photographs, {len(self.panoramas)} panoramas and "
            f"{len(self.movies)} movies"
        )

    @property
    def shape(self) -> CorpusShape:
        """The sizes of everything in it."""
        sizes = [movie.shape for movie in self.movies]
        return CorpusShape(
            photographs=tuple(image.shape[:2] for image in self.photographs),
            movies=tuple((length, height, width) for length, height, width, _ in sizes),
            panoramas=len(self.panoramas),
        )

    def split(self) -> tuple["Corpus", "Corpus"]:
        """Material to train on, and material held out of every kind that there is enough of.

        The same twice where there is little of every kind.
        """
        photographs, movies, panoramas = (
            _divided(kind) for kind in (self.photographs, self.movies, self.panoramas)
        )
        if not (photographs[1] or movies[1] or panoramas[1]):
            return self, self
        training, held_out = (
            Corpus(
                photographs=photographs[part],
                movies=movies[part],
                panoramas=panoramas[part],
                objects=self.objects,
            )
            for part in (0, 1)
        )
        return training, held_out


def _divided(kind: list[Kind]) -> tuple[list[Kind], list[Kind]]:
    """What is trained on, and what is held out: nothing where there is little."""
    if len(kind) < HELD_OUT_EVERY:
        return kind, []
    return [one for n, one in enumerate(kind) if n % HELD_OUT_EVERY], kind[::HELD_OUT_EVERY]


def read_corpus(folder: Path, limits: CorpusLimits | None = None) -> Corpus:
    """Read everything below a folder.

    What cannot be decoded is named in a warning, counted, and left out.

    Raises:
        FootageError: the folder is missing or holds nothing usable.
    """
    whole = Material()
    for _, some in pieces(folder, limits or CorpusLimits()):
        whole.photographs += some.photographs
        whole.movies += some.movies
        whole.objects += some.objects
        whole.panoramas += some.panoramas
    return Corpus(**vars(whole))


def pieces(folder: Path, limits: CorpusLimits) -> Iterator[tuple[str, Material]]:
    """Name and content of everything below a folder, one file or video at a time.

    Raises:
        FootageError: the folder is missing.
    """
    if not folder.is_dir():
        raise FootageError(f"no corpus folder at {folder}")
    left_out = 0
    waiting = list(_found(folder, limits))
    for found in waiting:
        try:
            material = found.read(limits)
        except FootageError as error:
            if found.alone and isinstance(error, SizesDifferError):
                logger.warning("no video, but %ss: %s", found.alone[0].kind, error)
                waiting += found.alone
                continue
            left_out += 1
            logger.warning("left out: %s", error)
            continue
        yield found.name, material
    if left_out:
        logger.warning("%d of the corpus' files could not be read", left_out)


@dataclass(frozen=True, kw_only=True)
class _Found:
    path: Path
    kind: str
    alone: "list[_Found]" = field(default_factory=list)
    """What the frames of a video are where they differ in size."""
    frames: tuple[Path, ...] = ()
    """Of plates."""

    @property
    def name(self) -> str:
        return self.path.name if self.path.is_dir() else self.path.stem

    def read(self, limits: CorpusLimits) -> Material:
        material = self._read(limits)
        for pixels in (*material.photographs, *material.movies):
            height, width = pixels.shape[-3:-1]
            if min(height, width) < LEAST_SIDE:
                raise FootageError(f"{self.path} has {width}x{height} pixels, too few to cut from")
        return material

    def _read(self, limits: CorpusLimits) -> Material:
        if self.kind == "shard":
            return read_shard(self.path)
        if self.kind == "photograph":
            image = reduced(read_image(self.path), limits.photograph_short_side)
            return Material(photographs=[image])
        if self.kind == "panorama":
            return Material(panoramas=[read_panorama(self.path, limits.panorama_height)])
        if self.kind == "objects":
            # Indices of objects are no quantities; any object will do.
            masks = _read_video(self.path, limits.movie_frames, OBJECTS_SHORT_SIDE, decoded_mask)
            return Material(objects=[masks.max(axis=-1) > 0])
        if self.kind == "plates":
            plates = self.frames[: limits.movie_frames]
            return Material(movies=[read_plates(plates, limits.movie_short_side)])
        return Material(
            movies=[_read_video(self.path, limits.movie_frames, limits.movie_short_side)]
        )


def _read_video(path: Path, limit: int, short_side: int, decoder: Decoder = decoded) -> Image:
    """Frames of a folder, a zip or a movie, as :func:`sttn.footage.read_movie` gives them."""
    if path.suffix.lower() in MOVIE_SUFFIXES and not path.is_dir():
        return read_movie(path, limit, short_side)
    read = read_sequence if path.is_dir() else read_frames_zip
    return read(path, limit, short_side, decoder)


def _found(folder: Path, limits: CorpusLimits) -> Iterator[_Found]:
    kinds = ("objects", "shard", *VIDEOS, "photograph", "panorama")
    found: dict[str, list[_Found]] = {kind: [] for kind in kinds}
    images: dict[Path, list[Path]] = {}
    light: dict[tuple[Path, str | None], list[Path]] = {}
    videos: list[Path] = []
    paths = _without_runs(files_in(folder, READ_SUFFIXES | NOTED_SUFFIXES))
    for path in paths:
        suffix = path.suffix.lower()
        if suffix in IMAGE_SUFFIXES:
            images.setdefault(path.parent, []).append(path)
        elif suffix in SCENE_LINEAR_SUFFIXES:
            light.setdefault((path.parent, _prefix(path)), []).append(path)
        elif path.match(SHARD_PATTERN):
            found["shard"].append(_Found(path=path, kind="shard"))
        elif suffix not in NOTED_SUFFIXES:
            videos.append(path)
    lists = _lists(paths)
    drawn = _drawn([*videos, *images], folder, limits.movie_frames)
    for path in videos:
        pictures = "movie" if path.suffix.lower() in MOVIE_SUFFIXES else "zip"
        kind = "objects" if path in drawn else pictures
        found[kind].append(_Found(path=path, kind=kind))
    for parent, of_parent in images.items():
        if parent in drawn:
            found["objects"].append(_Found(path=parent, kind="objects"))
            continue
        photographs = [_Found(path=path, kind="photograph") for path in of_parent]
        if _is_sequence(of_parent, told=_is_told(parent, folder, lists)):
            sequence = _Found(path=parent, kind="sequence", alone=photographs)
            found["sequence"].append(sequence)
        else:
            found["photograph"] += photographs
    for (parent, _), of_parent in light.items():
        for one in _of_light(parent, of_parent, folder):
            found[one.kind].append(one)
    found["panorama"].sort(key=lambda panorama: natural_order(panorama.path))
    _tell_lists([video for kind in VIDEOS for video in found[kind]], lists)
    for kind in VIDEOS:
        found[kind] = [video for video in found[kind] if _counts(video, lists)]
    found["photograph"].sort(key=lambda photograph: natural_order(photograph.path))
    for some in found.values():
        yield from some


def _of_light(parent: Path, paths: list[Path], corpus: Path) -> list[_Found]:
    """Scene-linear images of a folder as plates of one shot, or each as a panorama."""
    panoramas = [_Found(path=path, kind="panorama") for path in paths]
    above = [parent, *parent.parents]
    if any(map(called_as_masks, above[: above.index(corpus)])) or not _is_sequence(paths):
        return panoramas
    return [_Found(path=parent, kind="plates", alone=panoramas, frames=tuple(paths))]


def _without_runs(paths: list[Path]) -> list[Path]:
    """What does not lie in a run's folder: its curve and its validation clips are no material."""
    configured, logged = (
        {path.parent for path in paths if path.name == name} for name in RUN_FILES
    )
    runs = configured & logged
    for run in sorted(runs):
        logger.warning("left out: %s holds a run", run)
    return [path for path in paths if runs.isdisjoint(path.parents)]


def _drawn(paths: list[Path], corpus: Path, limit: int) -> set[Path]:
    """Which folders of images, zips and movies are masks of objects."""
    drawn: set[Path] = set()
    pictures: dict[Path, None] = {}
    for path in paths:
        folders = [path, *path.parents] if path.is_dir() else list(path.parents)
        folders = folders[: folders.index(corpus)]
        named = [folder for folder in folders if MASKS_FOLDER.fullmatch(folder.name)]
        annotated = any(ANNOTATIONS_FOLDER.fullmatch(folder.name) for folder in folders)
        if annotated or (named and _looks_drawn(path, limit)):
            drawn.add(path)
        elif named:
            pictures[named[-1]] = None
    for folder in pictures:
        logger.warning("%s holds pictures, not masks: they are material like any other", folder)
    return drawn


def _looks_drawn(path: Path, limit: int) -> bool:
    """Whether images look like masks: 0 where nothing is, and of few values.

    What cannot be read at all looks like what it is called.
    """
    counts = np.zeros(256)
    for image in _sampled(path, limit):
        counts += np.bincount(image.max(axis=-1).ravel(), minlength=256)
    pixels, most = counts.sum(), np.sort(counts)[-FEW_VALUES:].sum()
    return bool(counts[0] >= LEAST_BACKGROUND * pixels and most >= NEARLY_ALL * pixels)


def _sampled(path: Path, limit: int) -> Iterator[Image]:
    """Some images of a folder, or the first ones of a zip or a movie; none that cannot be read."""
    if not path.is_dir():
        with suppress(FootageError):
            yield from _read_video(path, limit, OBJECTS_SHORT_SIDE)
        return
    images = images_in(path)
    for place in _spread(len(images)):
        with suppress(FootageError):
            yield read_image(images[place])


def _spread(count: int) -> list[int]:
    """Up to SAMPLES places among so many, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, SAMPLES)})


def _counts(video: _Found, lists: _Lists) -> bool:
    """Whether a video is listed, or no folder that it lies in has a list."""
    folder = _decides(video, lists)
    return folder is None or video.name in lists[folder][1]


def _decides(video: _Found, lists: _Lists) -> Path | None:
    """The nearest folder that a video lies in and that has a list."""
    return next((folder for folder in video.path.parents if folder in lists), None)


def _tell_lists(videos: list[_Found], lists: _Lists) -> None:
    """Tell what lists leave out, and what of them is not there.

    Raises:
        FootageError: a list has none of the videos that lie below its folder.
    """
    for folder, (path, listed) in lists.items():
        below = [video for video in videos if folder in video.path.parents]
        decided = [video.name for video in below if _decides(video, lists) == folder]
        tell_listed(path, listed, [video.name for video in below], decided)


def _lists(paths: list[Path]) -> _Lists:
    """The lists among some files, by the folder whose videos they list."""
    mine: _Lists = {
        path.parent: (path, listed_videos(path) or set())
        for path in paths
        if path.name == "train.json"
    }
    davis: _Lists = {}
    for path in paths:
        root = path.parents[2] if path.match("ImageSets/*/train.txt") else None
        if root is not None and root not in mine:
            _, others = davis.get(root / FRAMES_FOLDER, (path, set()))
            davis[root / FRAMES_FOLDER] = (path, others | (listed_videos(path) or set()))
    return davis | mine


def _prefix(path: Path) -> str | None:
    """What stands before the number at the end of a file's name; None where there is no number."""
    found = re.fullmatch(r"(.*?)\d+", path.stem)
    return found[1] if found else None


def _is_told(folder: Path, corpus: Path, lists: _Lists) -> bool:
    """Whether a folder lies where a data set has its videos: by name, or by a list of them."""
    above = [place for place in folder.parents if corpus in (place, *place.parents)]
    return any(place.name == FRAMES_FOLDER or place in lists for place in above)


def _is_sequence(images: list[Path], *, told: bool = False) -> bool:
    """Whether some images of a folder are one video's frames: enough, numbered alike, alike.

    Args:
        images: Of one folder.
        told: Whether a data set says so of those that are called by their numbers alone.
    """
    prefixes = {_prefix(path) for path in images}
    if len(images) < FEWEST_FRAMES or len(prefixes) > 1 or None in prefixes:
        return False
    if prefixes == {""}:
        return told or _look_alike(images, BARELY_ALIKE)
    return _look_alike(images, ALIKE)


def _look_alike(images: list[Path], apart: float) -> bool:
    """Whether pairs of neighbors have one size and look like a video's; one may be a cut.

    Pairs that cannot be read do not count. Where none can, they do: one message tells of all.
    """
    pairs = [
        pair
        for start in _spread(len(images) - 1)
        if len(pair := list(_glimpsed(images[start : start + 2]))) == 2
    ]
    shapes = {shape for pair in pairs for shape, _ in pair}
    steps = [np.abs(one - other).mean() for (_, one), (_, other) in pairs]
    return len(shapes) <= 1 and sum(step > apart for step in steps) <= 1


def _glimpsed(paths: list[Path]) -> Iterator[tuple[tuple[int, ...], NDArray[np.floating[Any]]]]:
    """Shapes of images, and their gray values in [0, 255] at 8 x 8; none that cannot be read."""
    for path in paths:
        with suppress(FootageError):
            if path.suffix.lower() in SCENE_LINEAR_SUFFIXES:
                image = 255 * read_codes(path).clip(0, 1)
            else:
                image = read_image(path).astype(np.float32)
            small = cv2.resize(image, (8, 8), interpolation=cv2.INTER_AREA)
            yield image.shape, small.mean(axis=-1)
