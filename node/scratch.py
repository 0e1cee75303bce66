"""A folder for the length of a job; what crashed hosts left of theirs the next job removes."""

import os
import shutil
import stat
import tempfile
import time
import weakref
from contextlib import ExitStack, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: what a crash leaves stays there
    fcntl = None  # type: ignore[assignment]

PREFIX = "sttn-completed-"

SETTLED_SECONDS = 60.0
"""A folder younger than this may belong to a job that is just starting."""


class Scratch:
    """A folder of its own, in TMPDIR; given back with the object, or when the program ends."""

    def __init__(self) -> None:
        _remove_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        locks = ExitStack()
        with suppress(OSError):  # a disk that knows no locks: nobody takes it for abandoned either
            locks = _locked(self.folder)
        self.discard = weakref.finalize(self, _give_back, self.folder, locks)
        """Gives the disk back."""


def _give_back(folder: Path, locks: ExitStack) -> None:
    locks.close()
    shutil.rmtree(folder, ignore_errors=True)


def _locked(folder: Path) -> ExitStack:
    """The locks of a folder, held until they are closed or the process is gone.

    Raises:
        OSError: somebody else holds one, or they cannot be had here.
    """
    if fcntl is None:
        raise OSError("no locks on this system")
    with ExitStack() as locks:
        # Whatever lies there in its place is neither emptied nor followed.
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        locks.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Cleaners of /tmp pass over a folder that is locked itself; from others they take what is
        # old, the lock too.
        itself = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        locks.callback(os.close, itself)
        _lock_if_possible(itself)
        return locks.pop_all()


def _lock_if_possible(folder: int) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        pass  # file servers lock files only


def _remove_abandoned() -> None:
    if fcntl is None:
        return
    settled = time.time() - SETTLED_SECONDS
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        # What is locked, or somebody else's, stays.
        with suppress(OSError):
            found = left.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
            if ours and found.st_ctime < settled:
                _give_back(left, _locked(left))
