"""What nobody should see: a fill that shimmers because every frame's was found on its own."""

import cv2
import numpy as np
import pytest

from sttn.inference.clip import Clip
from sttn.inference.steadying import steadied

FRAMES = 6


@pytest.fixture
def wall() -> np.ndarray:
    """A textured wall under a slow pan, (T, 96, 144, 3)."""
    noise = np.random.default_rng(0).integers(0, 256, (120, 200, 3)).astype(np.uint8)
    fine = cv2.GaussianBlur(noise, (0, 0), 1.2)
    coarse = cv2.GaussianBlur(noise, (0, 0), 6)
    image = 128 + 2.5 * (fine.astype(float) - 128) + 6 * (coarse.astype(float) - 128)
    frames = [image[10:106, 10 + 2 * t : 154 + 2 * t] for t in range(FRAMES)]
    return np.clip(frames, 0, 255).astype(np.uint8)


@pytest.fixture
def masks(wall) -> np.ndarray:
    masks = np.zeros(wall.shape[:3], np.bool_)
    masks[:, 30:66, 40:90] = True
    return masks


def clip_of(frames, masks, clean=(), handles=()) -> Clip:
    return Clip(frames, masks, frozenset(clean), frozenset(handles)).filled_beside()


def shimmering(wall, masks):
    """Every frame's fill is off by a color of its own, in a place of its own."""
    rng = np.random.default_rng(1)
    fills = wall.astype(float)
    for index in range(FRAMES):
        off = cv2.GaussianBlur(rng.normal(0, 60, (96, 144, 3)), (0, 0), 4)
        fills[index][masks[index]] += off[masks[index]]
    return fills.clip(0, 255).round().astype(np.uint8)


def missed(fills, wall, masks):
    return np.abs(fills.astype(float) - wall)[masks].mean()


def detail(frames, masks):
    """What is finer than two pixels, inside the hole."""
    fine = [f.astype(float) - cv2.GaussianBlur(f.astype(float), (0, 0), 2) for f in frames]
    return np.abs(np.stack(fine)[masks]).mean()


def test_fills_shimmer_less_and_stay_as_sharp(wall, masks):
    """Errors of neighbors are not alike, what they show is."""
    fills = shimmering(wall, masks)

    steady = np.stack([f for _, f in steadied(enumerate(fills), clip_of(wall, masks))])

    assert missed(steady, wall, masks) < 0.75 * missed(fills, wall, masks)
    assert detail(steady, masks) > 0.97 * detail(fills, masks)


def test_nothing_changes_outside_the_holes(wall, masks):
    """Bit for bit, as everywhere."""
    fills = shimmering(wall, masks)

    for index, steady in steadied(enumerate(fills), clip_of(wall, masks)):
        np.testing.assert_array_equal(steady[~masks[index]], wall[index][~masks[index]])


def test_a_neighbor_that_shows_something_else_has_no_say(wall, masks):
    """Somebody in black runs through the hole in the frames around."""
    fills = wall.copy()
    noise = np.random.default_rng(2).integers(0, 40, wall.shape[1:]).astype(np.uint8)
    fills[1::2, 30:66, 40:90] = noise[30:66, 40:90]

    steady = dict(steadied(enumerate(fills), clip_of(wall, masks)))

    assert np.abs(steady[2].astype(float) - fills[2])[masks[2]].mean() < 3


def test_floats_and_8_bits_are_steadied_alike(wall, masks):
    """Plates of float come as float32 in [0, 1]."""
    fills = shimmering(wall, masks)
    as_float = fills.astype(np.float32) / 255
    walls = wall.astype(np.float32) / 255

    eight = np.stack([f for _, f in steadied(enumerate(fills), clip_of(wall, masks))])
    floats = np.stack([f for _, f in steadied(enumerate(as_float), clip_of(walls, masks))])

    assert floats.dtype == np.float32
    assert np.abs(floats * 255 - eight).max() < 0.51


def test_a_frame_is_handed_over_as_soon_as_the_next_one_is_filled(wall, masks):
    """Artists see frames come, and memory holds three."""
    given = []

    def fills():
        for index, frame in enumerate(wall):
            given.append(index)
            yield index, frame

    latest = [given[-1] for _ in steadied(fills(), clip_of(wall, masks))]

    assert latest == [1, 2, 3, 4, 5, 5]


def test_handles_beside_returned_frames_steady_them_and_are_not_returned(wall, masks):
    """A run that goes on after a crash ends with the same pixels."""
    fills = shimmering(wall, masks)
    whole = dict(steadied(enumerate(fills), clip_of(wall, masks)))
    clip = clip_of(wall, masks, handles=(0, 1, 2))

    rest = dict(steadied(((i, fills[i]) for i in clip.filled), clip))

    assert clip.filled == [2, 3, 4, 5]
    assert list(rest) == [3, 4, 5]
    for index in rest:
        np.testing.assert_array_equal(rest[index], whole[index])


def test_a_frame_without_a_hole_steadies_those_beside_it(wall, masks):
    """What an artist painted, or what nobody covered, shows how it looks."""
    masks[3] = False
    fills = shimmering(wall, masks)
    clip = clip_of(wall, masks, clean=(3,))

    steady = dict(steadied(((i, fills[i]) for i in clip.filled), clip))

    assert list(steady) == [0, 1, 2, 4, 5]
    assert missed(steady[4], wall[4], masks[4]) < missed(fills[4], wall[4], masks[4])


def test_what_is_handed_over_is_the_callers_own(wall, masks):
    """A script that grades each frame in place changes none that follows."""
    masks[::2] = False
    fills, clip = shimmering(wall, masks), clip_of(wall, masks)
    untouched = dict(steadied(enumerate(fills), clip))

    for index, frame in steadied(enumerate(fills.copy()), clip):
        np.testing.assert_array_equal(frame, untouched[index])
        frame[...] = 0
