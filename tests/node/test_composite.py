"""The first promise: the plate's own pixels never go round the network."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from node.color import PlateColor
from node.composite import clean_plate

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
