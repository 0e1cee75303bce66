"""Shards: zips of JPEG images that a training machine reads with numpy and cv2 alone.

Entries are ``photograph/NAME.jpg``, ``movie/NAME/00000000.jpg``, ``objects/NAME/00000000.png`` and
``panorama/NAME.npy``. Movies stay there and are decoded clip by clip: what the system keeps of a
file in memory, it keeps once for all processes that read it.
"""

import io
import lzma
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError
from sttn.footage import (
    IMAGE_SUFFIXES,
    Decoder,
    Image,
    decoded,
    is_hidden,
    natural_order,
    reduced,
    require_one_size,
)
from sttn.training.panoramas import Panorama

Pixel = TypeVar("Pixel", np.uint8, np.bool_)

NOT_READABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
)
"""What reading a zip raises that is damaged, in names too, encrypted, or packed by a method unknown
here."""

SHARD_PATTERN = "shard-*.zip"
JPEG_QUALITY = 93


class Movie(Protocol):
    """Frames (T, H, W, 3) uint8 RGB: an array, or something that looks them up."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(T, H, W, 3)."""

    def __len__(self) -> int: ...

    def __getitem__(self, places: NDArray[np.int64], /) -> Image: ...


@dataclass(frozen=True, kw_only=True)
class PackedMovie:
    """A movie that stays in its shard; not for processes that are forked from this one."""

    path: Path = field(repr=False)
    archive: zipfile.ZipFile = field(repr=False)
    names: tuple[str, ...]
    """Of the frames, in order."""
    checksums: tuple[int, ...]
    """Of their files, so that what prints alike holds the same pixels."""
    shape: tuple[int, ...]
    """(T, H, W, 3)."""

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, places: NDArray[np.int64], /) -> Image:
        """The frames (N, H, W, 3) at (N,) places.

        Raises:
            FootageError: one cannot be read or decoded, or differs from another in size.
        """
        names = [self.names[place] for place in places]
        with ThreadPoolExecutor(len(names)) as threads:
            frames = list(threads.map(partial(_decoded, self.path, self.archive), names))
        return _stacked(self.path, frames)


@dataclass(kw_only=True)
class Material:
    """What a file or a shard holds."""

    photographs: list[Image] = field(default_factory=list)
    """(H, W, 3) uint8 RGB each."""
    movies: list[Movie] = field(default_factory=list)
    """(T, H, W, 3) uint8 RGB each."""
    objects: list[NDArray[np.bool_]] = field(default_factory=list)
    """(T, H, W) each, True where an object is."""
    panoramas: list[Panorama] = field(default_factory=list)
    """(H, 2 H, 3) float16 each, scene-linear."""


