"""Which parts of a shot the network sees: nothing far apart is shrunk to fit, nothing shakes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.clips import Region
from node.tracks import MAX_TRACKS, Framing, islands, tracks

UHD = Framing(size=(4096, 2160), surroundings=0.5, model_pixels=432 * 240)


def box(left: int, top: int, width: int, height: int) -> Region:
    return Region(left=left, top=top, right=left + width, bottom=top + height)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(0, 30))
def test_islands_hold_all_that_is_covered_and_never_overlap(seed, count, gap):
    """Every covered pixel is composited by exactly one region."""
    rng = np.random.default_rng(seed)
    covered = np.zeros((60, 90), np.bool_)
    for y, x, height, width in rng.integers((0, 0, 1, 1), (60, 90, 15, 15), (count, 4)):
        covered[y : y + height, x : x + width] = True

    found = islands(covered, gap)

    times = np.zeros(covered.shape, int)
    for island in found:
        island.of(times)[...] += 1
    assert times.max() == 1
    assert (times[covered] == 1).all()


@given(
    st.integers(0, 10_000),
    st.integers(1, 6),
    st.integers(1, 40),
    st.tuples(st.integers(60, 4096), st.integers(60, 2160)),
    st.integers(48 * 48, 400_000),
)
def test_every_crop_holds_its_matte_wherever_it_moves(seed, objects, length, size, model_pixels):
    """Whatever moves however: boxes inside crops, crops inside the plate, one size each."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0, size, (objects, 2))
    speed = rng.normal(0, 30, (objects, 2))
    found = []
    for index in range(length):
        covered = np.zeros((size[1] // 10 + 1, size[0] // 10 + 1), np.bool_)
        for x, y in np.mod(start + speed * index, size) / 10:
            covered[int(y) : int(y) + 3, int(x) : int(x) + 4] = rng.random() < 0.9
        found.append(islands(covered, 4))
    small = (size[0] // 10 + 1, size[1] // 10 + 1)
    framing = Framing(size=small, surroundings=0.5, model_pixels=model_pixels)

    chosen = tracks(found, framing)

    assert len(chosen) <= MAX_TRACKS
    for track in chosen:
        assert len({(crop.width, crop.height) for crop in track.crops}) == 1
        for index, crop in enumerate(track.crops):
            assert crop.within(*small) == crop
            assert track.boxes.get(index, crop).united(crop) == crop
    for index, boxes in enumerate(found):
        times = np.zeros(small[::-1], int)
        for track in chosen:
            if index in track.boxes:
                track.boxes[index].of(times)[...] += 1
        assert times.max(initial=0) <= 1
        assert all((island.of(times) == 1).all() for island in boxes)


def test_far_apart_mattes_are_seen_at_full_size():
    """Two rig points in opposite corners of a 4K plate: two jobs, no shrinking."""
    chosen = tracks([[box(50, 60, 80, 100), box(3900, 2000, 90, 90)]] * 10, UHD)

    assert [track.scale for track in chosen] == [1, 1]


def test_mattes_that_one_crop_shows_as_well_are_one_job():
    """A face and a hand need not be two jobs."""
    chosen = tracks([[box(50, 60, 40, 50), box(160, 70, 40, 40)]] * 10, UHD)

    assert len(chosen) == 1


def test_a_small_matte_that_crosses_a_4k_plate_is_followed():
    """A bird crosses the frame and is filled at full size all the way."""
    found = [[box(80 * index, 700 + 10 * index, 60, 50)] for index in range(48)]

    (track,) = tracks(found, UHD)

    assert track.scale == 1
    assert len(set(track.crops)) > 40


def test_a_following_crop_moves_smoothly():
    """A matte drawn by hand shakes; the crop must not, or the fill swims."""
    rng = np.random.default_rng(0)
    shaky = rng.integers(-15, 16, (60, 2))
    at = shaky + [(60 * i + 20, 25 * i + 200) for i in range(60)]
    found = [[box(x, y, 50, 50)] for x, y in at]

    (track,) = tracks(found, UHD)

    placed = np.array([(crop.left, crop.top) for crop in track.crops])
    steps = np.array((track.crops[0].width, track.crops[0].height)) / 12
    inside = (placed[:, 0] > 0) & (placed[:, 0] + track.crops[0].width < 4096)
    moved = np.diff(placed[inside], axis=0)
    np.testing.assert_allclose(moved % steps, 0)
    assert np.abs(moved - (60, 25)).max() <= steps.max()
    assert np.abs(np.diff(shaky, axis=0)).max() > 20


def test_a_matte_that_vanishes_and_comes_back_is_followed_through_the_gap():
    """Behind a tree for ten frames, one object still."""
    found = [[box(100 + 20 * i, 500, 50, 50)] if not 20 <= i < 30 else [] for i in range(50)]

    chosen = tracks(found, UHD)

    assert len(chosen) <= 2
    assert all(track.scale == 1 for track in chosen)


@pytest.mark.parametrize("apart", [0, 37, 700], ids=["one place", "hops", "far hops"])
def test_a_matte_that_blinks_is_few_jobs(apart):
    """A lamp, flicker, dust, a matte on twos: on and off for as long as the shot is."""
    found = [
        [box(100 + apart * index % 3900, 500 + apart * index % 1500, 50, 60)] if index % 2 else []
        for index in range(80)
    ]

    chosen = tracks(found, UHD)

    assert 1 <= len(chosen) <= MAX_TRACKS
    assert sum(len(track.boxes) for track in chosen) == 40
    assert apart or len(chosen) == 1


def test_a_crop_stands_still_where_it_can():
    """Within the budget nothing is gained by moving."""
    found = [[box(100 + 3 * index, 500, 50, 50)] for index in range(30)]

    (track,) = tracks(found, UHD)

    assert len(set(track.crops)) == 1


@pytest.mark.parametrize("gap", [40, 400])
def test_many_specks_are_few_jobs(gap):
    """A matte full of tracking marks does not queue a hundred jobs."""
    found = [[box(x, y, 6, 6) for x in range(10, 4000, gap) for y in range(10, 2000, gap)]] * 3

    assert 1 <= len(tracks(found, UHD)) <= MAX_TRACKS


def test_whole_frames_on_demand():
    """An artist who wants the network to see everything gets it, shrunk."""
    (track,) = UHD.whole([[box(50, 60, 80, 100)], []])

    assert set(track.crops) == {box(0, 0, 4096, 2160)}
    assert set(track.boxes) == {0}
