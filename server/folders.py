"""The folder of a server's store: one server at a time, and nothing left behind by killed ones."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from server.errors import StartError

PREFIX = "sttn-plates-"
SETTLED_SECONDS = 60.0
"""A temporary folder younger than this may belong to a server that is just starting."""


@contextmanager
def store_folder(folder: Path | None) -> Iterator[Path]:
    """The folder, ours alone inside the block.

    Args:
        folder: One that lasts; None makes a temporary one, and removes what servers that were
            killed have left of theirs.

    Raises:
        StartError: it cannot be used, or another server uses it.
    """
    if folder is not None:
        with _locked(folder):
            yield folder
        return
    _remove_abandoned()
    made = tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True)
    with made as name, _locked(Path(name)):
        yield Path(name)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Whatever lies there in its place is neither emptied nor followed.
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            stack.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Cleaners of /tmp pass over a folder that is locked itself; from others they take
            # what is old, the lock too.
            itself = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            stack.callback(os.close, itself)
            _lock_if_possible(itself)
        except BlockingIOError:
            raise StartError(f"another server uses the store {folder}; give each its own") from None
        except OSError as error:
            raise StartError(f"cannot use the store {folder}: {error.strerror}") from None
        yield


def _lock_if_possible(folder: int) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # file servers lock files only


def _remove_abandoned() -> None:
    settled = time.time() - SETTLED_SECONDS
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # What is locked, or somebody else's, stays.
        with suppress(OSError, StartError):
            found = left.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if ours and found.st_ctime < settled:
                with _locked(left):
                    shutil.rmtree(left)