def write_shards(
    pieces: Iterable[tuple[str, Material]], folder: Path, megabytes: float
) -> list[Path]:
    """Write shards of at most about a size; a movie is never divided.

    They get their names when all are written, so that half a corpus never looks like a whole one.

    Args:
        pieces: Material by name; of the same name, each gets a number.
        folder: Target; gets ``shard-000.zip`` and so on.
        megabytes: A shard that would become larger is closed before.

    Raises:
        FootageError: the folder holds shards already, which would be read beside these.
    """
    if any(folder.glob(SHARD_PATTERN)):
        raise FootageError(f"{folder} holds shards already; remove them or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Path] = []
    archive: zipfile.ZipFile | None = None
    try:
        for entries in _entries(pieces):
            if archive is None or _size(archive) + _weight(entries) > megabytes * 1e6:
                if archive is not None:
                    archive.close()
                parts.append(folder / f"shard-{len(parts):03d}.zip.part")
                archive = zipfile.ZipFile(parts[-1], "w")
            for name, content in entries:
                archive.writestr(name, content)
    finally:
        if archive is not None:
            archive.close()
    return [part.rename(part.with_suffix("")) for part in parts]


def _entries(pieces: Iterable[tuple[str, Material]]) -> Iterator[list[tuple[str, bytes]]]:
    """Names and contents of the files that belong together."""
    number = 0
    for name, material in pieces:
        for image in material.photographs:
            number += 1
            yield [(f"photograph/{number:06d}-{name}.jpg", _encoded(image))]
        for movie in material.movies:
            number += 1
            at = f"movie/{number:06d}-{name}"
            places = np.arange(len(movie))[:, np.newaxis]
            yield [(f"{at}/{n[0]:08d}.jpg", _encoded(movie[n][0])) for n in places]
        for drawn in material.objects:
            number += 1
            at = f"objects/{number:06d}-{name}"
            masks = drawn.astype(np.uint8) * 255
            yield [(f"{at}/{index:08d}.png", _png(one)) for index, one in enumerate(masks)]
        for panorama in material.panoramas:
            number += 1
            yield [(f"panorama/{number:06d}-{name}.npy", _array(panorama))]


def _array(panorama: Panorama) -> bytes:
    content = io.BytesIO()
    np.save(content, panorama)
    return content.getvalue()


def _png(image: NDArray[np.uint8]) -> bytes:
    done, content = cv2.imencode(".png", image)
    assert done
    return content.tobytes()


def _encoded(image: Image) -> bytes:
    done, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return content.tobytes()


def _weight(entries: list[tuple[str, bytes]]) -> int:
    return sum(len(content) for _, content in entries)


def _size(archive: zipfile.ZipFile) -> int:
    return sum(entry.file_size for entry in archive.infolist())


def read_shard(path: Path) -> Material:
    """What a shard holds; its movies stay there, and it stays open.

    Raises:
        FootageError: not a shard, or something in it cannot be decoded.
    """
    photographs: list[Image] = []
    movies: dict[str, list[str]] = {}
    objects: dict[str, list[NDArray[np.bool_]]] = {}
    panoramas: list[Panorama] = []
    archive = _opened(path)
    for name in sorted(archive.namelist()):
        kind, _, rest = name.partition("/")
        video = rest.partition("/")[0]
        if kind == "photograph":
            photographs.append(_decoded(path, archive, name))
        elif kind == "movie":
            movies.setdefault(video, []).append(name)
        elif kind == "objects":
            drawn = _decoded(path, archive, name).max(axis=-1) > 0
            objects.setdefault(video, []).append(drawn)
        elif kind == "panorama":
            panoramas.append(_loaded(path, archive, name))
        else:
            raise FootageError(f"{path} is not a shard: it holds {name}")
    return Material(
        photographs=photographs,
        movies=[_packed(path, archive, names) for names in movies.values()],
        objects=[_stacked(path, masks) for masks in objects.values()],
        panoramas=panoramas,
    )


def _packed(path: Path, archive: zipfile.ZipFile, names: list[str]) -> PackedMovie:
    # Every frame is looked at, in small: damage is found now and not days later.
    look = partial(_decoded, path, archive, way=cv2.IMREAD_REDUCED_COLOR_8)
    with ThreadPoolExecutor() as threads:
        require_one_size(path, threads.map(look, names))
    return PackedMovie(
        path=path,
        archive=archive,
        names=tuple(names),
        checksums=tuple(archive.getinfo(name).CRC for name in names),
        shape=(len(names), *_decoded(path, archive, names[0]).shape),
    )


def read_frames_zip(path: Path, limit: int, short_side: int, decoder: Decoder = decoded) -> Image:
    """The frames of one video in a zip, (T, H, W, 3), as the released code wants them.

    Raises:
        FootageError: no zip, no images, or images that cannot be decoded, differ in size or lie in
            several folders, as those of a whole data set do.
    """
    names = [str(name) for name in images_in_zip(path)[:limit]]
    with _opened(path) as archive:
        contents = ((_content(path, archive, name), f"{name} of {path}") for name in names)
        frames = [reduced(decoder(*content), short_side) for content in contents]
    return _stacked(path, frames)


def images_in_zip(path: Path) -> list[PurePosixPath]:
    """The names of a video's frames in a zip, in natural order; hidden ones do not count.

    Raises:
        FootageError: no zip, no images, or images in several folders, as those of a data set.
    """
    with _opened(path) as archive:
        names = [name for name in map(PurePosixPath, archive.namelist()) if _is_image(name)]
    if not names:
        raise FootageError(f"{path} holds no images")
    if len({name.parent for name in names}) > 1:
        raise FootageError(f"the images in {path} lie in several folders; unpack it")
    return sorted(names, key=natural_order)


def _stacked(path: Path, frames: list[NDArray[Pixel]]) -> NDArray[Pixel]:
    require_one_size(path, frames)
    return np.stack(frames)


def _is_image(path: PurePosixPath) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not any(map(is_hidden, path.parts))


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except NOT_READABLE as error:
        raise FootageError(f"cannot read the zip {path}: {error}") from error


def _content(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    except NOT_READABLE as error:
        raise FootageError(f"{path}: cannot read {name}: {error}") from error


def _loaded(path: Path, archive: zipfile.ZipFile, name: str) -> Panorama:
    try:
        panorama = np.load(io.BytesIO(_content(path, archive, name)))
    except (ValueError, EOFError) as error:
        raise FootageError(f"{path}: cannot decode {name}: {error}") from error
    if not (isinstance(panorama, np.ndarray) and panorama.ndim == 3 and panorama.shape[-1] == 3):
        raise FootageError(f"{path}: {name} is no panorama")
    return panorama.astype(np.float16, copy=False)


def _decoded(path: Path, archive: zipfile.ZipFile, name: str, way: int = cv2.IMREAD_COLOR) -> Image:
    return decoded(_content(path, archive, name), f"{name} of {path}", way)
