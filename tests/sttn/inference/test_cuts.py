"""Cuts are found where there are some, and nothing crosses them: who completes an edited movie."""

from itertools import count
from threading import enumerate as threads

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sttn.errors import CancelledError, InvalidClipError
from sttn.inference import WindowConfig, complete, completed_frames
from sttn.inference.clip import Clip
from sttn.inference.completing import never
from sttn.inference.cuts import stretches
from tests.sttn.inference.moving import SIZE, panned, with_hole


def found(frames: np.ndarray, masks: np.ndarray | None = None, clean: tuple[int, ...] = ()) -> list:
    masks = with_hole(frames) if masks is None else masks
    return stretches(Clip(frames, masks, frozenset(clean), frozenset()), never)


@settings(max_examples=15, deadline=None)
@given(st.integers(2, 8), st.integers(2, 8), st.integers(0, 99))
def test_a_cut_is_found_where_it_is(before, after, seed):
    frames = np.concatenate([panned(seed, before), panned(seed + 100, after)])

    assert found(frames) == [list(range(before)), list(range(before, before + after))]


def test_the_object_that_is_removed_does_not_hide_a_cut():
    """It may be the only thing that both pictures show."""
    frames = np.concatenate([panned(1, 5), panned(2, 5)])
    masks = np.zeros(frames.shape[:3], np.bool_)
    masks[:, 10:90, 30:120] = True
    frames[:, masks[0]] = panned(3, 1)[0][masks[0]]

    assert len(found(frames, masks)) == 2


@pytest.mark.parametrize("ahead", [0, 3])
def test_cuts_are_found_in_order_however_many_frames_wait(ahead, monkeypatch):
    """A movie has more frames than may wait to be compared."""
    monkeypatch.setattr("sttn.inference.cuts.AHEAD", ahead)

    scenes = found(np.concatenate([panned(seed, 4) for seed in (1, 2, 3)]))

    assert scenes == [list(range(start, start + 4)) for start in (0, 4, 8)]


def flash(frames: np.ndarray) -> np.ndarray:
    frames[4] = (frames[4] * 0.3 + 170).astype(np.uint8)
    return frames


def strange_frame(frames: np.ndarray) -> np.ndarray:
    frames[4] = panned(77, 1)[0]
    return frames


def fade(frames: np.ndarray) -> np.ndarray:
    return (frames * np.linspace(1, 0, len(frames))[:, None, None, None]).astype(np.uint8)


def grain(frames: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 25, frames.shape)
    return (frames + noise).clip(0, 255).astype(np.uint8)


def grain_alone(frames: np.ndarray) -> np.ndarray:
    return grain(np.full_like(frames, 120))


def nothing_alike(frames: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, frames.shape).astype(np.uint8)


@pytest.mark.parametrize("change", [flash, strange_frame, fade, grain, grain_alone, nothing_alike])
def test_what_is_no_cut_parts_nothing(change):
    """Real pixels would be lost to a clip that is parted for nothing."""
    assert found(change(panned(5, 9))) == [list(range(9))]


def test_black_between_two_pictures_hides_no_cut():
    """A fade to black and out of it again."""
    black = np.zeros((3, *SIZE, 3), np.uint8)
    frames = np.concatenate([panned(1, 5), black, panned(2, 5)])

    assert found(frames) == [list(range(8)), list(range(8, 13))]


def test_clean_frames_make_no_cut():
    """An artist's clean plate may look like nothing else in the clip."""
    frames = np.concatenate([panned(1, 4), panned(2, 4), panned(4, 1)])
    frames[2] = panned(3, 1)[0]
    masks = with_hole(frames)
    masks[[2, 8]] = False

    assert found(frames, masks, clean=(2, 8)) == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]


@pytest.mark.parametrize("painted", [(3,), (4,), (3, 4), (4, 5), (2, 3, 4, 5)])
def test_a_clean_frame_at_a_cut_belongs_to_its_own_scene(painted):
    """An artist paints the first frame of a scene, from which it is carried along."""
    frames = np.concatenate([panned(1, 4), panned(2, 4)])
    masks = with_hole(frames)
    masks[list(painted)] = False

    assert found(frames, masks, clean=painted) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_painted_frame_after_black_belongs_to_what_follows():
    black = np.zeros((2, *SIZE, 3), np.uint8)
    frames = np.concatenate([panned(1, 4), black, panned(2, 6)])
    masks = with_hole(frames)
    masks[6] = False

    assert found(frames, masks, clean=(6,)) == [list(range(6)), list(range(6, 12))]


