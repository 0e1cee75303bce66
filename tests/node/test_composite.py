"""The first promise: the plate's own pixels never go round the network."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from node.color import PlateColor, stored, unit
from node.composite import clean_plate, fill_only

shapes = st.tuples(st.integers(1, 6), st.integers(1, 6))
plates = st.sampled_from(["u1", "u2", "f2", "f4"]).flatmap(
    lambda dtype: shapes.flatmap(lambda shape: hnp.arrays(dtype, (*shape, 3)))
)


@given(plates, st.data())
def test_outside_the_matte_every_bit_is_the_plates(plate, data):
    """NaN payloads, infinities, negative and over-range pixels included, in every type."""
    matte = data.draw(hnp.arrays("f4", plate.shape[:2], elements=st.sampled_from([0.0, 0.25, 1.0])))
    completed = np.full(plate.shape, 0.5, np.float32)

    result = clean_plate(plate, completed, matte, PlateColor("", plate.dtype))

    assert result.dtype == plate.dtype
    outside = matte == 0
    assert result[outside].tobytes() == plate[outside].tobytes()


@given(plates)
def test_a_full_matte_hides_whatever_was_there(plate):
    """inf and NaN under the matte are replaced like anything else."""
    completed = np.full(plate.shape, 0.5, np.float32)
    matte = np.ones(plate.shape[:2], np.float32)
    color = PlateColor("", plate.dtype)

    result = clean_plate(plate, completed, matte, color)

    np.testing.assert_array_equal(result, color.from_linear(completed))


def test_soft_mattes_mix_in_scene_linear_light():
    """Half a matte over black and light is half the light, not half the code value."""
    plate = np.zeros((1, 1, 3), np.float32)
    matte = np.full((1, 1), 0.5, np.float32)

    result = clean_plate(
        plate, np.full((1, 1, 3), 4.0, np.float32), matte, PlateColor("", plate.dtype)
    )

    np.testing.assert_allclose(result, 2.0, rtol=1e-6)


@pytest.mark.parametrize(
    ("dtype", "space", "premultiplied"),
    [("u2", "", False), ("f4", "ACEScct", False), ("f4", "", False), ("f4", "", True)],
)
def test_a_fill_over_the_plate_in_scene_linear_light_is_the_clean_plate(
    dtype, space, premultiplied
):
    """Soft edges of sRGB and log plates, and renders on transparent film."""
    color = PlateColor(space, np.dtype(dtype))
    fill, matte = np.full((1, 3, 3), 0.8, np.float32), np.array([[0.25, 0.5, 1]], np.float32)
    alpha = np.full((1, 3), 0.5, np.float32) if premultiplied else None
    colors = color.from_linear(np.full((1, 3, 3), 0.02, np.float32), alpha)
    plate = np.dstack([colors, stored(np.full((1, 3), 0.5, np.float32), color.dtype)])

    fore = fill_only(plate, fill, matte, color, premultiplied=premultiplied)
    clean = clean_plate(plate, fill, matte, color, premultiplied=premultiplied)

    weight = unit(fore[..., 3])
    fore_light = color.to_linear(fore[..., :3], weight) * weight[..., None]
    over = fore_light + color.to_linear(plate[..., :3]) * (1 - weight[..., None])
    np.testing.assert_allclose(over, color.to_linear(clean[..., :3]), rtol=2e-3)
