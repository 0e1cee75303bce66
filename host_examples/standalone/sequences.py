"""Which files are the frames of a sequence; numbers come from their names."""

from pathlib import Path

from fileseq import findSequenceOnDisk, findSequencesOnDisk
from fileseq.constants import PAD_STYLE_HASH1
from fileseq.exceptions import FileSeqException
from fileseq.filesequence import FileSequence

from node.errors import ClipError

IMAGE_SUFFIXES = frozenset({".exr", ".dpx", ".tif", ".tiff", ".png", ".jpg", ".jpeg"})
FLOAT_SUFFIXES = frozenset({".exr"})
DEEP_SUFFIXES = frozenset({".exr", ".tif", ".tiff", ".png", ".dpx"})
ALPHA_SUFFIXES = frozenset({".exr", ".tif", ".tiff", ".png"})


def find_sequence(location: str) -> dict[int, Path]:
    """Frame number to file, for a folder or a pattern (``name.####.exr``, ``name.%04d.exr``).

    Raises:
        ClipError: nothing there, or a folder with several sequences.
    """
    folder = Path(location)
    if folder.is_dir():
        found = [
            sequence
            for sequence in findSequencesOnDisk(str(folder))
            if sequence.extension().lower() in IMAGE_SUFFIXES and sequence.frameSet()
        ]
        if len(found) != 1:
            names = ", ".join(str(sequence) for sequence in found) or "none"
            raise ClipError(
                f"{location} must hold exactly one image sequence, found {names}; "
                "name one by a pattern such as name.####.exr"
            )
        sequence = found[0]
    else:
        try:
            sequence = findSequenceOnDisk(location, pad_style=PAD_STYLE_HASH1)
        except FileSeqException:
            raise ClipError(f"no frames match {location}") from None
    return {
        int(frame): Path(sequence.frame(frame))
        for frame in sequence.frameSet() or ()
        if Path(sequence.frame(frame)).exists()
    }


def is_pattern(location: str) -> bool:
    """Whether a location names many files: ``####`` or ``%04d``."""
    return "#" in location or "%0" in location or "%d" in location


def file_of(pattern: str, frame: int) -> Path:
    """The file that a pattern means for one frame."""
    sequence = FileSequence(pattern, pad_style=PAD_STYLE_HASH1, allow_subframes=False)
    return Path(sequence.frame(frame))
