"""Image sequences through OpenImageIO: pixels stay in the type they were stored in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from fileseq import findSequenceOnDisk, findSequencesOnDisk
from fileseq.constants import PAD_STYLE_HASH1
from fileseq.exceptions import FileSeqException
from fileseq.filesequence import FileSequence
from numpy.typing import NDArray

from node.errors import ClipError

IMAGE_SUFFIXES = frozenset({".exr", ".dpx", ".tif", ".tiff", ".png", ".jpg", ".jpeg"})
FLOAT_SUFFIXES = frozenset({".exr"})
DEEP_SUFFIXES = frozenset({".exr", ".tif", ".tiff", ".png", ".dpx"})

_TYPES = {"uint8": oiio.UINT8, "uint16": oiio.UINT16, "half": oiio.HALF, "float": oiio.FLOAT}


def read_image(path: Path) -> tuple[NDArray[Any], oiio.ImageSpec]:
    """All channels (H, W, C) of an image in the type they are stored in, and its description.

    Raises:
        ClipError: missing, unreadable or truncated.
    """
    if not path.is_file():
        raise ClipError(f"no file {path}")
    buffer = oiio.ImageBuf(str(path))
    spec = buffer.spec()
    stored = str(spec.format) if buffer.initialized else ""
    pixels = buffer.get_pixels(_TYPES.get(stored, oiio.FLOAT)) if buffer.initialized else None
    if pixels is None or buffer.has_error:
        reason = (buffer.geterror().strip().splitlines() or ["no pixels"])[0]
        raise ClipError(f"cannot read {path}: {reason}; it may be truncated, write it again")
    if path.suffix.lower() in (".jpg", ".jpeg") and _breaks_off(path.read_bytes()):
        raise ClipError(f"cannot read {path}: it breaks off; it is truncated, write it again")
    return pixels, spec


def parts_of(path: Path) -> int:
    """How many images one file holds (EXR parts, TIFF pages); 1 where it cannot be read."""
    return max(1, int(oiio.ImageBuf(str(path)).nsubimages))


def _breaks_off(jpeg: bytes) -> bool:
    # A JPEG decoder paints what is missing gray and says nothing. Inside the picture's data, which
    # starts with FF DA, the end marker FF D9 cannot occur by chance.
    return jpeg.find(b"\xff\xd9", jpeg.rfind(b"\xff\xda")) < 0


def write_image(path: Path, pixels: NDArray[Any], spec: oiio.ImageSpec) -> None:
    """Write an image under a temporary name, then rename it.

    Args:
        path: Target; never seen half-written.
        pixels: (H, W, C) for all channels of ``spec``.
        spec: Description; compression, metadata and windows are kept.

    Raises:
        ClipError: it cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        output = oiio.ImageOutput.create(str(temporary))
        written = (
            output is not None
            and output.open(str(temporary), spec)
            and output.write_image(np.ascontiguousarray(pixels))
            and output.close()
        )
        if not written:
            reason = output.geterror() if output is not None else oiio.geterror()
            raise ClipError(f"cannot write {path}: {' '.join(reason.split())}")
        temporary.replace(path)
    except OSError as error:
        raise ClipError(f"cannot write {path}: {error}") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) display-referred pixels as a picture to look at."""
    height, width = pixels.shape[:2]
    write_image(path, pixels, oiio.ImageSpec(width, height, 3, oiio.UINT8))


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


class ImageSequence:
    """Frames of a sequence on disk, by number; the last one read is kept at hand."""

    def __init__(self, name: str, files: dict[int, Path]) -> None:
        self.name = name
        self._files = files
        self._last: tuple[int, NDArray[Any], oiio.ImageSpec] | None = None

    @property
    def frames(self) -> Sequence[int]:
        """Numbers that exist, in rising order."""
        return sorted(self._files)

    def load(self, frame: int) -> tuple[NDArray[Any], oiio.ImageSpec]:
        """All channels (H, W, C) as stored, and the description of the file."""
        if self._last is None or self._last[0] != frame:
            self._last = (frame, *read_image(self._files[frame]))
        return self._last[1:]


class ImagePlate(ImageSequence):
    """The plate: R, G and B of each file."""

    def read(self, frame: int) -> NDArray[Any]:
        """(H, W, 3) as stored; a file with one channel is gray."""
        pixels, spec = self.load(frame)
        return pixels[..., rgb_channels(spec)]


class ImageMatte(ImageSequence):
    """The matte: one channel of each file, or of one file for all frames."""

    def __init__(self, name: str, files: dict[int, Path], channel: str | None) -> None:
        super().__init__(name, files)
        self._channel = channel

    def read(self, frame: int) -> NDArray[np.float32]:
        """(H, W) float32, integer types scaled to [0, 1]."""
        pixels, spec = self.load(frame)
        picked = pixels[..., matte_channel(spec, self._channel, self._files[frame])]
        if picked.dtype.kind == "u":
            return picked.astype(np.float32) / np.float32(np.iinfo(picked.dtype).max)
        return picked.astype(np.float32)


class StillMatte(ImageMatte):
    """One image that serves every frame."""

    def __init__(self, path: Path, channel: str | None, frames: Sequence[int]) -> None:
        super().__init__(str(path), dict.fromkeys(frames, path), channel)
        self._still: NDArray[np.float32] | None = None

    def read(self, frame: int) -> NDArray[np.float32]:
        """(H, W) float32, the same for every frame."""
        if self._still is None:
            self._still = super().read(frame)
        return self._still


def rgb_channels(spec: oiio.ImageSpec) -> list[int]:
    """Positions of R, G and B; the first three, or the only one thrice, without these names."""
    names = list(spec.channelnames)
    if all(name in names for name in "RGB"):
        return [names.index(name) for name in "RGB"]
    return [0, 1, 2] if len(names) >= 3 else [0, 0, 0]


def matte_channel(spec: oiio.ImageSpec, wanted: str | None, path: Path) -> int:
    """Position of the matte's channel: by name, else alpha, else the first.

    Raises:
        ClipError: no channel of that name.
    """
    names = list(spec.channelnames)
    if wanted is None:
        return names.index("A") if "A" in names else 0
    if wanted not in names:
        raise ClipError(f"{path} has no channel {wanted}; it has {', '.join(names)}")
    return names.index(wanted)


class ImageWriter:
    """Writes clean plates as a sequence, each like the plate's own file."""

    keeps_frames = True

    def __init__(self, pattern: str, plate: ImagePlate | None) -> None:
        self._pattern = pattern
        self._plate = plate

    def path(self, frame: int) -> Path:
        """The file of a frame."""
        return file_of(self._pattern, frame)

    def write(self, frame: int, pixels: NDArray[Any]) -> None:
        """Write one frame, (H, W, 3) of the plate's type.

        Raises:
            ClipError: it cannot be written.
        """
        path = self.path(frame)
        if self._plate is None:
            spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], 3, _oiio_type(pixels.dtype))
            write_image(path, pixels, spec)
            return
        stored, spec = self._plate.load(frame)
        merged = stored.copy()
        channels = rgb_channels(spec)
        if len(set(channels)) == 1:
            merged[..., channels[0]] = pixels[..., 0]
        else:
            merged[..., channels] = pixels
        write_image(path, merged, spec)

    def close(self) -> None:
        """Every frame is a file of its own; nothing is left to do."""

    def discard(self) -> None:
        """Finished frames stay."""


def _oiio_type(dtype: np.dtype[Any]) -> oiio.BASETYPE:
    name = {"float16": "half", "float32": "float"}.get(dtype.name, dtype.name)
    return _TYPES[name]
