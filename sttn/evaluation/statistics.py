"""What figures of some videos say about all: means with their uncertainty, and comparisons."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
FLIPS = 20_000
"""Random flips of signs where there are too many videos to try all."""


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A mean over videos and where the mean over all such videos lies, 95 times in 100."""

    mean: float
    low: float
    high: float
    count: int
    """How many the mean is over."""


def interval(values: Sequence[float]) -> Interval | None:
    """Mean and 95 % interval by Student's t; the interval of one video is everything.

    Args:
        values: A figure for each video; NaN where a video has none, which is left out.

    Returns:
        None where no video has the figure.
    """
    known = np.array([value for value in values if np.isfinite(value)], np.float64)
    if len(known) == 0:
        return None
    mean = float(known.mean())
    if len(known) == 1:
        return Interval(mean=mean, low=-np.inf, high=np.inf, count=1)
    from scipy import stats  # not above: it takes a second, which --help need not wait for

    reach = stats.t.ppf((1 + CONFIDENCE) / 2, len(known) - 1) * known.std(ddof=1)
    reach = float(reach / np.sqrt(len(known)))
    return Interval(mean=mean, low=mean - reach, high=mean + reach, count=len(known))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How the figures of one method differ from another's on the same videos."""

    difference: Interval
    """First minus second."""
    higher: int
    """Videos on which the first is higher."""
    lower: int
    """Videos on which it is lower."""
    probability: float
    """That signs at random would give a mean as far from 0; two-sided."""

    @property
    def more_than_chance(self) -> bool:
        """Whether chance would do as much less than once in 20 times."""
        return self.probability < 1 - CONFIDENCE

    @property
    def fewest_reached(self) -> bool:
        """Whether there are enough videos for the test to ever find more than chance."""
        return 2.0 ** (1 - self.difference.count) < 1 - CONFIDENCE


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison | None:
    """Pair two methods video by video.

    If the methods were equally good, each video's difference could as well have had the other
    sign: the test flips signs, all ways for up to 14 videos, at random above.

    Args:
        first: A figure for each video.
        second: The other method's, of the same videos in the same order.

    Returns:
        None for fewer than two videos that have both figures.
    """
    differences = np.subtract(first, second, dtype=np.float64)
    differences = differences[np.isfinite(differences)]
    if len(differences) < 2:
        return None
    spread = interval(differences.tolist())
    assert spread is not None
    from scipy import stats  # not above, likewise

    found = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        n_resamples=FLIPS,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return Comparison(
        difference=spread,
        higher=int((differences > 0).sum()),
        lower=int((differences < 0).sum()),
        probability=float(found.pvalue),
    )
