"""Which parts of a shot the network sees: far-apart mattes apart, small moving ones followed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from node.clips import Region
from node.raster import MULTIPLE, Fit, fit

MAX_TRACKS = 8
"""Jobs per shot at most."""

SMOOTHING_FRAMES = 8.0
"""Standard deviation of the filter that keeps a following crop from shaking."""

WORTH_FOLLOWING = 4.0
"""A crop moves only where that shows the network so many times more pixels along a side. Shown 2.3
times more, fills were 0.9 dB worse (tests/benchmarks/following.py): a standing crop sees more of
what the object uncovers; but a fill enlarged four times is soft to the eye."""

STEPS = 12
"""A moving crop moves by whole twelfths of its size, the network's finest patches: what stands
still in the plate then lies alike in all frames, and can be copied whole."""

WORTH_JOINING = 0.9
"""Two tracks become one where that keeps at least this share of the coarser one's scale."""

Boxes = Mapping[int, Region]
"""Index in the shot to the box around what a track's matte covers; frames without are absent."""


@dataclass(frozen=True, kw_only=True)
class Track:
    """One part of the plate through the whole shot: a job of its own."""

    boxes: Boxes
    """What is composited, by index."""
    crops: tuple[Region, ...]
    """What the network sees, one for each index; all of one size."""
    width: int
    """Columns of the model raster."""
    height: int
    """Rows of the model raster."""

    @property
    def scale(self) -> float:
        """Model pixels per pixel of the plate along a side; 1 is not resampled."""
        crop = self.crops[0]
        return min(self.width / crop.width, self.height / crop.height)


