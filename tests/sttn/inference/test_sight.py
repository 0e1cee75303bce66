"""Large frames are shrunk for the network: who fills at a raster larger than it was trained at."""

from dataclasses import replace

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sttn.inference import WindowConfig, complete
from sttn.inference.clip import Clip
from sttn.inference.sight import Sight
from sttn.model import Generator, ModelConfig
from sttn.model.region import Region
from sttn.settings.raster import RASTER_MULTIPLE, TRAINED_PIXELS

ALONE = WindowConfig(propagate=False)
"""The network fills, and nothing else."""


def sight(height: int, width: int, trained_pixels: int | None = TRAINED_PIXELS) -> Sight:
    frames = np.zeros((1, height, width, 3), np.float32)
    masks = np.zeros((1, height, width), np.bool_)
    return Sight(Clip(frames, masks, frozenset(), frozenset()), trained_pixels)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_what_the_network_sees_has_the_shape_of_the_frame(rows, columns):
    size = rows * RASTER_MULTIPLE, columns * RASTER_MULTIPLE

    height, width = sight(*size).size

    assert height % RASTER_MULTIPLE == width % RASTER_MULTIPLE == 0
    if rows * columns <= 1.25 * TRAINED_PIXELS / RASTER_MULTIPLE**2:
        assert (height, width) == size
    elif 1 / 3 < rows / columns < 3:
        assert 0.7 < height * width / TRAINED_PIXELS < 1.3
        assert 0.8 < (height / width) / (rows / columns) < 1.25


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(0, 479)] * 2), st.tuples(*[st.integers(0, 863)] * 2))
def test_what_is_told_of_a_part_lies_where_it_belongs(rows, columns):
    """Without a shift, wherever the part lies: a ramp stays, to a tenth of a pixel, that ramp."""
    part = Region(min(rows), max(rows) + 1, min(columns), max(columns) + 1)
    seeing = sight(480, 864)
    seen = seeing.region(part)
    down, across = np.mgrid[seen.top : seen.bottom, seen.left : seen.right] * 2 + 0.5
    said = np.stack([down / 480, across / 864, down * 0], axis=-1).astype(np.float32)

    told = seeing.enlarged(said, part)

    y, x = np.mgrid[part.top : part.bottom, part.left : part.right]
    inside = (y > 4) & (y < 475) & (x > 4) & (x < 859)
    assert told.shape == (*part.size, 3)
    np.testing.assert_allclose(480 * told[..., 0][inside], y[inside], atol=0.12)
    np.testing.assert_allclose(864 * told[..., 1][inside], x[inside], atol=0.12)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 479), st.integers(0, 863))
def test_a_cell_that_touches_the_hole_is_hidden(row, column):
    """The network never copies a trace of what is removed."""
    frames = np.zeros((1, 480, 864, 3), np.uint8)
    masks = np.zeros((1, 480, 864), np.bool_)
    masks[0, row, column] = True

    seen = Sight(Clip(frames, masks, frozenset(), frozenset()), TRAINED_PIXELS).mask(0)

    assert seen.sum() == 1
    assert seen[row // 2, column // 2]


def clip(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Two soft frames, float32, and a hole that moves."""
    coarse = np.random.default_rng(0).random((2, 15, 27, 3), dtype=np.float32)
    frames = np.stack([cv2.resize(f, (width, height)) for f in coarse])
    masks = np.zeros((2, height, width), np.bool_)
    masks[0, 80:140, 100:200] = masks[1, 90:150, 110:210] = True
    return frames, masks


def test_a_large_frame_is_filled_by_way_of_the_raster_trained_at(generator):
    frames, masks = clip(240, 432)
    twice = (array.repeat(2, axis=1).repeat(2, axis=2) for array in (frames, masks))

    large = complete(*twice, generator, ALONE)

    for filled, mask, found in zip(
        complete(frames, masks, generator, ALONE), masks, large, strict=True
    ):
        inner = cv2.erode(mask.astype(np.uint8), np.ones((7, 7)))
        where = inner.repeat(2, axis=0).repeat(2, axis=1) > 0
        expected = cv2.resize(filled, (864, 480), interpolation=cv2.INTER_CUBIC)
        np.testing.assert_allclose(found[where], expected[where], atol=1e-4)


def test_released_shows_frames_as_they_are(generator):
    """Its figures can be compared with published ones at any raster."""
    large, released = clip(288, 528), WindowConfig.released()

    as_released, shrunk = (
        complete(*large, generator, config) for config in (released, replace(released, shrink=True))
    )

    assert np.abs(as_released - shrunk).max() > 0.01


def test_weights_trained_at_a_larger_raster_see_it():
    """A studio that trains at the raster of its shots."""
    large = clip(288, 528)
    learned = Generator(ModelConfig(channels=16, blocks=1), trained_pixels=528 * 288).eval()

    as_it_is, unshrunk = (
        complete(*large, learned, config) for config in (ALONE, replace(ALONE, shrink=False))
    )

    np.testing.assert_array_equal(as_it_is, unshrunk)
