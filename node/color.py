"""Plate space to working space and back; the only module that knows OCIO.

Plate values go through OCIO to a scene-linear space, Rec.709 unless another is asked for, and from
there through the working encoding: sRGB in [0, 1], logarithmic above, invertible up to the largest
half float.
"""

import difflib
import os
from collections.abc import Callable
from functools import cached_property
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
"""Values that are converted at once: what is made on the way stays in the processor's cache."""

FEW = 2
"""Bytes of a type that has so few values that each is converted once, ahead."""

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


def _by_pieces(curve: Callable[[Float], Float], values: Float) -> Float:
    flat = np.ascontiguousarray(values).reshape(-1)
    result = np.empty(flat.shape, np.float32)
    for start in range(0, len(flat), PIECE):
        result[start : start + PIECE] = curve(flat[start : start + PIECE])
    return result.reshape(values.shape)


def _encoded(x: Float) -> Float:
    code = np.clip(x, 0.0031308, 1.0) ** np.float32(1 / 2.4) * np.float32(1.055) - np.float32(0.055)
    np.multiply(x, np.float32(12.92), out=code, where=x <= 0.0031308)
    if (bright := x > 1).any():
        above = (x[bright] - 1) * np.float32(SRGB_SLOPE_AT_ONE / HIGHLIGHTS)
        code[bright] = 1 + np.float32(HIGHLIGHTS) * np.log1p(above)
    return np.asarray(code, np.float32)


def _decoded(y: Float) -> Float:
    base = (np.clip(y, 0.04045, 1.0) + np.float32(0.055)) / np.float32(1.055)
    linear = base ** np.float32(2.4)
    np.divide(y, np.float32(12.92), out=linear, where=y <= 0.04045)
    if (bright := y > 1).any():
        above = np.expm1((y[bright] - 1) / np.float32(HIGHLIGHTS))
        linear[bright] = 1 + above * np.float32(HIGHLIGHTS / SRGB_SLOPE_AT_ONE)
    return np.asarray(linear, np.float32)


BRIGHTEST = float(encode(np.array([LARGEST_HALF], np.float32))[0])
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
        self._bits = np.dtype(f"u{dtype.itemsize}")
        # Where channels do not mix, what a value becomes depends on nothing else.
        self._by_value = dtype.itemsize <= FEW and not self._forward.hasChannelCrosstalk()

    def to_linear(self, pixels: Pixels, alpha: Float | None = None) -> Float:
        """Plate pixels to scene-linear.

        Args:
            pixels: (..., 3) of the plate's type.
            alpha: (...) in [0, 1] where the plate is premultiplied; 0 leaves a pixel as it is.

        Returns:
            (..., 3) float32, unpremultiplied; NaN and inf stay what they are.
        """
        if self._by_value and alpha is None:
            return looked_up(self._linear_values, pixels.view(self._bits))
        values = _scaled(pixels)
        if alpha is not None:
            values /= np.where(alpha > 0, alpha, 1)[..., np.newaxis]
        return _applied(self._forward, values)

    def to_code(self, pixels: Pixels, alpha: Float | None = None) -> Float:
        """Plate pixels in the working encoding, finite; arguments as for :meth:`to_linear`."""
        if self._by_value and alpha is None:
            return looked_up(self._code_values, pixels.view(self._bits))
        result = np.empty(pixels.shape, np.float32)
        rows = max(1, PIECE // max(1, pixels[:1].size))
        with np.errstate(invalid="ignore", over="ignore"):
            for start in range(0, len(pixels), rows):
                some = slice(start, start + rows)
                linear = self.to_linear(pixels[some], None if alpha is None else alpha[some])
                result[some] = encode(finite(linear))
        return result

    @cached_property
    def _linear_values(self) -> Float:
        """(V, 3), what each value of the plate's type is in scene-linear, in each channel."""
        every = np.arange(2 ** (8 * self._bits.itemsize)).astype(self._bits).view(self.dtype)
        return _applied(self._forward, np.repeat(_scaled(every)[:, np.newaxis], 3, axis=1))

    @cached_property
    def _code_values(self) -> Float:
        """(V, 3), the same in the working encoding, finite."""
        with np.errstate(invalid="ignore", over="ignore"):
            return encode(finite(self._linear_values))

    def from_linear(self, linear: Float, alpha: Float | None = None) -> Pixels:
        """Scene-linear to plate pixels, rounded and clipped to what their type holds.

        Args:
            linear: (..., 3), unpremultiplied.
            alpha: (...) that the result is multiplied by, where the plate is premultiplied.
        """
        values = _applied(self._backward, linear.astype(np.float32))
        if alpha is not None:
            values = values * alpha[..., np.newaxis]
        return stored(values, self.dtype)


def _applied(processor: ocio.CPUProcessor, values: Float) -> Float:
    """What a processor makes of values (..., 3), which it may write over."""
    flat = np.ascontiguousarray(values.reshape(-1, 3))
    if flat.size and not processor.isNoOp():
        processor.applyRGB(flat)
    return flat.reshape(values.shape)


def looked_up(table: Float, rows: NDArray[np.integer]) -> Float:
    """What a table (V, 3) tells, channel by channel, in rows (..., 3) of it."""
    result = np.empty(rows.shape, np.float32)
    for channel in range(3):
        result[..., channel] = table[:, channel].take(rows[..., channel])
    return result


def _scaled(values: NDArray[Any]) -> Float:
    """As float32, so that an integer type's largest is 1."""
    scaled = values.astype(np.float32)
    if values.dtype.kind == "u":
        scaled /= np.float32(np.iinfo(values.dtype).max)
    return scaled


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
    scaled = _scaled(values)
    return scaled if values.dtype.kind == "u" else bounded(scaled, 0, 1)


def finite(linear: Float) -> Float:
    """Replace NaN by 0 and inf by the largest half float: what the network may see."""
    return bounded(linear, -LARGEST_HALF, LARGEST_HALF)


def bounded(values: Float, least: float, most: float) -> Float:
    """Values cut to bounds; NaN is 0. Themselves where nothing is to be done."""
    if values.size and values.min() >= least and values.max() <= most:
        return values
    result = np.clip(values, np.float32(least), np.float32(most))
    if (unknown := np.isnan(result)).any():
        result[unknown] = 0
    return result


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
