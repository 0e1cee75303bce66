"""Shards: zips of JPEG images that a training machine reads with numpy and cv2 alone.

Entries are ``photograph/NAME.jpg`` and ``movie/NAME/00000000.jpg``; nothing is compressed twice.
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from sttn.errors import FootageError
from sttn.footage import IMAGE_SUFFIXES, Image, reduced

SHARD_PATTERN = "shard-*.zip"
JPEG_QUALITY = 93


def write_shards(
    photographs: Iterable[tuple[str, Image]],
    movies: Iterable[tuple[str, Image]],
    folder: Path,
    megabytes: float,
) -> list[Path]:
    """Write shards of at most about a size; a movie is never divided.

    Args:
        photographs: Name and pixels (H, W, 3) of each.
        movies: Name and pixels (T, H, W, 3) of each.
        folder: Target; gets ``shard-000.zip`` and so on.
        megabytes: A shard that is larger is closed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    archive: zipfile.ZipFile | None = None
    try:
        for entries in _entries(photographs, movies):
            if archive is None or _size(archive) + _weight(entries) > megabytes * 1e6:
                if archive is not None:
                    archive.close()
                written.append(folder / f"shard-{len(written):03d}.zip")
                archive = zipfile.ZipFile(written[-1], "w")
            for name, content in entries:
                archive.writestr(name, content)
    finally:
        if archive is not None:
            archive.close()
    return written


def _entries(
    photographs: Iterable[tuple[str, Image]], movies: Iterable[tuple[str, Image]]
) -> Iterator[list[tuple[str, bytes]]]:
    for name, image in photographs:
        yield [(f"photograph/{name}.jpg", _encoded(image))]
    for name, movie in movies:
        yield [
            (f"movie/{name}/{index:08d}.jpg", _encoded(image)) for index, image in enumerate(movie)
        ]


def _encoded(image: Image) -> bytes:
    done, content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert done
    return content.tobytes()


def _weight(entries: list[tuple[str, bytes]]) -> int:
    return sum(len(content) for _, content in entries)


def _size(archive: zipfile.ZipFile) -> int:
    return sum(entry.file_size for entry in archive.infolist())


def read_shard(path: Path) -> tuple[list[Image], list[Image]]:
    """Photographs and movies of a shard.

    Raises:
        FootageError: not a shard, or an image in it cannot be decoded.
    """
    photographs: list[Image] = []
    movies: dict[str, list[Image]] = {}
    with _opened(path) as archive:
        for name in sorted(archive.namelist()):
            kind, _, rest = name.partition("/")
            if kind == "photograph":
                photographs.append(_decoded(path, archive, name))
            elif kind == "movie":
                movies.setdefault(rest.partition("/")[0], []).append(_decoded(path, archive, name))
            else:
                raise FootageError(f"{path} is not a shard: it holds {name}")
    return photographs, [np.stack(frames) for frames in movies.values()]


def read_frames_zip(path: Path, limit: int, short_side: int) -> Image:
    """The frames of one video in a zip, (T, H, W, 3), as the released code wants them.

    Raises:
        FootageError: no zip, no images, or images that cannot be decoded or differ in size.
    """
    with _opened(path) as archive:
        names = sorted(n for n in archive.namelist() if Path(n).suffix.lower() in IMAGE_SUFFIXES)
        frames = [reduced(_decoded(path, archive, name), short_side) for name in names[:limit]]
    if not frames:
        raise FootageError(f"{path} holds no images")
    if len({frame.shape for frame in frames}) > 1:
        raise FootageError(f"the images in {path} differ in size")
    return np.stack(frames)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise FootageError(f"cannot read the zip {path}: {error}") from error


def _decoded(path: Path, archive: zipfile.ZipFile, name: str) -> Image:
    try:
        content = np.frombuffer(archive.read(name), np.uint8)
    except (zipfile.BadZipFile, zlib.error) as error:
        raise FootageError(f"{path}: {name} is damaged: {error}") from error
    pixels = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if pixels is None:
        raise FootageError(f"{path}: cannot decode {name}")
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
