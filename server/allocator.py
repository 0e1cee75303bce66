"""How the C library manages the memory that messages come and go in."""

import ctypes
import sys

KEPT_BYTES = 2**26
"""Freed memory that stays with the process, at most, in each of the C library's arenas."""

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # mallopt(3)
_LARGEST_MMAP_THRESHOLD = 2**25


def keep_freed_memory() -> bool:
    """Keep what messages free for the next ones; the answer is whether that can be had.

    As it comes, glibc gives buffers of a MiB back to the system and gets them anew, zeroed page by
    page: half of what receiving them costs.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl has none
        return False
    return bool(
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        and mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
    )
