"""Reading scene-linear images: Radiance .hdr through OpenCV, .exr through OpenImageIO."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.errors import FootageError
from sttn.footage import content_of, require_unicode

SCENE_LINEAR_SUFFIXES = frozenset({".hdr", ".exr"})

LARGEST_HALF = 65504.0

Light = NDArray[np.float32]
"""(H, W, 3) RGB, scene-linear."""


def read_scene_linear(path: Path) -> Light:
    """Read an image as (H, W, 3) scene-linear RGB, finite and within a half float's range.

    Raises:
        FootageError: the file is missing, cannot be decoded or has no colors, or it is an .exr and
            OpenImageIO is not installed.
    """
    if path.suffix.lower() == ".exr":
        pixels, names = read_exr(path)
        if not {"R", "G", "B"} <= set(names):
            raise FootageError(f"{path} has no channels R, G and B, only {', '.join(names)}")
        pixels = pixels[..., [names.index(name) for name in "RGB"]]
    else:
        content = np.frombuffer(content_of(path), np.uint8)
        found = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if len(content) else None
        if found is None or found.ndim != 3 or found.dtype != np.float32:
            raise FootageError(f"cannot read {path} as a scene-linear image")
        pixels = np.asarray(found[..., ::-1], np.float32)
    finite = np.nan_to_num(pixels, nan=0.0, posinf=LARGEST_HALF, neginf=-LARGEST_HALF)
    return np.asarray(np.clip(finite, -LARGEST_HALF, LARGEST_HALF), np.float32)


def read_exr(path: Path) -> tuple[NDArray[np.float32], list[str]]:
    """Every channel of an .exr's first part in its display window, (H, W, C), and their names.

    Raises:
        FootageError: the file cannot be read, its path is no UTF-8, or OpenImageIO is not
            installed.
    """
    try:
        import OpenImageIO as oiio
    except ImportError:
        raise FootageError(
            f"{path} wants OpenImageIO; pip install openimageio, or pack the corpus where it is"
        ) from None
    require_unicode(path)
    file = oiio.ImageInput.open(str(path))
    if file is None:
        raise FootageError(f"cannot read {path}: {oiio.geterror()}")
    pixels, spec = file.read_image("float"), file.spec()
    file.close()
    if pixels is None:
        raise FootageError(f"cannot read the pixels of {path}")
    # Hosts cut a file to what is in it, and render beyond what is shown.
    shown = np.zeros((spec.full_height, spec.full_width, spec.nchannels), np.float32)
    left, top = spec.x - spec.full_x, spec.y - spec.full_y
    rows = slice(max(top, 0), max(top + spec.height, 0))
    columns = slice(max(left, 0), max(left + spec.width, 0))
    there = shown[rows, columns]
    there[:] = pixels[max(-top, 0) :, max(-left, 0) :][: there.shape[0], : there.shape[1]]
    return shown, list(spec.channelnames)
