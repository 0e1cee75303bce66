"""Plate space to working space and back; the only module that knows OCIO.

Plate values go through OCIO to a scene-linear space, Rec.709 unless another is asked for, and from
there through the working encoding: sRGB in [0, 1], logarithmic above, invertible up to the largest
half float.
"""

import difflib
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import PyOpenColorIO as ocio
from numpy.typing import NDArray

from node.clips import Pixels
from node.errors import ColorError

LINEAR = "Linear Rec.709 (sRGB)"
"""Scene-linear space of the working encoding, by its name in OCIO's built-in configs."""
DISPLAY = "sRGB Encoded Rec.709 (sRGB)"
"""Space assumed of integer plates."""
BUILT_IN = "ocio://studio-config-latest"

OCIO_ERRORS = (ocio.Exception, ocio.ExceptionMissingFile)
"""What OCIO raises; a missing LUT is none of its exceptions."""

LARGEST_HALF = 65504.0
SRGB_SLOPE_AT_ONE = 1.055 / 2.4
HIGHLIGHTS = 0.05
"""How much code space a natural logarithm of a highlight takes: 16 encodes to 1.24."""

PIECE = 2**18
"""Values that a curve is computed for at once."""

Float = NDArray[np.float32]


def encode(linear: Float) -> Float:
    """The working encoding of scene-linear values.

    IEC 61966-2-1 (sRGB) up to 1, its linear part extended below 0; above 1
    ``1 + h ln(1 + (x - 1) s / h)`` with the slope ``s`` that sRGB has at 1.

    Args:
        linear: Any shape, finite, scene-linear.

    Returns:
        The same shape; 1 encodes to 1 and 65504 to about 1.66.
    """
    return _by_pieces(_encoded, linear)


def decode(code: Float) -> Float:
    """The inverse of :func:`encode`."""
    return _by_pieces(_decoded, code)


def _by_pieces(curve: Callable[[NDArray[np.float64]], NDArray[np.float64]], values: Float) -> Float:
    # In double precision, yet a 4K frame must not become gigabytes.
    flat = np.ascontiguousarray(values).reshape(-1)
    result = np.empty(flat.shape, np.float32)
    for start in range(0, len(flat), PIECE):
        result[start : start + PIECE] = curve(flat[start : start + PIECE].astype(np.float64))
    return result.reshape(values.shape)


def _encoded(x: NDArray[np.float64]) -> NDArray[np.float64]:
    low = 12.92 * x
    middle = 1.055 * np.clip(x, 0.0031308, 1.0) ** (1 / 2.4) - 0.055
    high = 1 + HIGHLIGHTS * np.log1p(np.maximum(x - 1, 0) * SRGB_SLOPE_AT_ONE / HIGHLIGHTS)
    return np.where(x <= 0.0031308, low, np.where(x <= 1, middle, high))


def _decoded(y: NDArray[np.float64]) -> NDArray[np.float64]:
    low = y / 12.92
    middle = ((np.clip(y, 0.04045, 1.0) + 0.055) / 1.055) ** 2.4
    high = 1 + np.expm1(np.maximum(y - 1, 0) / HIGHLIGHTS) * HIGHLIGHTS / SRGB_SLOPE_AT_ONE
    return np.where(y <= 0.04045, low, np.where(y <= 1, middle, high))


BRIGHTEST = float(_encoded(np.array(LARGEST_HALF)))
"""Code value of the largest half float."""


