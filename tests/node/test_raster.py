"""From plate to model raster and back, at any size."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from node.clips import Region, covered_region
from node.raster import catmull_rom, hole, resample
from node.tracks import Framing


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Region, tuple[int, int]]:
    width, height = draw(st.integers(1, 5000)), draw(st.integers(1, 3000))
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    right, bottom = draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))
    return Region(left=left, top=top, right=right, bottom=bottom), (width, height)


@given(boxes(), st.floats(0, 2), st.integers(48 * 48, 2_000_000))
def test_any_matte_in_any_plate_gets_a_raster(box, surroundings, model_pixels):
    """The part holds the matte, lies in the plate, and the raster is one the network takes."""
    covered, size = box

    track = Framing(size=size, surroundings=surroundings, model_pixels=model_pixels).track(
        {0: covered}, 1
    )

    (crop,) = track.crops
    assert crop.within(*size) == crop
    assert crop.united(covered) == crop
    assert track.width % 48 == 0
    assert track.height % 48 == 0
    assert track.width * track.height <= max(4 * model_pixels, 48 * 48 * 60)


def test_a_part_that_fits_the_budget_is_not_resampled():
    """The demo shot reaches the network pixel for pixel."""
    covered = Region(left=100, top=60, right=160, bottom=140)

    track = Framing(size=(336, 192), surroundings=0.5, model_pixels=432 * 240).track(
        {0: covered}, 1
    )

    assert (track.crops[0].width, track.crops[0].height) == (track.width, track.height)


@given(st.integers(1, 40), st.integers(1, 40))
def test_the_same_size_is_the_same_image(height, width):
    """An identity network returns the plate exactly."""
    image = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)

    np.testing.assert_array_equal(resample(image, width, height), image)


@given(st.integers(8, 60), st.integers(8, 60), st.integers(8, 60), st.integers(8, 60))
def test_resampling_keeps_the_place_of_things(height, width, new_height, new_width):
    """No half-pixel shift: the middle of a ramp stays in the middle."""
    ramp = np.linspace(0, 1, width, dtype=np.float32)[None].repeat(height, axis=0)

    result = resample(ramp, new_width, new_height)

    assert result.shape == (new_height, new_width)
    np.testing.assert_allclose(result + result[:, ::-1], 1, atol=1e-5)


def test_resampling_leaves_a_flat_field_flat():
    """No ringing and no darkening where nothing changes."""
    flat = np.full((50, 70, 3), 0.3, np.float32)

    np.testing.assert_allclose(resample(flat, 33, 128), 0.3, atol=1e-6)


@given(boxes(), st.integers(0, 4), st.integers(0, 100))
def test_the_hole_covers_whatever_is_composited(box, grow, seed):
    """No pixel is laid over the plate that the network did not fill."""
    _, size = box
    size = (min(size[0], 300), min(size[1], 200))
    rng = np.random.default_rng(seed)
    matte = np.zeros((size[1], size[0]), np.float32)
    y, x = rng.integers(size[1]), rng.integers(size[0])
    matte[y : y + 20, x : x + 20] = 0.01
    region = covered_region(matte)
    assert region is not None
    track = Framing(size=size, surroundings=0.5, model_pixels=48 * 96).track({0: region}, 1)
    crop = track.crops[0]

    mask = hole(crop.of(matte) > 0, track.width, track.height, grow)

    assert mask.shape == (track.height, track.width)
    rows = (np.arange(crop.height) + 0.5) * track.height / crop.height
    columns = (np.arange(crop.width) + 0.5) * track.width / crop.width
    seen = mask[rows.astype(int)][:, columns.astype(int)]
    assert (seen | (crop.of(matte) == 0)).all()


def test_growing_is_in_every_direction():
    """Three pixels of safety all round, corners too."""
    covered = np.zeros((48, 48), np.bool_)
    covered[20, 30] = True

    mask = hole(covered, 48, 48, 3)

    expected = np.zeros((48, 48), np.bool_)
    expected[17:24, 27:34] = True
    np.testing.assert_array_equal(mask, expected)


def test_an_empty_matte_covers_nothing():
    """Nothing to do is not an error."""
    assert covered_region(np.zeros((4, 5), np.float32)) is None


@given(
    st.tuples(*[st.integers(1, 90)] * 2),
    st.tuples(*[st.integers(1, 90)] * 2),
    st.data(),
)
def test_a_part_of_a_resampled_image_is_that_part(old, new, data):
    """Fills are enlarged where they are composited only, as if the crop were whole."""
    image = np.random.default_rng(sum(old)).random((*old, 3), np.float32)
    (top, bottom), (left, right) = (
        sorted(data.draw(st.lists(st.integers(0, side), min_size=2, max_size=2))) for side in new
    )
    part = Region(left=left, top=top, right=right, bottom=bottom)

    np.testing.assert_allclose(
        resample(image, new[1], new[0], part),
        part.of(resample(image, new[1], new[0])),
        atol=1e-6,
    )


@given(st.tuples(*[st.integers(1, 90)] * 2), st.tuples(*[st.integers(1, 90)] * 2))
def test_resampling_is_the_sum_over_all_old_pixels(old, new):
    """Only near ones are looked at; those left out have no weight."""
    image = np.random.default_rng(sum(new)).random(old, np.float32)

    expected = image
    for axis in (0, 1):
        ratio = old[axis] / new[axis]
        centers = (np.arange(new[axis]) + 0.5) * ratio - 0.5
        distance = np.abs(centers[:, np.newaxis] - np.arange(old[axis])) / max(1.0, ratio)
        kernel = catmull_rom(distance)
        weights = kernel / kernel.sum(axis=1, keepdims=True)
        expected = np.moveaxis(np.tensordot(weights, expected, axes=(1, axis)), 0, axis)

    np.testing.assert_allclose(resample(image, new[1], new[0]), expected, atol=1e-5)
