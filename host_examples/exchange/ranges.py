"""Which frames to export; in Python 3.7, since every host imports it."""

from __future__ import annotations

from collections.abc import Sequence


def with_handles(frames: Sequence[int], available: range, handles: int) -> list[int]:
    """The frames to complete and those around them that are context.

    Args:
        frames: To complete, in rising order.
        available: What the host's timeline holds.
        handles: Frames before and after, as far as there are any.

    Raises:
        ValueError: a frame that the timeline does not hold.

    >>> with_handles([5, 6], range(1, 8), handles=2)
    [3, 4, 5, 6, 7]
    """
    missing = [frame for frame in frames if frame not in available]
    if missing:
        raise ValueError(
            f"frame {missing[0]} is outside the timeline's {available[0]}-{available[-1]}; "
            "change Frames or the timeline"
        )
    first = max(available[0], frames[0] - handles)
    last = min(available[-1], frames[-1] + handles)
    return list(range(first, last + 1))
