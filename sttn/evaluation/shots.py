"""Reading a rendered shot whose truth is known: EXR files, as our demo shot has them."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError
from sttn.footage import Image, natural_order
from sttn.scene_linear import read_exr
from sttn.settings.raster import RASTER_MULTIPLE

MATTE = "matte.A"
"""Channel of the plate that holds the matte."""


def is_shot(folder: Path) -> bool:
    """Whether a folder holds plates and their truth."""
    return any(folder.glob("plate.*.exr")) and any(folder.glob("truth.*.exr"))


def read_shot_with_truth(
    folder: Path, limit: int, size: tuple[int, int]
) -> tuple[Image, NDArray[np.bool_], Image]:
    """Read ``plate.*.exr`` with its matte, and ``truth.*.exr``, as a monitor shows them.

    Args:
        folder: Where they lie.
        limit: Frames at most.
        size: Width and height to resize to where the files' own are no multiples of 48.

    Returns:
        Plate (T, H, W, 3) uint8 sRGB, highlights clipped; masks (T, H, W), True where the matte is
        above 0; truth, like the plate.

    Raises:
        FootageError: a file cannot be read, has no matte, or plates and truth do not pair.
    """
    plates, truths = (
        sorted(folder.glob(f"{kind}.*.exr"), key=natural_order)[:limit]
        for kind in ("plate", "truth")
    )
    if [path.suffixes[0] for path in plates] != [path.suffixes[0] for path in truths]:
        raise FootageError(f"{folder}: {len(plates)} plates and {len(truths)} truths do not pair")
    shown, masks = [], []
    for path in plates:
        linear, names = read_exr(path)
        if MATTE not in names:
            raise FootageError(f"{path} has no channel {MATTE}, only {', '.join(names)}")
        masks.append(linear[..., names.index(MATTE)] > 0)
        shown.append(_displayed(linear))
    truth = [_displayed(read_exr(path)[0]) for path in truths]
    height, width = masks[0].shape
    if width % RASTER_MULTIPLE == 0 and height % RASTER_MULTIPLE == 0:
        size = (width, height)
    hidden = [cv2.resize(m.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) for m in masks]
    return _resized(shown, size), np.stack(hidden) > 0, _resized(truth, size)


def _displayed(linear: NDArray[np.float32]) -> Image:
    """The first three channels as sRGB (IEC 61966-2-1)."""
    light = np.nan_to_num(linear[..., :3], nan=0).clip(0, 1)
    code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (code * 255).round().astype(np.uint8)


def _resized(frames: list[Any], size: tuple[int, int]) -> Image:
    resized = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames]
    return np.stack(resized).astype(np.uint8, copy=False)