class PlateColor:
    """Converts the pixels of one plate to the scene-linear space that is encoded, and back."""

    def __init__(
        self,
        color_space: str,
        dtype: np.dtype[Any],
        *,
        config: str = "",
        working_space: str = "",
    ) -> None:
        """Look the color spaces up.

        Args:
            color_space: The plate's, by its name in the config; empty takes scene-linear Rec.709
                for float plates and sRGB for integer ones.
            dtype: Type of the plate's pixels.
            config: That names ``color_space``: a file or ``ocio://NAME``; empty takes $OCIO, else
                the built-in studio config. Without a color space it has to be readable, no more.
            working_space: A scene-linear space of the built-in studio config; empty takes Rec.709.

        Raises:
            ColorError: a name is unknown (the message says which are near), the config or a file
                that it needs cannot be read, no way leads back, or the plate's type cannot be held.
        """
        if dtype not in (np.uint8, np.uint16, np.float16, np.float32):
            raise ColorError(f"plates of {dtype} are not supported; give 8, 16 or 32 bits")
        self.dtype = dtype
        self.color_space = color_space or (LINEAR if dtype.kind == "f" else DISPLAY)
        working = working_space or LINEAR
        built_in = ocio.Config.CreateFromFile(BUILT_IN)
        asked = _config(config) if config or color_space else built_in
        given = asked if color_space else built_in
        _require_known(self.color_space, given)
        _require_known(working, built_in)
        if not built_in.isColorSpaceLinear(working, ocio.REFERENCE_SPACE_SCENE):
            raise ColorError(f"working_space {working!r} is not scene-linear; try 'ACEScg'")
        try:
            forward, backward = (
                ocio.Config.GetProcessorFromConfigs(*way)
                for way in (
                    (given, self.color_space, built_in, working),
                    (built_in, working, given, self.color_space),
                )
            )
        except OCIO_ERRORS as error:
            raise ColorError(f"cannot convert {self.color_space} to {working}: {error}") from None
        self._forward = forward.getDefaultCPUProcessor()
        self._backward = backward.getDefaultCPUProcessor()

    def to_linear(self, pixels: Pixels, alpha: Float | None = None) -> Float:
        """Plate pixels to scene-linear.

        Args:
            pixels: (..., 3) of the plate's type.
            alpha: (...) in [0, 1] where the plate is premultiplied; 0 leaves a pixel as it is.

        Returns:
            (..., 3) float32, unpremultiplied; NaN and inf stay what they are.
        """
        scale = np.iinfo(self.dtype).max if self.dtype.kind == "u" else 1
        values = pixels.astype(np.float32) / np.float32(scale)
        if alpha is not None:
            values = values / np.where(alpha > 0, alpha, 1)[..., np.newaxis]
        return self._apply(self._forward, values)

    def from_linear(self, linear: Float, alpha: Float | None = None) -> Pixels:
        """Scene-linear to plate pixels, rounded and clipped to what their type holds.

        Args:
            linear: (..., 3), unpremultiplied.
            alpha: (...) that the result is multiplied by, where the plate is premultiplied.
        """
        values = self._apply(self._backward, linear.astype(np.float32))
        if alpha is not None:
            values = values * alpha[..., np.newaxis]
        return stored(values, self.dtype)

    @staticmethod
    def _apply(processor: ocio.CPUProcessor, values: Float) -> Float:
        flat = np.ascontiguousarray(values.reshape(-1, 3))
        if flat is values or flat.base is not None:
            flat = flat.copy()
        if flat.size:
            processor.applyRGB(flat)
        return flat.reshape(values.shape)


def stored(values: Float, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Values as a plate's type holds them: rounded, clipped; 1 is an integer type's largest."""
    if dtype.kind == "u":
        largest = np.iinfo(dtype).max
        return np.clip(np.nan_to_num(values * largest).round(), 0, largest).astype(dtype)
    if dtype == np.float16:
        clipped = np.clip(values, -LARGEST_HALF, LARGEST_HALF)
        values = np.where(np.isfinite(values), clipped, values)
    return values.astype(dtype)


def unit(values: NDArray[Any]) -> Float:
    """A channel in [0, 1] whatever its type; NaN is 0."""
    scale = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    scaled = values.astype(np.float32) / np.float32(scale)
    return np.asarray(np.clip(np.nan_to_num(scaled, nan=0.0), 0, 1))


def finite(linear: Float) -> Float:
    """Replace NaN by 0 and inf by the largest half float: what the network may see."""
    replaced = np.nan_to_num(linear, nan=0.0, posinf=LARGEST_HALF, neginf=-LARGEST_HALF)
    return np.clip(replaced, -LARGEST_HALF, LARGEST_HALF)


def _config(name: str) -> ocio.Config:
    source = "the param ocio_config" if name else "$OCIO"
    name = name or os.environ.get("OCIO", "") or BUILT_IN
    try:
        return ocio.Config.CreateFromFile(name)
    except OCIO_ERRORS as error:
        raise ColorError(f"cannot read the OCIO config {name} named by {source}: {error}") from None


def _require_known(name: str, config: ocio.Config) -> None:
    if config.getColorSpace(name) is not None:
        return
    lowered = {each.lower(): each for each in config.getColorSpaceNames()}
    near = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.3)
    near += [each for each in lowered if name.lower() in each and each not in near][:3]
    hint = "near are " + ", ".join(repr(lowered[each]) for each in near) if near else "none is near"
    raise ColorError(f"no color space {name!r} in the OCIO config; {hint}")
