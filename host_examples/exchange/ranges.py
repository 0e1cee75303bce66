"""Which frames to export; in Python 3.7, since every host imports it."""

from __future__ import annotations

from collections.abc import Sequence


def with_handles(
    frames: Sequence[int], available: range, handles: int, of: str = "the timeline"
) -> list[int]:
    """The frames to complete and those around them that are context.

    Args:
        frames: To complete, in rising order.
        available: What there is.
        handles: Frames before and after, as far as there are any.
        of: What ``available`` belongs to, for the message.

    Raises:
        ValueError: a frame that is not available.

    >>> with_handles([5, 6], range(1, 8), handles=2)
    [3, 4, 5, 6, 7]
    """
    missing = [frame for frame in frames if frame not in available]
    if missing:
        raise ValueError(
            f"frame {missing[0]} is outside {of}'s {available[0]}-{available[-1]}; "
            f"change Frames or {of}"
        )
    first = max(available[0], frames[0] - handles)
    last = min(available[-1], frames[-1] + handles)
    return list(range(first, last + 1))
