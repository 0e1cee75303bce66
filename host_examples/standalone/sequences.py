"""Which files are the frames of a sequence; numbers come from their names."""

import os
import re
from fractions import Fraction
from pathlib import Path

from node.errors import ClipError

IMAGE_SUFFIXES = frozenset({".exr", ".dpx", ".tif", ".tiff", ".png", ".jpg", ".jpeg"})
FLOAT_SUFFIXES = frozenset({".exr"})
DEEP_SUFFIXES = frozenset({".exr", ".tif", ".tiff", ".png", ".dpx"})
ALPHA_SUFFIXES = frozenset({".exr", ".tif", ".tiff", ".png"})
MOST_FRAMES_PER_SECOND = 1000

# The last ### or %04d of a name, and what stands around it.
_PATTERN = re.compile(r"(.*?)(#+|%\d*d)((?:(?!#|%\d*d).)*)")
# The last number of a name before its suffix; a minus belongs to it only after a dot or a _.
_NUMBERED = re.compile(r"(.*?)((?:(?<![^._])-)?\d+)(\.[^.]+)")


def find_sequence(location: str) -> dict[int, Path]:
    """Frame number to file, for a folder, a pattern (``name.####.exr``, ``name.%04d.exr``), or
    one file of many.

    Raises:
        ClipError: nothing there, or a folder with several sequences.
    """
    path = Path(location)
    if path.is_dir():
        path = path / _only_pattern(path)
    elif not is_pattern(location):
        path = path.with_name(pattern_of(path.name))
    found = _matching(path)
    if not found:
        raise ClipError(f"no frames match {location}")
    return found


def exact_rate(rate: float) -> Fraction:
    """Frames per second as video has them, of a number that people round.

    >>> exact_rate(23.98)
    Fraction(24000, 1001)
    >>> exact_rate(12.5)
    Fraction(25, 2)
    """
    whole = Fraction(round(rate))
    for exact in (whole, whole * 1000 / 1001):
        if abs(rate - exact) < 0.005:
            return exact
    return Fraction(rate).limit_denominator(1000)


def is_pattern(location: str) -> bool:
    """Whether the name of a file stands for many: ``####`` or ``%04d``."""
    return _PATTERN.fullmatch(Path(location).name) is not None


def pattern_of(name: str) -> str:
    """The pattern that a file of a sequence fits; its own name, where there is no number in it.

    >>> pattern_of("matte_v2.1001.exr")
    'matte_v2.####.exr'
    """
    match = _NUMBERED.fullmatch(name)
    return f"{match[1]}{'#' * len(match[2])}{match[3]}" if match else name


def file_of(pattern: str, frame: int) -> Path:
    """The file that a pattern means for one frame; a name that is none is the file itself.

    >>> file_of("shot#1/clean.####_v2.exr", 7).as_posix()
    'shot#1/clean.0007_v2.exr'
    """
    path = Path(pattern)
    match = _PATTERN.fullmatch(path.name)
    if match is None:
        return path
    before, number, after = match.groups()
    digits = number.count("#") or int(number[1:-1] or 1)
    return path.with_name(f"{before}{frame:0{digits}d}{after}")


def names_of(pattern: Path) -> re.Pattern[str] | None:
    """File names that a pattern stands for, with their number; nothing where it is no pattern."""
    match = _PATTERN.fullmatch(pattern.name)
    return match and re.compile(rf"{re.escape(match[1])}(-?\d+){re.escape(match[3])}")


def _matching(pattern: Path) -> dict[int, Path]:
    # However many digits a number has; the file that the pattern means, where there are two.
    numbered = names_of(pattern)
    if numbered is None or not pattern.parent.is_dir():
        return {}
    found: dict[int, Path] = {}
    for name in os.listdir(pattern.parent):
        if number := numbered.fullmatch(name):
            frame, meant = int(number[1]), file_of(str(pattern), int(number[1]))
            if found.get(frame) != meant:
                found[frame] = pattern.with_name(name)
    return found


def _only_pattern(folder: Path) -> str:
    patterns: dict[str, str] = {}
    for name in sorted(os.listdir(folder)):
        pattern = pattern_of(name)
        is_image = Path(name).suffix.lower() in IMAGE_SUFFIXES
        if is_image and pattern != name and not name.startswith("."):
            patterns.setdefault(re.sub("#+", "#", pattern), pattern)
    found = list(patterns.values())
    if len(found) != 1:
        some = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise ClipError(
            f"{folder} must hold exactly one image sequence, found {some or 'none'}; "
            "name one by a pattern such as name.####.exr"
        )
    return found[0]
