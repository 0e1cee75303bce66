"""One image file through OpenImageIO: every part and channel, in the types they are stored in."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from host_examples.standalone.turning import UPRIGHT, turn_of_orientation
from host_examples.standalone.unfinished import begun
from node.clips import Region
from node.errors import ClipError

_TYPES = {
    "uint8": oiio.UINT8,
    "uint16": oiio.UINT16,
    "uint": oiio.UINT32,
    "half": oiio.HALF,
    "float": oiio.FLOAT,
}

_ACES = "acesImageContainerFlag"
JPEG = (".jpg", ".jpeg")
_TURNED = (*JPEG, ".tif", ".tiff", ".png")
"""Files of photographs, which viewers turn as they say."""
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)
LOSSY = ("dwaa", "dwab", "b44", "b44a", "pxr24")
"""EXR compressions that would change pixels that nobody touched."""


class Windows(NamedTuple):
    """Boxes on one sheet of pixels, which have a size and a place."""

    data: Region
    """Where a part has pixels."""
    display: Region
    """What of the sheet is shown; not all formats know another than ``data``."""


@dataclass(frozen=True)
class Part:
    """One image of a file."""

    pixels: NDArray[Any]
    """(H, W, C), all channels, in the widest of their types; float64 for rare ones. As viewers show
    them."""
    spec: oiio.ImageSpec
    """Channel names, windows, metadata."""
    rounded: tuple[str, ...] = ()
    """Channels that ``pixels`` do not hold exactly: ids of 32 bits among floats."""
    orientation: int = 1
    """How the file stores what is shown, as :func:`turn_of_orientation` takes it; written so again
    where the format can say it."""

    @property
    def names(self) -> list[str]:
        """Channel names."""
        return list(self.spec.channelnames)

    def picked(self, positions: Sequence[int]) -> NDArray[Any]:
        """(H, W, N), some channels, in the type that they are stored in: beside ids or a depth that
        need a wider one, halves are halves. Not to be written to.
        """
        first, end = positions[0], positions[-1] + 1
        side_by_side = list(positions) == list(range(first, end))
        pixels = self.pixels[..., slice(first, end) if side_by_side else list(positions)]
        kinds = {str(self.spec.channelformat(each)) for each in positions}
        return pixels.astype(np.float16, copy=False) if kinds == {"half"} else pixels

    @property
    def windows(self) -> Windows:
        """Where it lies."""
        spec = self.spec
        return Windows(
            data=_box(spec.x, spec.y, spec.width, spec.height),
            display=_box(spec.full_x, spec.full_y, spec.full_width, spec.full_height),
        )


@dataclass(frozen=True)
class Picture:
    """A file: most hold one part."""

    path: Path
    parts: tuple[Part, ...]

    def channel(self, wanted: str) -> NDArray[Any]:
        """(H, W) of one channel, as :meth:`find` finds it."""
        part, position = self.find(wanted)
        return part.picked([position])[..., 0]

    def find(self, wanted: str) -> tuple[Part, int]:
        """Part and position of one channel.

        Args:
            wanted: ``A``, ``matte.A``, or with the part's name before it, ``matte/A``.

        Raises:
            ClipError: there is none of that name.
        """
        known = []
        for part in self.parts:
            for position, name in enumerate(part.names):
                full = f"{part.spec.getattribute('name')}/{name}"
                if wanted in (name, full):
                    return part, position
                known.append(full if len(self.parts) > 1 else name)
        raise ClipError(f"{self.path} has no channel {wanted}; it has {', '.join(known)}")


def _box(left: int, top: int, width: int, height: int) -> Region:
    return Region(left=left, top=top, right=left + width, bottom=top + height)


def read_picture(path: Path) -> Picture:
    """All parts of an image file, colors as they are stored: OpenImageIO would multiply straight
    ones by their alpha and divide them again, and few come back from that as they were.

    Raises:
        ClipError: missing, unreadable, truncated, or deep.
    """
    if not path.is_file():
        raise ClipError(f"no file {path}")
    as_stored = oiio.ImageSpec()
    as_stored["oiio:UnassociatedAlpha"] = 1
    source = oiio.ImageInput.open(str(path), as_stored)
    if source is None:
        raise _unreadable(path, oiio.geterror())
    parts: list[Part] = []
    while source.seek_subimage(len(parts), 0):
        spec = oiio.ImageSpec(source.spec())
        if spec.deep:
            raise ClipError(f"{path} holds deep pixels; flatten them first")
        kind = _TYPES.get(str(spec.format), oiio.DOUBLE)
        pixels = source.read_image(len(parts), 0, 0, spec.nchannels, kind)
        if pixels is None:
            raise _unreadable(path, source.geterror())
        part = Part(pixels, spec, _rounded(source, len(parts), spec))
        parts.append(_as_shown(part) if path.suffix.lower() in _TURNED else part)
    source.close()
    if _breaks_off(path):
        raise _unreadable(path, "it breaks off")
    return Picture(path, tuple(parts))


def _as_shown(part: Part) -> Part:
    orientation = int(part.spec.getattribute("Orientation") or 1)
    turn = turn_of_orientation(orientation)
    if turn == UPRIGHT or part.windows.data != part.windows.display:
        return part
    pixels = turn.shown(part.pixels)
    spec = _of_size(part.spec, pixels)
    spec.erase_attribute("Orientation")
    return replace(part, pixels=pixels, spec=spec, orientation=orientation)


def _as_stored(part: Part) -> Part:
    pixels = turn_of_orientation(part.orientation).stored(part.pixels)
    spec = _of_size(part.spec, pixels)
    spec["Orientation"] = part.orientation
    return replace(part, pixels=pixels, spec=spec)


def _of_size(spec: oiio.ImageSpec, pixels: NDArray[Any]) -> oiio.ImageSpec:
    sized = oiio.ImageSpec(spec)
    sized.height, sized.width = sized.full_height, sized.full_width = pixels.shape[:2]
    return sized


def _rounded(source: oiio.ImageInput, part: int, spec: oiio.ImageSpec) -> tuple[str, ...]:
    # Beside half or float all channels go through float, which is exact up to 24 bits.
    found = []
    for position, kind in enumerate(spec.channelformats):
        if str(kind) == "uint":
            ids = source.read_image(part, 0, position, position + 1, oiio.UINT32)
            if ids is not None and ids.max(initial=0) >= 2**24:
                found.append(spec.channelnames[position])
    return tuple(found)


def read_image(path: Path) -> tuple[NDArray[Any], oiio.ImageSpec]:
    """All channels (H, W, C) of a file's first part, and its description.

    Raises:
        ClipError: missing, unreadable or truncated.
    """
    part = read_picture(path).parts[0]
    return part.pixels, part.spec


def _unreadable(path: Path, told: str) -> ClipError:
    reason = (told.strip().splitlines() or ["no pixels"])[0]
    return ClipError(f"cannot read {path}: {reason}; it may be truncated, write it again")


def _breaks_off(path: Path) -> bool:
    # Decoders of these two are content without an end, and a JPEG's paints what is missing gray.
    if path.suffix.lower() == ".png":
        return b"IEND\xaeB`\x82" not in path.read_bytes()
    if path.suffix.lower() in JPEG:
        return not _ends(path.read_bytes())
    return False


def _ends(jpeg: bytes) -> bool:
    # Segments are as long as they say, and may hold a thumbnail that ends; in coded data there are
    # no markers but restarts. What a phone appended after the end is not looked at.
    position = 2
    while marker := _MARKER.search(jpeg, position):
        if marker[1] == b"\xd9":
            return True
        length = jpeg[marker.end() : marker.end() + 2]
        position = marker.end() + int.from_bytes(length, "big")
    return False


def write_picture(path: Path, parts: Sequence[Part]) -> None:
    """Write a file under a temporary name, read it back, then rename it.

    Args:
        path: Target; never seen half-written.
        parts: Metadata, windows and lossless compression are kept; lossy compression becomes ZIP.

    Raises:
        ClipError: it cannot be written, or not as it is.
    """
    rounded = [name for part in parts for name in part.rounded]
    if rounded:
        raise _unwritable(
            path,
            f"the 32-bit numbers of {', '.join(rounded)} would be rounded beside half or float; "
            "keep them in a part of their own",
        )
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = begun(path)
        if path.suffix.lower() in JPEG:
            _require_room(temporary, sum(part.pixels.nbytes for part in parts))
        if path.suffix.lower() in _TURNED:
            parts = [_as_stored(part) if part.orientation != 1 else part for part in parts]
        output = oiio.ImageOutput.create(str(temporary))
        if output is None:
            raise _unwritable(path, oiio.geterror())
        specs = [_writable(part.spec, output) for part in parts]
        written = output.open(str(temporary), specs if len(specs) > 1 else specs[0])
        for number, part in enumerate(parts):
            if number > 0:
                written = written and output.open(str(temporary), specs[number], "AppendSubimage")
            written = written and output.write_image(np.ascontiguousarray(part.pixels))
        if not (output.close() and written):
            raise _unwritable(path, output.geterror())
        _require_whole(temporary, path)
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, str(error)) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def _unwritable(path: Path, told: str) -> ClipError:
    return ClipError(f"cannot write {path}: {' '.join(told.split())}")


def _require_whole(written: Path, path: Path) -> None:
    # On a full disk some formats say that all went well.
    try:
        read_picture(written)
    except ClipError as error:
        raise _unwritable(path, f"it cannot be read back; is the disk full? {error}") from None


def _require_room(path: Path, size: int) -> None:
    # The JPEG encoder ends the whole process on a full disk.
    with path.open("wb") as file:
        file.write(bytes(size))


def write_image(path: Path, pixels: NDArray[Any], spec: oiio.ImageSpec) -> None:
    """Write an image of one part.

    Raises:
        ClipError: it cannot be written.
    """
    write_picture(path, [Part(pixels, spec)])


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write (H, W, 3) display-referred pixels as a picture to look at."""
    height, width = pixels.shape[:2]
    write_image(path, pixels, oiio.ImageSpec(width, height, 3, oiio.UINT8))


