"""The most similar patch of the known part, for every patch that a hole touches.

Small images are compared whole, by one matrix product; in large ones a good place is handed from
neighbor to neighbor and tried around, for all patches at once (Barnes et al., PatchMatch, SIGGRAPH
2009). What was found often before is found less readily, or a hole would be paved with a few smooth
patches (Kaspar et al., Self Tuning Texture Optimization, Eurographics 2015).
"""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

COMPARED_WHOLE = 60_000_000
"""Pairs of patches up to which every one is compared with every other."""

COMPARED_AT_ONCE = 4_000_000
"""Of these, pairs whose distances are in memory together."""

REPEATS = 0.1
"""What every further use of a place counts beside the distance that is usual: enough to lay another
patch that is nearly as good. At 0.3 already worse ones were laid, which blurs."""

REPEATED_WITHIN = 7
"""Pixels on a side over which uses of a place are a mean."""

ROUNDS = 2
"""Times that good places are handed on and tried around."""

NEIGHBORS = ((0, 1), (0, -1), (1, 0), (-1, 0))
"""Rows and columns from which a good place is handed on."""

TRIED_AROUND = (16, 5, 2)
"""Pixels around a good place within which one more is drawn."""


class Search:
    """Looks for similar patches in one image.

    Args:
        rows: (H * W, N), every patch of the image.
        where: (H * W, 2), row and column of each, as they count beside it.
        allowed: (H, W) bool, centers of patches that may be found.
        asked: (Q,), centers of those that are looked for, by row and column in one number.
    """

    def __init__(self, rows: Tensor, where: Tensor, allowed: Tensor, asked: Tensor) -> None:
        self._rows, self._where = rows, where
        self._allowed, self._asked = allowed.flatten(), asked
        self._height, self._width = allowed.shape
        self._sources = self._allowed.nonzero()[:, 0]
        self._lots = torch.Generator().manual_seed(0)
        self._worn = torch.zeros(len(rows))

    def nearest(self, queries: Tensor, start: Tensor | None) -> Tensor:
        """Where the most similar patches lie, (Q,), by row and column in one number.

        What is found here is found less readily the next time, the more so the more often.

        Args:
            queries: (Q, N), the patches that are looked for.
            start: (Q,) places to begin at; None compares with every patch.
        """
        if start is None or len(queries) * len(self._sources) <= COMPARED_WHOLE:
            best = self._whole(queries)
        else:
            best = self._around(queries, start)
        self._worn = REPEATS * self._missed(queries, best).median() * self._repeats(best)
        return best

    def _repeats(self, found: Tensor) -> Tensor:
        """How often every place (H * W,) was found beyond once, a mean over its surroundings."""
        uses = torch.bincount(found, minlength=len(self._allowed)).float()
        image = uses.view(1, 1, self._height, self._width)
        mean = functional.avg_pool2d(image, REPEATED_WITHIN, 1, REPEATED_WITHIN // 2)
        return (mean.flatten() - 1).clamp(min=0)

    def _whole(self, queries: Tensor) -> Tensor:
        known, sought = (
            torch.cat([patches, self._where[places]], dim=1)
            for patches, places in (
                (self._rows[self._sources], self._sources),
                (queries, self._asked),
            )
        )
        squares = known.square().sum(1) + self._worn[self._sources]
        at_once = max(1, COMPARED_AT_ONCE // len(known))
        found = [
            torch.addmm(squares, some, known.T, alpha=-2).argmin(1)
            for some in sought.split(at_once)
        ]
        return self._sources[torch.cat(found)]

    def _around(self, queries: Tensor, start: Tensor) -> Tensor:
        best, distances = start, self._distances(queries, start)
        for tried in self._tried():
            places = tried(best)
            fresh = self._distances(queries, places)
            closer = fresh < distances
            best = torch.where(closer, places, best)
            distances = torch.where(closer, fresh, distances)
        return best

    def _tried(self) -> Iterator[Callable[[Tensor], Tensor]]:
        """Ways to find other places from good ones."""
        for _ in range(ROUNDS):
            for down, right in NEIGHBORS:
                yield partial(self._handed, down, right)
            for reach in TRIED_AROUND:
                yield partial(self._drawn, reach)

    def _handed(self, down: int, right: int, best: Tensor) -> Tensor:
        """What lies beside a neighbor's good place as one lies beside the neighbor."""
        known = torch.full((self._height * self._width,), -1)
        known[self._asked] = best
        beside = known[self._moved(self._asked, down, right)]
        return torch.where(beside >= 0, beside - down * self._width - right, best)

    def _drawn(self, reach: int, best: Tensor) -> Tensor:
        """A place somewhere around a good one."""
        down, right = torch.randint(-reach, reach + 1, (2, len(best)), generator=self._lots)
        return self._moved(best, down, right)

    def _moved(self, places: Tensor, down: Tensor | int, right: Tensor | int) -> Tensor:
        rows = (places // self._width + down).clamp(0, self._height - 1)
        return rows * self._width + (places % self._width + right).clamp(0, self._width - 1)

    def _distances(self, queries: Tensor, places: Tensor) -> Tensor:
        """How readily places are found (Q,); infinite where nothing may be."""
        within = places.clamp(0, len(self._allowed) - 1)
        forbidden = ~self._allowed[within] | (within != places)
        distances = self._missed(queries, within) + self._worn[within]
        return distances.masked_fill(forbidden, torch.inf)

    def _missed(self, queries: Tensor, places: Tensor) -> Tensor:
        """Squared distances (Q,), of patches and of where they lie."""
        missed = self._rows.index_select(0, places).sub_(queries)
        apart = self._where[places] - self._where[self._asked]
        squared: Tensor = torch.linalg.vecdot(missed, missed) + torch.linalg.vecdot(apart, apart)
        return squared
