"""Black bars are no part of the picture: who completes a letterboxed movie relies on it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sttn.errors import CancelledError
from sttn.inference import complete, completed_frames
from sttn.inference.clip import Clip
from sttn.inference.completing import never
from sttn.inference.picture import picture_of
from sttn.model.region import Region
from tests.sttn.inference.moving import SIZE, panned, with_hole

WHOLE = Region(0, SIZE[0], 0, SIZE[1])
LETTERBOX = Region(13, 77, 0, SIZE[1])


def barred(frames: np.ndarray, picture: Region, noise: int = 0) -> np.ndarray:
    """Frames with black around a picture, as a coder with some loss leaves it."""
    black = np.random.default_rng(0).integers(0, noise + 1, frames.shape).astype(np.uint8)
    for frame, bars in zip(frames, black, strict=True):
        picture.of(bars)[...] = picture.of(frame)
    return black


def found(frames: np.ndarray, masks: np.ndarray, clean: tuple[int, ...] = ()) -> Region:
    return picture_of(Clip(frames, masks, frozenset(clean), frozenset()), never).region


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.integers(0, 20)] * 4), st.integers(0, 8))
def test_the_picture_is_found_within_its_bars(bars, noise):
    top, bottom, left, right = bars
    picture = Region(top, SIZE[0] - bottom, left, SIZE[1] - right)
    frames = panned(1, 3).clip(9, 255)

    assert found(barred(frames, picture, noise), with_hole(frames)) == picture


def test_what_is_dark_for_a_while_is_no_bar():
    """A shot that begins at night, and a lamp in the ninth frame of twenty."""
    frames = panned(1, 20)
    frames[:, :30] = 3
    frames[9, 4, 20] = 200

    assert found(frames, with_hole(frames)).top == 4


def test_black_frames_say_nothing():
    """A fade from black and into it."""
    frames = barred(panned(1, 6), LETTERBOX)
    frames[[0, 5]] = 0

    assert found(frames, with_hole(frames)) == LETTERBOX


def test_what_a_hole_covers_in_every_frame_is_no_bar():
    """A matte along the border of a shot: nobody knows what is under it."""
    frames = panned(1, 3)
    masks = np.zeros(frames.shape[:3], np.bool_)
    masks[:, :20] = True
    frames[masks] = 0

    assert found(frames, masks) == WHOLE


def test_a_dark_shot_has_no_bars():
    frames = np.zeros((3, *SIZE, 3), np.uint8)
    assert found(frames, with_hole(frames)) == WHOLE
    frames[:, 40:60, 40:60] = 90
    assert found(frames, with_hole(frames)) == WHOLE


def test_clean_frames_may_have_no_bars():
    """The artist painted a little more than the picture."""
    frames = barred(panned(1, 4), LETTERBOX)
    frames[2] = panned(2, 1)[0]
    masks = with_hole(frames)
    masks[2] = False

    assert found(frames, masks, clean=(2,)) == LETTERBOX


@pytest.mark.parametrize("picture", [LETTERBOX, Region(14, 78, 3, 140), Region(0, 71, 0, 144)])
def test_a_fill_beside_a_bar_is_as_good_as_elsewhere(generator, picture):
    """Feet that are cut off by the picture's edge do not leave a dark patch."""
    frames = panned(3, 24)
    masks = np.zeros(frames.shape[:3], np.bool_)
    masks[:, 40 : picture.bottom, 50:80] = True

    results = [complete(each, masks, generator) for each in (barred(frames, picture), frames)]

    wrong, usual = (np.abs(each[masks] - frames[masks].astype(float)).mean() for each in results)
    assert wrong < usual + 2


@pytest.mark.parametrize("picture", [LETTERBOX, Region(13, 78, 0, 144)])
def test_a_bar_goes_on_under_a_hole(generator, picture):
    """A matte that is drawn generously across the picture's edge."""
    frames = barred(panned(3, 12), picture)
    frames[frames == 0] = 2
    masks = np.zeros(frames.shape[:3], np.bool_)
    masks[:, 50:95, 50:80] = True
    bars = np.ones(SIZE, np.bool_)
    picture.of(bars)[...] = False
    shown = frames.copy()
    shown[:, 80:90, 60:70] = 255  # what shall go

    result = complete(shown, masks, generator)

    assert (result[masks & bars] == 2).all()
    np.testing.assert_array_equal(result[~masks], shown[~masks])
    assert np.abs(result[masks & ~bars].astype(float) - frames[masks & ~bars]).mean() < 20


def test_origins_name_places_of_the_frame(generator):
    """The node fetches finer detail there."""
    frames = barred(panned(3, 24), Region(13, 77, 5, 139))
    masks = with_hole(frames)
    told: dict[int, np.ndarray] = {}

    for index, completed in completed_frames(frames, masks, generator, origins=told.__setitem__):
        row, column = np.nonzero(masks[index] & (told[index][..., 3] > 0.9))
        source, x, y = told[index][row, column, :3].round().astype(int).T
        apart = np.abs(completed[row, column].astype(float) - frames[source, y, x])
        assert apart.mean() < 12

    assert len(told) == 24


def test_looking_for_bars_can_be_cancelled():
    frames = panned(1, 3)
    with pytest.raises(CancelledError):
        picture_of(Clip(frames, with_hole(frames), frozenset(), frozenset()), lambda: True)
