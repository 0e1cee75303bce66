"""What of every window has to be computed, and which windows can be computed together."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sttn.inference.clip import Clip
from sttn.inference.windows import Window, windows
from sttn.model.region import Region
from sttn.settings.schedule import WindowConfig


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be computed of a window."""

    window: Window
    wanted: tuple[int, ...]
    """Neighbors that are filled and have a hole in which something is left to fill."""
    regions: tuple[Region, ...]
    """Of every wanted frame: the rectangle that is to be computed."""

    @property
    def context(self) -> tuple[int, ...]:
        """The other neighbors."""
        return tuple(index for index in self.window.neighbors if index not in self.wanted)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Windows of the same shape can be computed together."""
        return len(self.wanted), len(self.window.neighbors), len(self.window.references)


def plans_of(
    clip: Clip, config: WindowConfig, asked: Callable[[int], Region | None]
) -> Iterator[Plan]:
    """A plan for every window of a clip, in order.

    Args:
        clip: The clip.
        config: Its schedule.
        asked: Tells by index which part of a frame is to be computed; None where nothing is.
    """
    filled = set(clip.filled)
    for window in windows(len(clip), config, clip.clean):
        neighbors = (index for index in window.neighbors if index in filled)
        wanted = {index: region for index in neighbors if (region := asked(index))}
        yield Plan(window=window, wanted=tuple(wanted), regions=tuple(wanted.values()))


def gathered(plans: Iterator[Plan], count: int) -> Iterator[list[Plan]]:
    """Successive plans, ``count`` at a time."""
    while batch := list(islice(plans, count)):
        yield batch


def by_shape(plans: Sequence[Plan]) -> Iterator[list[Plan]]:
    """Plans that can be computed together; those that want nothing are left out."""
    for shape in dict.fromkeys(plan.shape for plan in plans if plan.wanted):
        yield [plan for plan in plans if plan.shape == shape]
