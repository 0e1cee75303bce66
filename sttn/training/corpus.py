"""The material a run trains on, held in memory."""

import logging
from dataclasses import dataclass
from pathlib import Path

from sttn.errors import FootageError
from sttn.footage import (
    IMAGE_SUFFIXES,
    MOVIE_SUFFIXES,
    Image,
    files_in,
    read_image,
    read_movie,
    reduced,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Photographs to set in motion and movies that move by themselves."""

    photographs: list[Image]
    """(H, W, 3) uint8 RGB each, of any size."""
    movies: list[Image]
    """(T, H, W, 3) uint8 RGB each, of any size and length."""

    def __post_init__(self) -> None:
        if not self.photographs and not self.movies:
            raise FootageError("the corpus holds neither a photograph nor a movie")


def read_corpus(
    folder: Path, *, photograph_short_side: int, movie_short_side: int, movie_frames: int
) -> Corpus:
    """Read every photograph and movie below a folder.

    A file that cannot be decoded is named in a warning and left out.

    Raises:
        FootageError: the folder is missing or holds nothing usable.
    """
    if not folder.is_dir():
        raise FootageError(f"no corpus folder at {folder}")
    photographs, movies = [], []
    for path in files_in(folder, IMAGE_SUFFIXES):
        try:
            photographs.append(reduced(read_image(path), photograph_short_side))
        except FootageError as error:
            logger.warning("left out: %s", error)
    for path in files_in(folder, MOVIE_SUFFIXES):
        try:
            movies.append(read_movie(path, movie_frames, movie_short_side))
        except FootageError as error:
            logger.warning("left out: %s", error)
    return Corpus(photographs=photographs, movies=movies)