def spec_like(spec: oiio.ImageSpec, names: Sequence[str], dtype: np.dtype[Any]) -> oiio.ImageSpec:
    """A description with other channels of one type, colors multiplied by alpha; windows and
    metadata are kept.
    """
    like = oiio.ImageSpec(spec)
    like.erase_attribute("oiio:UnassociatedAlpha")
    like.nchannels, like.channelnames, like.channelformats = len(names), tuple(names), ()
    like.set_format(oiio_type(dtype))
    like.alpha_channel = names.index("A") if "A" in names else -1
    return like


def oiio_type(dtype: np.dtype[Any]) -> oiio.BASETYPE:
    """OpenImageIO's name of a plate's type."""
    return _TYPES[{"float16": "half", "float32": "float"}.get(dtype.name, dtype.name)]


def lossy_compression(spec: oiio.ImageSpec) -> str:
    """The compression that would change pixels that nobody touched; empty where there is none."""
    compression = str(spec.getattribute("compression") or "").partition(":")[0]
    return compression if compression in LOSSY else ""


def _writable(spec: oiio.ImageSpec, output: oiio.ImageOutput) -> oiio.ImageSpec:
    kept = oiio.ImageSpec(spec)
    if lossy_compression(spec):
        kept["compression"] = "zip"
    if not output.supports("tiles"):
        kept.tile_width = kept.tile_height = 0
    # Taken for an order to make a texture, of which no more than a piece is written.
    kept.erase_attribute("textureformat")
    if spec.getattribute(_ACES):
        # Said again of what is an ACES container; the plate may have more than that allows.
        kept.erase_attribute(_ACES)
        kept["openexr:ACESContainerPolicy"] = "relaxed"
    return kept


def require_describable(path: Path, parts: Sequence[Part]) -> None:
    """Write a piece of a file into a folder that is removed again.

    Raises:
        ClipError: the format cannot hold these parts.
    """
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / path.name
        try:
            write_picture(trial, [_first_row(part) for part in parts])
        except ClipError as error:
            raise ClipError(str(error).replace(str(trial), str(path))) from None


def _first_row(part: Part) -> Part:
    spec = oiio.ImageSpec(part.spec)
    spec.height = 1
    return replace(part, pixels=part.pixels[:1], spec=spec)
