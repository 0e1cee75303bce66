"""Plate space to working space and back; the only module that knows OCIO.

Plate values go through OCIO to scene-linear Rec.709, and from there through the working
encoding: sRGB in [0, 1], logarithmic above, invertible up to the largest half float.
"""

import difflib
import os
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

LARGEST_HALF = 65504.0
SRGB_SLOPE_AT_ONE = 1.055 / 2.4
HIGHLIGHTS = 0.05
"""How much code space a natural logarithm of a highlight takes: 16 encodes to 1.24."""

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
    x = linear.astype(np.float64)
    low = 12.92 * x
    middle = 1.055 * np.clip(x, 0.0031308, 1.0) ** (1 / 2.4) - 0.055
    high = 1 + HIGHLIGHTS * np.log1p(np.maximum(x - 1, 0) * SRGB_SLOPE_AT_ONE / HIGHLIGHTS)
    return np.where(x <= 0.0031308, low, np.where(x <= 1, middle, high)).astype(np.float32)


def decode(code: Float) -> Float:
    """The inverse of :func:`encode`."""
    y = code.astype(np.float64)
    low = y / 12.92
    middle = ((np.clip(y, 0.04045, 1.0) + 0.055) / 1.055) ** 2.4
    high = 1 + np.expm1(np.maximum(y - 1, 0) / HIGHLIGHTS) * HIGHLIGHTS / SRGB_SLOPE_AT_ONE
    return np.where(y <= 0.04045, low, np.where(y <= 1, middle, high)).astype(np.float32)


class PlateColor:
    """Converts the pixels of one plate to scene-linear Rec.709 and back."""

    def __init__(self, color_space: str | None, dtype: np.dtype[Any]) -> None:
        """Look the color space up.

        Args:
            color_space: A name in $OCIO or, without it, in OCIO's built-in studio config;
                None takes scene-linear Rec.709 for float plates and sRGB for integer ones.
            dtype: Type of the plate's pixels.

        Raises:
            ColorError: the name is unknown (the message says which are near), the config
                cannot be read, or the plate's type cannot be held.
        """
        if dtype not in (np.uint8, np.uint16, np.float16, np.float32):
            raise ColorError(f"plates of {dtype} are not supported; give 8, 16 or 32 bits")
        self._dtype = dtype
        self.color_space = color_space or (LINEAR if dtype.kind == "f" else DISPLAY)
        built_in = ocio.Config.CreateFromFile(BUILT_IN)
        path = os.environ.get("OCIO") if color_space else None
        try:
            config = ocio.Config.CreateFromFile(path) if path else built_in
        except (ocio.Exception, ocio.ExceptionMissingFile) as error:
            raise ColorError(
                f"cannot read the OCIO config {path} named by $OCIO: {error}"
            ) from None
        if config.getColorSpace(self.color_space) is None:
            raise ColorError(_unknown(self.color_space, list(config.getColorSpaceNames())))
        try:
            forward = ocio.Config.GetProcessorFromConfigs(
                config, self.color_space, built_in, LINEAR
            )
            backward = ocio.Config.GetProcessorFromConfigs(
                built_in, LINEAR, config, self.color_space
            )
        except ocio.Exception as error:
            raise ColorError(f"cannot convert {self.color_space} to {LINEAR}: {error}") from None
        self._forward = forward.getDefaultCPUProcessor()
        self._backward = backward.getDefaultCPUProcessor()

    def to_linear(self, pixels: Pixels) -> Float:
        """Plate pixels to scene-linear Rec.709.

        Args:
            pixels: (..., 3) of the plate's type.

        Returns:
            The same shape, float32; NaN and inf stay what they are.
        """
        scale = np.iinfo(self._dtype).max if self._dtype.kind == "u" else 1
        return self._apply(self._forward, pixels.astype(np.float32) / np.float32(scale))

    def from_linear(self, linear: Float) -> Pixels:
        """Scene-linear Rec.709 to plate pixels, rounded and clipped to what their type holds."""
        values = self._apply(self._backward, linear.astype(np.float32))
        if self._dtype.kind == "u":
            largest = np.iinfo(self._dtype).max
            return np.clip(np.nan_to_num(values * largest).round(), 0, largest).astype(self._dtype)
        if self._dtype == np.float16:
            finite = np.isfinite(values)
            values = np.where(finite, np.clip(values, -LARGEST_HALF, LARGEST_HALF), values)
        return values.astype(self._dtype)

    @staticmethod
    def _apply(processor: ocio.CPUProcessor, values: Float) -> Float:
        flat = np.ascontiguousarray(values.reshape(-1, 3))
        if flat is values or flat.base is not None:
            flat = flat.copy()
        if flat.size:
            processor.applyRGB(flat)
        return flat.reshape(values.shape)


def finite(linear: Float) -> Float:
    """Replace NaN by 0 and inf by the largest half float: what the network may see."""
    replaced = np.nan_to_num(linear, nan=0.0, posinf=LARGEST_HALF, neginf=-LARGEST_HALF)
    return np.clip(replaced, -LARGEST_HALF, LARGEST_HALF)


def _unknown(name: str, known: list[str]) -> str:
    lowered = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), lowered, n=3, cutoff=0.3)
    near += [each for each in lowered if name.lower() in each and each not in near][:3]
    hint = "near are " + ", ".join(repr(lowered[each]) for each in near) if near else "none is near"
    return f"no color space {name!r} in the OCIO config; {hint}"
