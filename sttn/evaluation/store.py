"""What was computed once, found again by what it was computed from.

Nothing is looked up by a file's name or date: a key is the digest of weights, frames, masks,
settings and the source code that computes. So a stopped run goes on where it was, and a changed
mask, weight or line of code is computed anew.
"""

import ast
import hashlib
import json
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import sttn
from sttn.evaluation.cases import Case
from sttn.footage import Image
from sttn.model import written

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
    """Digest of :func:`sources`, and of what they stand on.

    Args:
        places: As for :func:`sources`.
    """
    contents = map(Path.read_bytes, sources(*places))
    return digest(np.__version__, cv2.__version__, torch.__version__, *contents)


def sources(*places: str) -> list[Path]:
    """The files of some packages or modules of ``sttn``, and of all in it that they import.

    Args:
        places: Such as ``"model"`` or ``"evaluation/flow.py"``.
    """
    found: set[Path] = set()
    waiting: list[Path] = []
    for place in places:
        path = SOURCE / place
        waiting += path.rglob("*.py") if path.is_dir() else [path]
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += _imported(file)
    return sorted(found)


def _imported(file: Path) -> Iterator[Path]:
    """The modules of ``sttn`` that a file imports, which it does by their whole names."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            # What is imported from a package may be a module.
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            package, *inner = name.split(".")
            place = SOURCE.joinpath(*inner)
            for path in (place / "__init__.py", place.with_suffix(".py")):
                if package == SOURCE.name and path.is_file():
                    yield path


class Store:
    """Completed frames and figures in a folder; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def completed(self, key: str, case: Case) -> Image | None:
        """The completed frames (T, H, W, 3) of a case, its plate outside the holes; None where they
        are not there.
        """
        path = self._path(key, "fill")
        if not path.is_file():
            return None
        pixels = np.frombuffer(zlib.decompress(path.read_bytes()), np.uint8)
        result = case.frames.copy()
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
        path.parent.mkdir(exist_ok=True)
        with written(path) as temporary:
            temporary.write_bytes(content)
