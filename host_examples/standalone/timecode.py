"""The time of day that a movie's first frame bears, as SMPTE ST 12-1 counts it."""

import re
from fractions import Fraction

from node.errors import ClipError

_DROPS = 0x40
"""The bit of a packed timecode that says so."""

_TIMECODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d+)")


def later(timecode: str, frames: int, rate: Fraction) -> str:
    """The timecode some frames later.

    Args:
        timecode: ``01:02:03:04``; with a semicolon before its frames it drops numbers (two in every
            minute but the tenth at 30 frames per second), to keep up with the clock.
        frames: How many, at least 0.
        rate: Frames per second; timecodes count as many as the next whole number says.

    Raises:
        ClipError: it is none, or it drops numbers at a rate at which none are dropped.

    >>> later("00:00:59;28", 2, Fraction(30000, 1001))
    '00:01:00;02'
    """
    match = _TIMECODE.fullmatch(timecode)
    if match is None:
        raise ClipError(f"{timecode!r} is no timecode such as 01:02:03:04")
    hours, minutes, seconds, frame = (int(match[group]) for group in (1, 2, 3, 5))
    nominal = max(round(rate), 1)
    dropped = 0 if match[4] == ":" else nominal // 15
    if dropped and nominal % 30:
        raise ClipError(f"{timecode!r} drops numbers, which {nominal} frames per second never do")
    minute, ten_minutes = 60 * nominal - dropped, 600 * nominal - 9 * dropped
    passed = 60 * hours + minutes
    count = passed * 60 * nominal + seconds * nominal + frame - dropped * (passed - passed // 10)
    tens, count = divmod((count + frames) % (144 * ten_minutes), ten_minutes)
    # The first of ten minutes has all numbers.
    dropping = max(count - dropped, 0) // minute
    count += dropped * dropping
    whole, frame = divmod(count, nominal)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(10 * tens + minutes, 60)
    digits = len(match[5])
    return f"{hours:02}:{minutes:02}:{seconds:02}{match[4]}{frame:0{digits}}"


def unpacked(packed: int) -> str:
    """A timecode of 32 bits, as EXR and DPX files store it: two decimal digits a byte, and flags.

    >>> unpacked(0x01020344)
    '01:02:03;04'
    """
    hours, minutes, seconds = packed >> 24 & 0x3F, packed >> 16 & 0x7F, packed >> 8 & 0x7F
    mark = ";" if packed & _DROPS else ":"
    return f"{hours:02x}:{minutes:02x}:{seconds:02x}{mark}{packed & 0x3F:02x}"
