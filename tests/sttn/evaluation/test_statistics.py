"""Whether a difference is more than chance decides which weights ship."""

import numpy as np
import pytest
from scipy import stats

from sttn.evaluation.console import sentence
from sttn.evaluation.statistics import compare, interval


def test_an_interval_is_students():
    """Mean, and 2.776 standard errors for five videos."""
    found = interval([20.0, 22.0, 24.0, 26.0, 28.0])

    assert found.mean == 24
    assert found.high - found.mean == pytest.approx(2.776 * np.sqrt(10) / np.sqrt(5), rel=1e-3)
    assert found.count == 5


def test_intervals_hold_the_truth_as_often_as_they_say():
    """95 times in 100, for as few as eight videos."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        found = interval(rng.normal(30, 4, 8).tolist())
        held += found.low <= 30 <= found.high

    assert 930 <= held <= 970


def test_videos_without_a_figure_do_not_count():
    """None at all gives no figure; one gives a mean of which nothing is known."""
    assert interval([float("nan")]) is None
    assert interval([3.0, float("nan")]).mean == 3
    assert interval([3.0]).high == np.inf


def test_pairs_see_what_means_cannot():
    """Clips differ by decibels, the methods by a tenth: paired, that is certain."""
    clips = np.array([13.9, 15.1, 15.6, 17.2, 17.6, 19.5, 19.6, 23.0])
    gain = np.array([0.1, 0.12, 0.08, 0.11, 0.09, 0.1, 0.13, 0.07])

    found = compare((clips + gain).tolist(), clips.tolist())

    assert found.probability == pytest.approx(2 / 2**8)
    assert found.more_than_chance
    assert (found.higher, found.lower) == (8, 0)
    assert stats.ttest_ind(clips + gain, clips).pvalue > 0.9


@pytest.mark.parametrize("key", ["hole_psnr", "hole_warping"])
def test_a_tie_is_nobodys_win(key):
    """The same figures twice speak for neither method, whichever way is better."""
    found = compare([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])

    told = sentence("ours", "theirs", found, key)

    assert told.startswith("ours is as good as theirs")
    assert "better on 0 of 3 clips" in told


def test_noise_is_not_called_a_difference():
    """About one comparison in twenty may be wrong, and no more."""
    rng = np.random.default_rng(1)
    wrong = [compare(rng.normal(0, 1, 8).tolist(), [0.0] * 8).more_than_chance for _ in range(300)]

    assert np.mean(wrong) < 0.09


def test_few_clips_cannot_tell():
    """Five coins all heads happen once in 16 times: no test may call that more than chance."""
    found = compare([1.0, 2.0, 3.0, 4.0, 5.0], [0.0] * 5)

    assert not found.fewest_reached
    assert not found.more_than_chance
    assert compare([1.0] * 6, [0.0] * 6).fewest_reached
    assert compare([1.0], [2.0]) is None
