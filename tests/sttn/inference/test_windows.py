"""How clips are cut into windows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sttn.inference import WindowConfig
from sttn.inference.windows import reference_frames, windows

configs = st.builds(
    WindowConfig,
    neighbor_stride=st.integers(1, 6),
    neighbor_radius=st.integers(5, 8),
    reference_stride=st.integers(1, 12),
    max_references=st.integers(0, 8),
    overlap=st.just("running"),
) | st.builds(
    WindowConfig,
    neighbor_stride=st.integers(1, 6),
    neighbor_radius=st.integers(3, 8),
    reference_stride=st.integers(1, 12),
    max_references=st.integers(0, 8),
)


@given(st.integers(1, 80), configs)
def test_every_frame_is_completed(length, config):
    """No frame of a shot is forgotten, whatever its length."""
    covered = {index for window in windows(length, config) for index in window.neighbors}

    assert covered == set(range(length))


@given(st.integers(1, 80), configs)
def test_windows_hold_each_frame_once_and_weigh_it(length, config):
    """References are never neighbors, and no neighbor has weight 0."""
    for window in windows(length, config):
        assert not set(window.references) & set(window.neighbors)
        assert len(window.references) <= config.max_references
        assert len(window.shares) == len(window.neighbors)
        assert all(0 < share <= 1 for share in window.shares)
        assert max(window.shares) == 1


def test_shares_are_symmetric():
    """Neither side of a window pulls harder: no pulse every five frames."""
    second = list(windows(40, WindowConfig()))[1]

    assert second.neighbors == tuple(range(11))
    assert second.shares == second.shares[::-1]
    assert second.shares[5] == 1


@given(st.integers(2, 60), configs, st.sets(st.integers(0, 59), max_size=5))
def test_clean_frames_are_references_in_every_window(length, config, painted):
    """What the artist painted is looked at for every frame, however far away."""
    clean = {index for index in painted if index < length - 1}

    cut = list(windows(length, config, clean))

    assert all(clean <= set(window.references) for window in cut)
    assert {i for window in cut for i in window.neighbors} == set(range(length)) - clean


def test_released_schedule_is_the_published_one():
    """Every fifth frame is a center, all references are taken, and the last window is kept."""
    cut = list(windows(131, WindowConfig.released()))

    assert [window.neighbors[0] for window in cut] == [max(0, c - 5) for c in range(0, 131, 5)]
    assert cut[-1].neighbors == tuple(range(125, 131))
    assert cut[-1].references == tuple(range(0, 121, 10))


@given(st.integers(1, 5000), st.integers(1, 20), st.integers(1, 20))
def test_references_are_capped_and_spread(length, stride, limit):
    """Memory does not grow with length, and both ends stay within reach."""
    picked = reference_frames(length, stride, limit)

    assert len(picked) <= limit
    assert picked == sorted(set(picked))
    assert picked[0] == 0
    if limit > 1:
        assert picked[-1] == (length - 1) // stride * stride


def test_windows_that_leave_gaps_are_refused():
    """The message says which radius would do."""
    with pytest.raises(ValueError, match="at least 4"):
        WindowConfig(neighbor_stride=8, neighbor_radius=3)
    with pytest.raises(ValueError, match="at least 7"):
        WindowConfig(neighbor_stride=8, neighbor_radius=6, overlap="running")
