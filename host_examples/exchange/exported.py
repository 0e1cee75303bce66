"""Frames that a host exported, as clips; results, as files that it can read back."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import OpenImageIO as oiio
from numpy.typing import NDArray

from host_examples.standalone.image_files import Windows, spec_like, write_image
from host_examples.standalone.images import ImagePlate, ImageSequence
from host_examples.standalone.sequences import find_sequence
from node.errors import ClipError


class ExportedClip:
    """Some channels of an exported sequence.

    It has no stamp: an export writes every file anew, so only its pixels tell whether it changed.
    """

    def __init__(self, name: str, files: ImageSequence, channels: Sequence[str]) -> None:
        """Files by their frame on the host's timeline.

        Args:
            name: What to call it in a message.
            files: Every frame that was exported; clips that share them decode each file once.
            channels: R, G, B and A of a plate by their names in the file, where A may be missing;
                one of a matte.
        """
        self.name = name
        self._files = files
        self._channels = list(channels)

    @property
    def frames(self) -> Sequence[int]:
        """Numbers that exist, in rising order."""
        return self._files.frames

    def expect(self, frames: Sequence[int]) -> None:
        """Frames that are read next, in order."""
        self._files.expect(frames)

    @cached_property
    def windows(self) -> Windows:
        """Where the pixels lie.

        Raises:
            ClipError: as :meth:`read`.
        """
        part, _ = self._files.load(self.frames[0]).find(self._channels[0])
        return part.windows

    @cached_property
    def channel_count(self) -> int:
        """Of a plate: 4, or 3 without alpha.

        Raises:
            ClipError: as :meth:`read`.
        """
        return int(self.read(self.frames[0]).shape[-1])

    def read(self, frame: int) -> NDArray[Any]:
        """(H, W, 3 or 4) of a plate as stored, (H, W) float32 of a matte.

        Raises:
            ClipError: the file cannot be read or lacks a channel.
        """
        picture = self._files.load(frame)
        if len(self._channels) == 1:
            return picture.channel(self._channels[0]).astype(np.float32)
        there = {name for part in picture.parts for name in part.names}
        names = [name for name in self._channels if name != "A" or name in there]
        found = [picture.find(name) for name in names]
        part, _ = found[0]
        if all(other is part for other, _ in found):
            return part.picked([position for _, position in found])
        return np.stack([picture.channel(name) for name in names], axis=-1)


def painted_files(location: str) -> ImageSequence:
    """Frames that an artist painted: a folder, or ``name.####.exr``.

    Raises:
        ClipError: nothing there.
    """
    return ImageSequence(location, find_sequence(location))


class PaintedClip(ImagePlate):
    """Clean frames that an artist painted, in the pixel type and channels of an export."""

    def __init__(self, files: ImageSequence, export: ExportedClip) -> None:
        super().__init__(files, alpha=True, over=export)
        self._export = export

    def read(self, frame: int) -> NDArray[Any]:
        """(H, W, 3 or 4) float32; opaque where the file has no alpha.

        Raises:
            ClipError: the file cannot be read, holds no float pixels, or does not cover the export.
        """
        pixels = super().read(frame)
        if pixels.dtype.kind != "f":
            raise ClipError(
                f"{self.name}, frame {frame} holds {pixels.dtype} pixels; paint in scene-linear EXR"
            )
        opaque = np.ones((*pixels.shape[:2], 4), np.float32)
        opaque[..., : pixels.shape[-1]] = pixels
        return opaque[..., : self._export.channel_count]


def write_result(
    path: Path, pixels: NDArray[Any], *, like: Path, alpha: float | None = None
) -> None:
    """Write a finished frame, losslessly and whole: never seen half-written.

    Args:
        path: An .exr file.
        pixels: (H, W, 1), (H, W, 3) or (H, W, 4) float; one channel is written as gray.
        like: Exported file of this frame, whose windows, pixel aspect and metadata it gets.
        alpha: Written as A instead of what ``pixels`` hold.

    Raises:
        ClipError: it cannot be written.
    """
    color = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
    if alpha is not None:
        opaque = np.full((*color.shape[:2], 1), alpha, color.dtype)
        color = np.concatenate([color[..., :3], opaque], axis=-1)
    exported = oiio.ImageInput.open(str(like))
    if exported is None:
        raise ClipError(f"cannot read {like}: {oiio.geterror()}")
    spec = spec_like(exported.spec(), "RGBA"[: color.shape[-1]], color.dtype)
    write_image(path, color, spec)
