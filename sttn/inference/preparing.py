"""How far a scene is prepared, while no frame of it is finished yet."""

from collections.abc import Callable
from threading import Lock

LEAST = 0.01
"""Share by which it has to grow to be told again."""

Prepared = Callable[[float], None]
"""Told a share in [0, 1] that grows."""


class Preparation:
    """Counts what is looked at for real pixels: half of it is motion, half are holes.

    Args:
        told: Told by :meth:`tell`, in the thread that calls it.
        pairs: Looks at the motion between two frames that may be asked for.
        holes: Frames with a hole.
    """

    def __init__(self, told: Prepared, pairs: int, holes: int) -> None:
        self._told, self._pairs, self._holes = told, max(1, pairs), max(1, holes)
        self._lock = Lock()
        self._moved = self._seen = 0
        self._share = 0.0

    def moved(self) -> None:
        """The motion between two frames is known; threads may call it."""
        with self._lock:
            self._moved += 1

    def seen(self) -> None:
        """A hole was looked at."""
        self._seen += 1

    def tell(self) -> None:
        """Tell how far it is, if that is farther than it was told before."""
        share = min(1.0, (self._moved / self._pairs + self._seen / self._holes) / 2)
        if share >= self._share + LEAST:
            self._share = share
            self._told(share)
