"""Pixels on disk, addressed by what they hold; uploads that break off are gone on with."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from server.errors import InvalidRequestError, StoreFullError, UnknownDigestError
from server.protocol.codec import digest

_DIGEST = re.compile(r"[0-9a-f]{64}")


class PlateStore:
    """Whole contents as files named by digest; unfinished uploads end in ``.part``."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit = limit_bytes
        self._pins: Counter[str] = Counter()

    def __contains__(self, name: str) -> bool:
        return self._path(name).exists()

    def committed(self, name: str) -> int:
        """Bytes of an unfinished upload that are kept."""
        part = self._part(name)
        return part.stat().st_size if part.exists() else 0

    def append(self, name: str, data: bytes) -> None:
        """Add bytes to an unfinished upload.

        Raises:
            StoreFullError: no room, even without what no job needs.
        """
        self._make_room(len(data))
        with self._part(name).open("ab") as part:
            part.write(data)

    def finish(self, name: str, size: int) -> None:
        """Check an upload and keep it under its name.

        Raises:
            InvalidRequestError: size or digest differ; the upload is forgotten.
        """
        if name in self:
            return
        part = self._part(name)
        content = part.read_bytes() if part.exists() else b""
        if len(content) != size:
            part.unlink(missing_ok=True)
            raise InvalidRequestError(f"upload of {name} has {len(content)} bytes, not {size}")
        if digest(content) != name:
            part.unlink(missing_ok=True)
            raise InvalidRequestError(f"upload of {name} has another digest; send it again")
        part.replace(self._path(name))

    def put(self, content: bytes) -> str:
        """Keep a content of our own; its digest."""
        name = digest(content)
        if name not in self:
            self.append(name, content)
            self.finish(name, len(content))
        return name

    def read(self, name: str) -> bytes:
        """A whole content.

        Raises:
            UnknownDigestError: it is not here.
        """
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise UnknownDigestError(f"no content {name}; upload it first") from None

    def pin(self, names: Iterable[str]) -> None:
        """Keep contents from being evicted; as often as they are pinned."""
        self._pins.update(names)

    def unpin(self, names: Iterable[str]) -> None:
        """Take pins back."""
        self._pins.subtract(names)
        self._pins = +self._pins

    def _make_room(self, wanted: int) -> None:
        files = [(path, path.stat()) for path in self._folder.iterdir()]
        used = sum(stat.st_size for _, stat in files)
        for path, stat in sorted(files, key=lambda item: item[1].st_mtime):
            if used + wanted <= self._limit:
                return
            if path.name.removesuffix(".part") not in self._pins and path.suffix != ".part":
                path.unlink()
                used -= stat.st_size
        if used + wanted > self._limit:
            raise StoreFullError(
                f"the server's plate store of {self._limit / 1e9:.1f} GB is full of running jobs; "
                "try again later or start the server with a larger store"
            )

    def _path(self, name: str) -> Path:
        if not _DIGEST.fullmatch(name):
            raise InvalidRequestError(f"{name[:80]!r} is not a digest of 64 hexadecimal digits")
        return self._folder / name

    def _part(self, name: str) -> Path:
        path = self._path(name)
        return path.with_name(path.name + ".part")
