"""Color: what the artist gave comes back, and highlights do not clip."""

import numpy as np
import PyOpenColorIO as ocio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.color import LINEAR, PlateColor, decode, encode, finite
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


@pytest.mark.parametrize("working", ["", "ACEScg", "ACES2065-1"])
@pytest.mark.parametrize(
    "space",
    [
        "Linear Rec.709 (sRGB)",
        "ACES2065-1",
        "ACEScg",
        "ACEScct",
        "ARRI LogC4",
        "ARRI LogC3 (EI800)",
        "S-Log3 S-Gamut3.Cine",
        "sRGB Encoded Rec.709 (sRGB)",
        "sRGB - Display",
        "Rec.1886 Rec.709 - Display",
    ],
)
def test_light_comes_back_from_any_space(space, working):
    """Scene-linear, log and display plates, through the working encoding and back: under 1e-3."""
    light = np.concatenate([np.linspace(-0.1, 1, 200), np.geomspace(1, 65504, 200)])
    gray = light.astype(np.float32)[:, None].repeat(3, axis=1)
    color = PlateColor(space, gray.dtype, working_space=working)
    stored = color.from_linear(gray)

    seen = color.to_linear(stored)
    back = color.to_linear(color.from_linear(decode(encode(seen))))

    np.testing.assert_allclose(back, seen, rtol=1e-3, atol=1e-6)
    within = (gray > 0.001) & (gray < 1)
    np.testing.assert_allclose(seen[within], gray[within], rtol=1e-3)
    if "Display" not in space:
        within = (gray > -0.005) & (gray < 50)
        np.testing.assert_allclose(seen[within], gray[within], rtol=1e-3, atol=1e-5)


@given(st.lists(st.floats(-0.125, 65504, width=16), min_size=3, max_size=3))
def test_half_plates_come_back_within_a_thousandth(values):
    """The promise for HDR plates, over all of half float's range."""
    plate = np.array([values], np.float16)
    color = PlateColor("", plate.dtype)

    back = color.from_linear(decode(encode(color.to_linear(plate))))

    np.testing.assert_allclose(
        back.astype(np.float64), plate.astype(np.float64), rtol=1e-3, atol=1e-7
    )


def test_a_host_names_its_config():
    """By param, before $OCIO; the built-in ACES configs need no file."""
    by_param = PlateColor("ACEScct", HALF, config="ocio://cg-config-latest")

    assert by_param.to_linear(np.full((1, 3), 0.4135884, np.float16)) == pytest.approx(
        0.18, abs=2e-3
    )
    with pytest.raises(ColorError, match=r"/nowhere\.ocio named by the param ocio_config"):
        PlateColor("ACEScct", HALF, config="/nowhere.ocio")


def test_a_config_that_lacks_a_file_is_told(tmp_path, monkeypatch):
    """A show's config whose LUTs stayed behind, or which needs a variable of the shot."""
    monkeypatch.chdir(tmp_path)
    config = ocio.Config.CreateFromFile("ocio://cg-config-latest")
    log = ocio.ColorSpace(name="show log")
    log.setTransform(ocio.FileTransform("$SHOT.spi1d"), ocio.COLORSPACE_DIR_TO_REFERENCE)
    config.addColorSpace(log)
    config.serialize("show.ocio")

    with pytest.raises(ColorError, match=r"cannot convert show log.*\$SHOT\.spi1d"):
        PlateColor("show log", HALF, config="show.ocio")


def test_a_config_is_read_without_a_color_space_too():
    """A slip in --ocio-config does not pass because the plate is what plates usually are."""
    assert PlateColor("", HALF, config="ocio://cg-config-latest").color_space == LINEAR
    with pytest.raises(ColorError, match=r"/nowhere\.ocio named by the param ocio_config"):
        PlateColor("", HALF, config="/nowhere.ocio")


def test_the_working_space_is_scene_linear():
    """A log space would be encoded twice."""
    with pytest.raises(ColorError, match="'ACEScct' is not scene-linear"):
        PlateColor("", HALF, working_space="ACEScct")


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


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16"])
@pytest.mark.parametrize("space", ["", "sRGB Encoded Rec.709 (sRGB)", "Rec.1886 Rec.709 - Display"])
def test_what_is_looked_up_is_what_would_be_computed(space, dtype):
    """Artists with 4K plates wait for a look-up only, and get the same light, inf and NaN too."""
    bits = np.dtype(f"u{np.dtype(dtype).itemsize}")
    every = np.arange(2 ** (8 * bits.itemsize)).astype(bits)
    values = np.random.default_rng(0).permutation(np.tile(every, 3)).reshape(-1, 3).view(dtype)
    scale = np.iinfo(dtype).max if bits == dtype else 1
    looked_up = PlateColor(space, np.dtype(dtype))
    computed = PlateColor(looked_up.color_space, np.dtype("float32"))

    with np.errstate(invalid="ignore", over="ignore"):
        exact = values.astype(np.float32) / np.float32(scale)
        np.testing.assert_allclose(
            looked_up.to_linear(values), computed.to_linear(exact), rtol=1e-6
        )
        np.testing.assert_allclose(looked_up.to_code(values), computed.to_code(exact), rtol=1e-6)


@pytest.mark.parametrize("space", ["", "ACEScg"])
def test_a_plate_is_converted_alike_however_large(space):
    """Pieces that fit the processor's cache leave no seams, and rows of alpha keep to theirs."""
    rng = np.random.default_rng(0)
    plate = rng.uniform(-0.1, 20, (300, 400, 3)).astype(np.float16)
    alpha = rng.random((300, 400), np.float32)
    color = PlateColor(space, plate.dtype)

    whole = color.to_code(plate, alpha)

    rows = [color.to_code(plate[row], alpha[row]) for row in range(300)]
    np.testing.assert_allclose(whole, np.stack(rows), rtol=1e-6)
    np.testing.assert_allclose(whole, encode(finite(color.to_linear(plate, alpha))), rtol=1e-6)
