"""Color: what the artist gave comes back, and highlights do not clip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.color import PlateColor, decode, encode, finite
from node.errors import ColorError

HALF = np.dtype("float16")


@given(st.floats(-0.125, 65504, width=32))
def test_the_working_encoding_is_invertible_far_past_one(value):
    """HDR values survive the way to the server and back."""
    linear = np.array([value], np.float32)

    back = decode(encode(linear))

    np.testing.assert_allclose(back, linear, rtol=1e-3, atol=1e-6)


def test_the_working_encoding_is_srgb_up_to_one_and_rises_above():
    """The network sees what it was trained on; highlights stay apart from white."""
    linear = np.array([0, 0.0031308, 0.18, 0.5, 1.0], np.float32)
    codes = encode(np.array([1, 2, 16, 65504], np.float32))

    expected = [0, 0.04045, 0.46135613, 0.7353569, 1]
    np.testing.assert_allclose(encode(linear), expected, atol=1e-5)
    assert (np.diff(codes) > 0.05).all()
    assert codes[-1] < 1.7


def test_the_encoding_has_no_kink_at_one():
    """No band where the sun grazes a white wall."""
    below, above = encode(np.array([0.999, 1.001], np.float32))

    assert (above - 1) / (1 - below) == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("space", ["ACEScg", "ARRI LogC4", "sRGB Encoded Rec.709 (sRGB)"])
def test_plates_come_back_from_any_space(space):
    """Scene-linear, log and display plates all survive the round trip."""
    pixels = np.random.default_rng(0).uniform(0.05, 0.9, (5, 7, 3)).astype(np.float32)
    color = PlateColor(space, pixels.dtype)

    back = color.from_linear(color.to_linear(pixels))

    np.testing.assert_allclose(back, pixels, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integer_plates_come_back_exactly(dtype):
    """Every code of an 8-bit plate, and a spread of 16-bit ones."""
    largest = np.iinfo(dtype).max
    codes = np.linspace(0, largest, 256).astype(dtype).reshape(-1, 1).repeat(3, axis=1)
    color = PlateColor("", codes.dtype)

    back = color.from_linear(color.to_linear(codes))

    assert np.abs(back.astype(int) - codes.astype(int)).max() <= (0 if dtype is np.uint8 else 1)


def test_default_spaces_follow_the_pixel_type():
    """An EXR is scene-linear, a JPEG is sRGB, without being told."""
    assert PlateColor("", HALF).color_space == "Linear Rec.709 (sRGB)"
    assert PlateColor("", np.dtype("uint8")).color_space == "sRGB Encoded Rec.709 (sRGB)"


def test_unknown_spaces_are_refused_with_near_ones():
    """A typo costs one look at the message."""
    with pytest.raises(ColorError, match=r"no color space 'ACEScgg'.*near are 'ACEScg'"):
        PlateColor("ACEScgg", HALF)


def test_a_config_that_cannot_be_read_is_named(monkeypatch):
    """A stale $OCIO is found at once."""
    monkeypatch.setenv("OCIO", "/nowhere/config.ocio")

    with pytest.raises(ColorError, match=r"/nowhere/config\.ocio"):
        PlateColor("ACEScg", HALF)


def test_half_plates_never_overflow_to_inf():
    """A fill brighter than half float can hold is clipped, not broken."""
    color = PlateColor("", HALF)

    assert color.from_linear(np.full((1, 3), 1e9, np.float32)).max() == 65504


def test_the_network_never_sees_nan_or_inf():
    """Specular infinities beside the matte do not poison the fill."""
    values = np.array([np.nan, np.inf, -np.inf, 1e9], np.float32)

    np.testing.assert_array_equal(finite(values), [0, 65504, -65504, 65504])