@pytest.mark.parametrize("painted", [0, 12])
def test_no_place_is_followed_into_a_clean_frame_of_another_scene(painted, generator):
    """It lies beside the scene in memory; what it shows is not what comes next."""
    frames = np.concatenate([panned(1, 6), panned(2, 7)])
    masks = with_hole(frames)
    masks[painted] = False
    told: dict[int, np.ndarray] = {}

    results = completed_frames(frames, masks, generator, clean=[painted], origins=told.__setitem__)

    assert [index for index, _ in results] == [i for i in range(13) if i != painted]
    for index, origins in told.items():
        fetched = origins[..., 0][origins[..., 0] >= 0]
        assert ((fetched < 6) == (index < 6)).all()


def test_frames_that_show_nothing_are_not_told_apart():
    frames = np.concatenate([panned(1, 4), panned(2, 4)])

    assert len(found(frames, np.ones(frames.shape[:3], np.bool_))) == 1


def test_each_side_of_a_cut_is_completed_as_if_it_were_alone(generator):
    """Nothing of the next scene shines through, and origins still name frames of the clip."""
    sides = panned(1, 6), panned(2, 7)
    frames = np.concatenate(sides)
    masks = with_hole(frames)
    told: dict[int, np.ndarray] = {}
    cuts: list[list[int]] = []

    results = completed_frames(frames, masks, generator, origins=told.__setitem__, cuts=cuts.append)
    together = np.stack([frame for _, frame in results])

    alone = [complete(side, with_hole(side), generator) for side in sides]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    for index, origins in told.items():
        fetched = origins[..., 0][origins[..., 0] >= 0]
        assert len(fetched)
        assert ((fetched < 6) == (index < 6)).all()
    assert set(told) == set(range(13))
    assert cuts == [[6]]


def test_bars_that_all_scenes_share_hide_no_cut(generator):
    """A letterboxed movie."""
    sides = panned(1, 6), panned(2, 7)
    for side in sides:
        side[:, :14] = side[:, -14:] = 0
    frames = np.concatenate(sides)

    together = complete(frames, with_hole(frames), generator)

    alone = [complete(side, with_hole(side), generator) for side in sides]
    np.testing.assert_array_equal(together, np.concatenate(alone))


def test_cuts_may_be_left_alone(generator):
    """Who compares with the released procedure sees the clip in one piece."""
    frames = np.concatenate([panned(1, 5), panned(2, 5)])
    masks = with_hole(frames)
    kept = WindowConfig(propagate=False, part_at_cuts=False)

    parted, whole = (
        complete(frames, masks, generator, config)
        for config in (WindowConfig(propagate=False), kept)
    )

    assert (parted != whole).any()


def test_handles_beyond_a_cut_are_not_returned(generator):
    frames = np.concatenate([panned(1, 4), panned(2, 4)])

    results = completed_frames(frames, with_hole(frames), generator, handles=range(4, 8), clean=())

    assert [index for index, _ in results] == [0, 1, 2, 3]


def test_what_is_wrong_is_told_by_its_index_in_the_clip(generator):
    frames = np.concatenate([panned(1, 4), panned(2, 4)]).astype(np.float32) / 255
    masks = with_hole(frames)
    frames[6, 0, 0, 0] = np.nan

    with pytest.raises(InvalidClipError, match="frame 6 holds NaN"):
        complete(frames, masks, generator)


def test_looking_for_cuts_can_be_cancelled(generator):
    frames = panned(1, 6)

    with pytest.raises(CancelledError):
        next(completed_frames(frames, with_hole(frames), generator, cancelled=lambda: True))


def test_who_cancels_while_frames_are_compared_waits_for_no_other():
    """An artist who closes the node: nothing more is read, and no thread stays."""
    frames, asked = panned(1, 9), count()
    clip = Clip(frames, with_hole(frames), frozenset(), frozenset())
    read: list[int] = []
    frame = clip.frame
    clip.frame = lambda index: read.append(index) or frame(index)

    with pytest.raises(CancelledError):
        stretches(clip, lambda: next(asked) == 5)

    assert read == [0, 1, 2, 3, 4]
    assert not [thread for thread in threads() if thread.name.startswith("cuts")]
