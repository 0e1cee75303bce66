"""Arrays that wait to be used again, within a budget of memory."""

import math
import tempfile
import weakref
from threading import RLock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Element = TypeVar("Element", bound=np.generic)


class Shelf:
    """Keeps arrays in memory, and in files once there are too many. Threads may share it.

    The files have no name and go with their arrays; what of them is in memory is up to the system.

    Args:
        limit_bytes: What arrays may take in memory.
    """

    def __init__(self, limit_bytes: float = math.inf) -> None:
        self._limit_bytes = limit_bytes
        self._used = 0
        # An array may end, and be told of, in the middle of anything.
        self._lock = RLock()

    def kept(self, array: NDArray[Element]) -> NDArray[Element]:
        """The array, or the same in a file; what it takes counts until nobody holds it any more."""
        with self._lock:
            fits = self._used + array.nbytes <= self._limit_bytes
            self._used += array.nbytes if fits else 0
        if not fits:
            return _in_a_file(array)
        weakref.finalize(array, self._gone, array.nbytes)
        return array

    def _gone(self, size: int) -> None:
        with self._lock:
            self._used -= size


def _in_a_file(array: NDArray[Element]) -> NDArray[Element]:
    with tempfile.TemporaryFile(prefix="sttn-real-pixels-") as file:
        file.write(np.ascontiguousarray(array).data)
        file.flush()
        return np.memmap(file, array.dtype, "r", shape=array.shape)
