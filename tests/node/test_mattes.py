"""What the artist says with mattes is what the network fills and what is composited."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.clips import Clips
from node.matte import used_matte
from node.params import Params
from tests.conftest import serving
from tests.node.engines import SavingEngine
from tests.node.shots import numbered, rendered, shot, within_range
from tests.server.engines import FakeEngine


def soft_matte(seed: int, size: tuple[int, int] = (40, 50)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    matte = np.zeros(size, np.float32)
    for y, x, height, width in rng.integers((0, 0, 1, 1), (*size, 12, 12), (4, 4)):
        matte[y : y + height, x : x + width] = rng.choice([0.3, 0.7, 1.0])
    return matte


@given(st.integers(0, 1000), st.integers(0, 9), st.integers(0, 15))
def test_growing_and_feathering_never_uncover(seed, grow, feather):
    """What was fully replaced stays so; the feather fades outside, and no further than it says."""
    matte = soft_matte(seed)

    used = used_matte(matte, None, Params(matte_grow=grow, matte_feather=feather))

    assert (used >= matte - 1e-6).all()
    assert used.max(initial=0) <= 1
    reach = used_matte(matte, None, Params(matte_grow=grow + feather))
    assert (used[reach == 0] == 0).all()


@given(st.integers(0, 1000), st.integers(1, 9))
def test_shrinking_is_growing_of_what_is_around(seed, pixels):
    """A negative grow eats into the matte."""
    matte = soft_matte(seed)

    shrunk = used_matte(matte, None, Params(matte_grow=-pixels))

    around = used_matte(1 - matte, None, Params(matte_grow=pixels))
    np.testing.assert_allclose(shrunk, 1 - around, atol=1e-6)


def test_a_feather_fades_evenly():
    """Over eight pixels, from full to nothing, without a step."""
    matte = np.zeros((30, 60), np.float32)
    matte[:, :30] = 1

    ramp = used_matte(matte, None, Params(matte_feather=8))[15, 30:39]

    assert (np.diff(ramp) < 0).all()
    assert np.abs(np.diff(ramp)).max() < 0.26
    assert ramp[-1] == 0


def test_an_inverted_matte_replaces_the_rest():
    """Garbage mattes come either way round."""
    matte = soft_matte(1)

    np.testing.assert_allclose(used_matte(matte, None, Params(matte_invert=True)), 1 - matte)


@pytest.mark.parametrize("grow", [0, 3])
@pytest.mark.parametrize("feather", [0, 20])
def test_the_network_fills_whatever_is_composited(tmp_path, grow, feather):
    """With a feather, too: no pixel of the object shows through its edge."""
    clips = within_range(shot(length=2, size=(192, 240)))
    engine = SavingEngine(tmp_path)

    with serving(engine) as address:
        rendered(clips, address, Params(matte_feather=feather, hole_grow=grow))

    (job,) = engine.jobs()
    used = used_matte(clips.matte.read(1001), None, Params(matte_feather=feather))
    # Nothing is resampled here, so what is seen is a crop of the plate.
    top, left = found_at(job["frames"][0], clips.source.read(1001))
    height, width = job["masks"][0].shape
    covered = used[top : top + height, left : left + width] > 0
    assert covered.any()
    assert job["masks"][0][covered].all()
    assert job["masks"][0].sum() > covered.sum() or grow == 0


def found_at(crop: np.ndarray, plate: np.ndarray) -> tuple[int, int]:
    """Where a crop in the working encoding was taken from a plate."""
    from node.color import encode

    code = encode(plate.astype(np.float32))
    for top in range(plate.shape[0] - crop.shape[0] + 1):
        for left in range(plate.shape[1] - crop.shape[1] + 1):
            if np.allclose(code[top, left : left + 8], crop[0, :8], atol=1e-3):
                return top, left
    raise AssertionError("the crop is not a part of the plate")


def test_a_hold_out_is_never_copied_and_never_changed(tmp_path):
    """An actor who walks in front of the object stays as photographed, and is no background."""
    clips = within_range(shot(length=2, size=(192, 240)))
    hold = np.zeros((192, 240), np.float32)
    hold[70:90, 60:140] = 1
    clips = dataclasses.replace(clips, hold_out=numbered("actor", [hold] * 2))
    engine = SavingEngine(tmp_path)

    with serving(engine) as address:
        rendered(clips, address, Params(hole_grow=0))
    with serving(FakeEngine(fill=0.25)) as address:
        result = rendered(clips, address, Params(grain=0))

    (job,) = engine.jobs()
    top, left = found_at(job["frames"][0], clips.source.read(1001))
    height, width = job["masks"][0].shape
    hole = (clips.matte.read(1001) > 0) | (hold > 0)
    np.testing.assert_array_equal(job["masks"][0], hole[top : top + height, left : left + width])
    held = hold == 1
    assert result[1001][held].tobytes() == clips.source.read(1001)[held].tobytes()
    replaced = (clips.matte.read(1001) == 1) & ~held
    assert (result[1001][replaced] != clips.source.read(1001)[replaced]).mean() > 0.9


def test_clean_frames_are_copied_from_and_shown_as_painted(tmp_path):
    """The artist's own painting is the only truth there is: the network gets it, the shot too."""
    clips = within_range(shot(length=4))
    painted = np.full((96, 144, 3), 0.3, np.float16)
    far = np.full((96, 144, 3), 0.6, np.float16)
    clips = dataclasses.replace(
        clips, clean_frames=type(clips.source)("painted", {1002: painted, 900: far})
    )
    engine = SavingEngine(tmp_path)

    with serving(engine) as address:
        result = rendered(clips, address, Params(grain=0))

    (job,) = engine.jobs()
    assert job["clean"].tolist() == [0, 2]
    assert len(job["frames"]) == 5
    assert not job["masks"][[0, 2]].any()
    covered = clips.matte.read(1002) == 1
    np.testing.assert_array_equal(result[1002][covered], painted[covered])
    np.testing.assert_array_equal(result[1002][~covered], clips.source.read(1002)[~covered])
    assert sorted(result) == [1001, 1002, 1003, 1004]


def test_handles_are_sent_and_not_returned(tmp_path):
    """A part of a shot is filled with what the rest of it shows."""
    clips = within_range(shot(length=12))
    engine = SavingEngine(tmp_path)

    with serving(engine) as address:
        result = rendered(clips, address, Params(handles=3), frames=[1005, 1006])

    (job,) = engine.jobs()
    assert sorted(result) == [1005, 1006]
    assert len(job["frames"]) == 8
    assert job["handles"].tolist() == [0, 1, 2, 5, 6, 7]
    assert job["masks"][0].any()


def test_the_alpha_of_the_plate_is_the_matte_where_there_is_no_other(address):
    """OpenFX's Filter context has one input."""
    clips = shot(channels=4)
    for frame in clips.source.frames:
        clips.source.read(frame)[..., 3] = clips.matte.read(frame)

    result = rendered(Clips(source=clips.source), address)

    inside = clips.matte.read(1001) > 0
    assert (result[1001][inside][:, :3] != clips.source.read(1001)[inside][:, :3]).mean() > 0.9
    assert result[1001][~inside].tobytes() == clips.source.read(1001)[~inside].tobytes()