@dataclass(frozen=True, kw_only=True)
class Framing:
    """How crops are chosen: size of the plate and what the artist set."""

    size: tuple[int, int]
    """Width and height of the plate."""
    surroundings: float
    """Margin around a matte as a share of its longer side; at least 48 pixels."""
    model_pixels: int
    """Pixels of a model raster at most, roughly."""

    def track(self, boxes: Boxes, length: int) -> Track:
        """Choose the crops of one track.

        One crop stands still where it can show everything at full size. Otherwise it may move: its
        path is smoothed, and it is large enough to hold every box wherever the path leads it.
        """
        standing = self.standing(boxes, length)
        if standing.scale >= 1:
            return standing
        moving = self.following(boxes, length)
        return moving if moving.scale >= WORTH_FOLLOWING * standing.scale else standing

    def standing(self, boxes: Boxes, length: int) -> Track:
        """A track whose crop stands still around everything."""
        return self._around(_united(list(boxes.values())), self._margin(boxes), boxes, length)

    def whole(self, found: Sequence[Sequence[Region]]) -> list[Track]:
        """One track that shows the network whole frames; none where nothing is covered."""
        boxes = {index: _united(each) for index, each in enumerate(found) if each}
        everything = Region(left=0, top=0, right=self.size[0], bottom=self.size[1])
        return [self._around(everything, 0, boxes, len(found))] if boxes else []

    def _margin(self, boxes: Boxes) -> int:
        longest = max(max(box.width, box.height) for box in boxes.values())
        return max(MULTIPLE, round(self.surroundings * longest))

    def _around(self, around: Region, margin: int, boxes: Boxes, length: int) -> Track:
        fitted = fit((around.width, around.height), margin, self.size, self.model_pixels)
        middle = ((around.left + around.right) / 2, (around.top + around.bottom) / 2)
        crop = fitted.placed(middle, self.size)
        return Track(boxes=boxes, crops=(crop,) * length, width=fitted.width, height=fitted.height)

    def following(self, boxes: Boxes, length: int) -> Track:
        """A track whose crop moves with what is covered, in steps, along a smoothed path."""
        at = sorted(boxes)
        low = np.array([(boxes[i].left, boxes[i].top) for i in at], np.float64)
        high = np.array([(boxes[i].right, boxes[i].bottom) for i in at], np.float64)
        path = _smooth(at, (low + high) / 2, length)
        reach = np.maximum(path[at] - low, high - path[at]).max(axis=0)
        # Half a step is lost when a place is rounded to steps, and half a pixel more to pixels.
        needed = np.ceil((2 * reach + 2) * STEPS / (STEPS - 1)).astype(int)
        fitted = self._within_budget((int(needed[0]), int(needed[1])), self._margin(boxes))
        step = np.array(fitted.crop) / STEPS
        corners = np.round((path - np.array(fitted.crop) / 2) / step) * step
        return Track(
            boxes=boxes,
            crops=tuple(
                fitted.placed((x, y), self.size) for x, y in corners + np.array(fitted.crop) / 2
            ),
            width=fitted.width,
            height=fitted.height,
        )

    def _within_budget(self, needed: tuple[int, int], margin: int) -> Fit:
        # What a moving crop leaves behind it does not see, so it sees as far as it can.
        fitted = fit(needed, margin, self.size, self.model_pixels)
        while fitted.is_whole:
            wider = fit(needed, margin := margin + MULTIPLE // 2, self.size, self.model_pixels)
            if not wider.is_whole or wider == fitted:
                break
            fitted = wider
        return fitted


def tracks(found: Sequence[Sequence[Region]], framing: Framing) -> list[Track]:
    """Follow the islands of a shot, and join those that one crop shows as well as two.

    Args:
        found: Islands of each frame.
        framing: How crops are chosen.

    Returns:
        At most :data:`MAX_TRACKS`; in no frame do boxes of two tracks overlap.
    """
    length, gap = len(found), MULTIPLE
    chains = _chains(found, gap)
    while len(chains) > 4 * MAX_TRACKS:
        gap *= 2
        chains = _chains([_apart(boxes, gap) for boxes in found], gap)
    chosen = dict(enumerate(framing.track(boxes, length) for boxes in chains))
    joined: dict[tuple[int, int], Track] = {}
    following = len(chosen)
    while len(chosen) > 1:
        for first, second in combinations(chosen, 2):
            if (first, second) not in joined:
                both = _merged(chosen[first].boxes, chosen[second].boxes)
                joined[first, second] = framing.track(both, length)
        pair = _pair_to_join(chosen, joined)
        if pair is None:
            break
        for each in pair:
            del chosen[each]
        chosen[following] = joined[pair]
        following += 1
    return list(chosen.values())


def islands(covered: NDArray[np.bool_], gap: int = MULTIPLE) -> list[Region]:
    """Boxes around what is covered, apart by more than ``gap`` empty rows or columns.

    Rows and columns are cut in turns (an XY-cut), so no two boxes overlap.

    >>> covered = np.zeros((4, 9), bool)
    >>> covered[1, 1] = covered[2, 8] = True
    >>> [(box.left, box.right) for box in islands(covered, gap=3)]
    [(1, 2), (8, 9)]
    """
    whole = Region(left=0, top=0, right=covered.shape[1], bottom=covered.shape[0])
    return list(_cut(covered, whole, gap))


def _cut(covered: NDArray[np.bool_], box: Region, gap: int) -> Iterator[Region]:
    part = box.of(covered)
    rows, columns = (_stretches(np.asarray(part.any(axis=axis)), gap) for axis in (1, 0))
    pieces = [
        Region(left=left, top=top, right=right, bottom=bottom).moved(box.left, box.top)
        for top, bottom in rows
        for left, right in columns
    ]
    if pieces == [box]:
        yield box
    else:
        for piece in pieces:
            yield from _cut(covered, piece, gap)


def _stretches(line: NDArray[np.bool_], gap: int) -> list[tuple[int, int]]:
    at = np.flatnonzero(line)
    if not at.size:
        return []
    pieces = np.split(at, np.flatnonzero(np.diff(at) > gap) + 1)
    return [(int(piece[0]), int(piece[-1]) + 1) for piece in pieces]


def _chains(found: Sequence[Sequence[Region]], gap: int) -> list[Boxes]:
    # Islands near where a chain was last, however long ago, belong to it: mattes blink. With a gap
    # as wide as the plate all is one chain.
    chains: list[_Chain] = []
    for index, boxes in enumerate(found):
        for box in boxes:
            around = box.grown(gap)
            near = [chain for chain in chains if chain.is_near(around)]
            chain = near[0] if near else _Chain()
            for other in near[1:]:
                chain.boxes.update(_merged(chain.boxes, other.boxes))
                chain.ends += other.ends
                chains = [each for each in chains if each is not other]
            if not near:
                chains.append(chain)
            chain.boxes[index] = box.united(chain.boxes.get(index, box))
            chain.ends.append(chain.boxes[index])
        for chain in chains:
            if index in chain.boxes:
                chain.ends = [chain.boxes[index]]
    return [chain.boxes for chain in chains]


@dataclass(kw_only=True)
class _Chain:
    """Islands that belong together, while frames are gone through."""

    boxes: dict[int, Region] = field(default_factory=dict)
    ends: list[Region] = field(default_factory=list)
    """Where it is in this frame, and where it was in the last that has any of it."""

    def is_near(self, around: Region) -> bool:
        """Whether a box reaches one of its ends."""
        return any(around.touches(end) for end in self.ends)


def _merged(first: Boxes, second: Boxes) -> dict[int, Region]:
    both = dict(first)
    for index, box in second.items():
        both[index] = both[index].united(box) if index in both else box
    return both


def _apart(boxes: Sequence[Region], gap: int) -> list[Region]:
    # Boxes nearer than the gap become one, until none are.
    apart: list[Region] = []
    for box in boxes:
        while near := [other for other in apart if box.grown(gap).touches(other)]:
            apart = [other for other in apart if other not in near]
            box = _united([box, *near])
        apart.append(box)
    return apart


def _pair_to_join(
    chosen: Mapping[int, Track], joined: Mapping[tuple[int, int], Track]
) -> tuple[int, int] | None:
    # Overlapping ones first, then the pair that loses the least.
    best, kept = None, 0.0
    for first, second in combinations(chosen, 2):
        one, other = chosen[first], chosen[second]
        if any(box.touches(other.boxes[i]) for i, box in one.boxes.items() if i in other.boxes):
            return first, second
        share = joined[first, second].scale / min(one.scale, other.scale)
        if share > kept:
            best, kept = (first, second), share
    return best if kept >= WORTH_JOINING or len(chosen) > MAX_TRACKS else None


def _united(boxes: Collection[Region]) -> Region:
    first, *others = boxes
    for box in others:
        first = first.united(box)
    return first


def _smooth(at: Sequence[int], centers: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    # (length, 2): straight between known frames, still before and after them, then filtered.
    # Ends are mirrored through their last point, so that a steady move stays one.
    reach = min(int(3 * SMOOTHING_FRAMES), length - 1)
    path = np.stack([np.interp(range(length), at, centers[:, axis]) for axis in (0, 1)], axis=1)
    if reach == 0:
        return path
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHING_FRAMES) ** 2)
    padded = np.pad(path, [(reach, reach), (0, 0)], mode="reflect", reflect_type="odd")
    return np.stack(
        [np.convolve(padded[:, axis], kernel / kernel.sum(), "valid") for axis in (0, 1)], axis=1
    )
