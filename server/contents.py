"""Files of the store, named by the digest of what they hold."""

import errno
import os
import re
from itertools import count
from pathlib import Path
from typing import BinaryIO

from server.errors import InvalidRequestError, UnknownDigestError, disk_errors
from server.protocol import codec
from server.protocol.chunks import Content

_DIGEST = re.compile(r"[0-9a-f]{64}")
_numbers = count()


def is_digest(name: str) -> bool:
    """Whether a name is one that a content may have."""
    return _DIGEST.fullmatch(name) is not None


def content_path(folder: Path, name: str) -> Path:
    """Where a whole content lies.

    Raises:
        InvalidRequestError: the name is not a digest.
    """
    require_digest(name)
    return folder / name


def require_digest(name: str) -> None:
    """Make sure that a name is a digest.

    Raises:
        InvalidRequestError: it is not.
    """
    if not is_digest(name):
        raise InvalidRequestError(f"{name[:80]!r} is not a digest of 64 hexadecimal digits")


def open_content(folder: Path, name: str) -> BinaryIO:
    """A whole content, open for reading; it stays readable even if it is evicted meanwhile.

    Raises:
        UnknownDigestError: it is not here.
    """
    try:
        return content_path(folder, name).open("rb")
    except FileNotFoundError:
        raise UnknownDigestError(f"no content {name}; upload it first") from None


def is_whole(folder: Path, name: str) -> bool:
    """Whether a content is what its name says; reads all of it, and belongs in a thread.

    Raises:
        OSError: it cannot be told now.
    """
    found = codec.hasher()
    try:
        with open_content(folder, name) as file:
            while data := file.read(codec.CHUNK_BYTES):
                found.update(data)
    except UnknownDigestError:
        return False
    except OSError as error:
        if error.errno != errno.EIO:  # such as too many open files
            raise
        return False
    return found.hexdigest() == name


def write_contents(folder: Path, contents: dict[str, Content]) -> dict[str, str]:
    """Write contents of our own beside the others, all or none of them, for the store to adopt.

    Under its own name one could be taken for an older one that nobody needs, and be evicted.

    Args:
        folder: The store's.
        contents: By digest.

    Returns:
        The names of their files by digest; nobody else has such.

    Raises:
        StoreFullError: the disk is full, or refuses.
    """
    files = {name: f"{name}.{os.getpid()}.{next(_numbers)}.new" for name in contents}
    with disk_errors("cannot write to"):
        try:
            for name, content in contents.items():
                (folder / files[name]).write_bytes(content)
        except OSError:
            for file in files.values():
                (folder / file).unlink(missing_ok=True)
            raise
    return files


def remove_unadopted(folder: Path, process: int) -> None:
    """Delete what a process that has ended wrote, or had begun to, and did not tell of."""
    for path in folder.glob(f"*.{process}.*.new"):
        path.unlink(missing_ok=True)
