"""Arrays that wait to be used again, within a budget of memory."""

import math
import tempfile
import weakref
from threading import RLock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

SLAB = 2**28
"""Bytes of a file that arrays share. Every file takes a descriptor: one for every array would be
thousands, where a process may often have 1024."""

ALIGNED = 64
"""Bytes of which an array's place in a file is a multiple."""

Element = TypeVar("Element", bound=np.generic)


class Shelf:
    """Keeps arrays in memory, and in files once there are too many. Threads may share it.

    The files have no name. Each holds what waits at about the same time, and goes with the last of
    its arrays; what of it is in memory is up to the system.

    Args:
        limit_bytes: What arrays may take in memory.
    """

    def __init__(self, limit_bytes: float = math.inf) -> None:
        self._limit_bytes = limit_bytes
        self._used = 0
        self._slab: _Slab | None = None
        # An array may end, and be told of, in the middle of anything.
        self._lock = RLock()

    def kept(self, array: NDArray[Element]) -> NDArray[Element]:
        """A view of the array, or the same in a file.

        What the array takes counts until nobody holds the view any more, whoever holds the array.

        Raises:
            OSError: there is no room on the disk.
        """
        with self._lock:
            if self._used + array.nbytes > self._limit_bytes:
                return self._in_a_file(array)
            self._used += array.nbytes
        view = array.view()
        weakref.finalize(view, self._gone, array.nbytes)
        return view

    def _gone(self, size: int) -> None:
        with self._lock:
            self._used -= size

    def _in_a_file(self, array: NDArray[Element]) -> NDArray[Element]:
        if self._slab is None or array.nbytes > self._slab.left:
            self._slab = _Slab(max(SLAB, array.nbytes))
        return self._slab.kept(array)


class _Slab:
    """A file in which arrays lie one after another; as large on disk as what was written."""

    def __init__(self, size: int) -> None:
        self._file = tempfile.TemporaryFile(prefix="sttn-real-pixels-")  # noqa: SIM115
        weakref.finalize(self, self._file.close)
        self._file.truncate(size)
        self._bytes = np.memmap(self._file, np.uint8, "r", shape=(size,))
        self.left = size
        """Bytes that arrays may still take."""

    def kept(self, array: NDArray[Element]) -> NDArray[Element]:
        """The same array in the file, which lasts as long as any array in it."""
        start = len(self._bytes) - self.left
        # Where a disk is full, writing to mapped memory would end the process.
        self._file.seek(start)
        self._file.write(np.ascontiguousarray(array).data)
        self._file.flush()
        end = start + array.nbytes
        self.left = max(0, self.left - -(-array.nbytes // ALIGNED) * ALIGNED)
        return self._bytes[start:end].view(array.dtype).reshape(array.shape)
