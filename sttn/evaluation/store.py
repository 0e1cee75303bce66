"""What was computed once, found again by what it was computed from.

Nothing is looked up by a file's name or date: a key is the digest of weights, frames, masks,
settings and the source code that computes. So a stopped run goes on where it was, and a changed
mask, weight or line of code is computed anew.
"""

import hashlib
import json
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import sttn
from sttn.evaluation.cases import Case
from sttn.footage import Image

SOURCE = Path(sttn.__file__).parent
COMPRESSION = 1
"""zlib's level; higher ones gain a few percent of disk and cost more than scoring."""


def digest(*parts: object) -> str:
    """Digest of arrays and of anything that prints as what it is."""
    hashed = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            hashed.update(f"{part.dtype} {part.shape}".encode())
            hashed.update(np.ascontiguousarray(part).data)
        else:
            hashed.update(part if isinstance(part, bytes) else repr(part).encode())
        hashed.update(b"\0")
    return hashed.hexdigest()


@cache
def code_digest(*places: str) -> str:
    """Digest of the source of some packages or modules of ``sttn``, and of what they stand on.

    Args:
        places: Such as ``"model"`` or ``"evaluation/flow.py"``.
    """
    files: list[Path] = []
    for place in places:
        path = SOURCE / place
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return digest(np.__version__, cv2.__version__, torch.__version__, *map(Path.read_bytes, files))


class Store:
    """Completed frames and figures in a folder; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def completed(self, key: str, case: Case) -> Image | None:
        """The completed frames (T, H, W, 3) of a case; None where they are not there."""
        path = self._path(key, "fill")
        if not path.is_file():
            return None
        pixels = np.frombuffer(zlib.decompress(path.read_bytes()), np.uint8)
        frames = case.frames if case.truth is None else case.truth
        result = frames.copy()
        result[case.masks] = pixels.reshape(-1, 3)
        return result

    def keep_completed(self, key: str, case: Case, completed: Image) -> None:
        """Keep what a method put into the holes."""
        content = zlib.compress(completed[case.masks].tobytes(), COMPRESSION)
        self._write(self._path(key, "fill"), content)

    def figures(self, key: str) -> dict[str, Any] | None:
        """Figures kept under a key; None where there are none."""
        path = self._path(key, "json")
        if not path.is_file():
            return None
        figures: dict[str, Any] = json.loads(path.read_text())
        return figures

    def keep_figures(self, key: str, figures: dict[str, Any]) -> None:
        """Keep figures, anything that JSON can hold."""
        self._write(self._path(key, "json"), json.dumps(figures).encode())

    def _path(self, key: str, kind: str) -> Path:
        return self._folder / key[:2] / f"{key}.{kind}"

    @staticmethod
    def _write(path: Path, content: bytes) -> None:
        """So that nobody ever reads half of it."""
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_suffix(f"{path.suffix}.part")
        temporary.write_bytes(content)
        temporary.replace(path)
