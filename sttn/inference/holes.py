"""What of every hole is left for the network, and how the frame is put together afterwards."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
from numpy.typing import NDArray

from sttn.errors import CancelledError
from sttn.inference.anchors import CHOICE, SPACING, Anchors, Network
from sttn.inference.clip import Clip, Origins, Pixels
from sttn.inference.laying import SEAM, put_together
from sttn.inference.preparing import Preparation, Prepared
from sttn.model.region import Region, around_mask
from sttn.propagation import Fill, Propagation
from sttn.propagation.recent import Recent
from sttn.settings.computing import THREADS

AHEAD = THREADS + 4
"""Frames whose real pixels are looked for before they are asked for."""

PATIENCE = 0.05
"""Seconds after which a caller that waits for real pixels is asked again whether to go on."""


class Holes:
    """The holes of a clip, filled with real pixels first.

    Args:
        clip: The clip.
        propagation: Begins to look for real pixels in the clip; None leaves every hole to the
            network.
        network: Fills what no frame shows, once for every anchor; None leaves it to whoever asks
            what is left, frame by frame.
        cancelled: Asked often while real pixels are waited for and texture is made.
        prepared: Told how far the looking for real pixels is.
    """

    def __init__(
        self,
        clip: Clip,
        propagation: Callable[..., Propagation] | None,
        network: Network | None,
        cancelled: Callable[[], bool],
        prepared: Prepared,
    ) -> None:
        self._clip, self._cancelled = clip, cancelled
        # Motion is looked for twice.
        self._preparation = Preparation(prepared, 2 * (len(clip) - 1), len(clip.filled))
        self._propagation: Propagation | None = None
        self._anchors: Anchors | None = None
        if propagation is not None:
            at_once = AHEAD + 1 + (SPACING + CHOICE if network is not None else 0)
            self._propagation = propagation(self._frame, clip.mask, len(clip), at_once=at_once)
            self._looked = Recent[int, Fill | None](AHEAD + 1, self._propagation.fill)
            if network is not None:
                steps = self._real, network, self._go_on
                self._anchors = Anchors(clip, self._propagation, *steps)
        self._closed = False
        # As many as there are cores, for motion too: more hinder one another (Python's lock).
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="real-pixels")
        self._unforeseen = ThreadPoolExecutor(1, thread_name_prefix="real-pixels-now")
        self._begun: dict[int, Future[Fill | None]] = {}
        self._following = iter(clip.filled)
        self._fills: dict[int, Fill] = {}
        self._left: dict[int, Region | None] = {}

    def close(self) -> None:
        """Look for nothing more; what is under way ends with the next frame that it reads."""
        self._closed = True
        for threads in (self._threads, self._unforeseen):
            threads.shutdown(cancel_futures=True)

    def _frame(self, index: int) -> Pixels:
        if self._closed:
            raise CancelledError("nobody waits for real pixels any more")
        return self._clip.frame(index)

    def left(self, index: int) -> Region | None:
        """The rectangle around what the network has to fill; None where that is nothing.

        Raises:
            CancelledError: the caller does not want to go on.
        """
        if index not in self._left:
            self._left[index] = self._look(index)
        return self._left[index]

    def _look(self, index: int) -> Region | None:
        if self._propagation is None or self._clip.hole(index) is None:
            return self._clip.hole(index)
        self._look_ahead(index)
        fill = self._real(index)
        assert fill is not None, "the frame has a hole"
        mask = self._clip.mask(index)
        if self._anchors is not None and fill.leaves(mask).any():
            fill = self._anchors.completed(index, fill)
        del self._begun[index]
        self._preparation.seen()
        self._fills[index] = fill
        return around_mask(fill.leaves(mask))

    def _look_ahead(self, index: int) -> None:
        """Have a frame's real pixels looked for, and the next ones' while the network computes."""
        while max(self._begun, default=-1) < index + AHEAD:
            following = next(self._following, None)
            if following is None:
                break
            if self._clip.hole(following) is not None:
                assert self._propagation is not None, "only real pixels are looked for ahead"
                # Motion first, so that neighbors that are filled side by side find it done.
                for prepare in self._propagation.preparations(following):
                    self._threads.submit(self._prepare, prepare)
                self._begun[following] = self._threads.submit(self._looked.__getitem__, following)

    def _prepare(self, prepare: Callable[[], object]) -> None:
        prepare()
        self._preparation.moved()

    def _real(self, index: int) -> Fill | None:
        """A frame's real pixels; None where it has no hole."""
        self._go_on()
        fill = self._begun.get(index)
        if fill is None:  # an anchor's, before which those that wait their turn are not wanted
            fill = self._unforeseen.submit(self._looked.__getitem__, index)
        while not wait([fill], PATIENCE).done:
            self._go_on()
        return fill.result()

    def _go_on(self) -> None:
        if self._cancelled():
            raise CancelledError("cancelled by the caller")
        self._preparation.tell()

    def origins(self, index: int) -> Origins | None:
        """Where a hole's pixels come from, until it is filled; None if none was fetched."""
        fill = self._fills.get(index)
        if fill is None or not fill.origins[..., 3:].any():
            return None
        origins = fill.origins_over(self._clip.size)
        origins[~self._clip.mask(index), 4] = 1
        return origins

    def asked(self, index: int) -> Region | None:
        """The rectangle that the network is asked for: what is left, and the seam around it."""
        left = self.left(index)
        if left is None or self._propagation is None:
            return left
        return left.grown(SEAM, self._clip.size)

    def filled(self, index: int, said: NDArray[np.float32] | None) -> Pixels:
        """The frame with its hole filled, every other pixel untouched; forgets the hole.

        Args:
            index: Of the frame.
            said: What the network says of the rectangle that it was asked for, in [0, 1]; None
                where nothing was left to ask.
        """
        frame, mask = self._clip.frame(index), self._clip.mask(index)
        return put_together(frame, mask, self._fills.pop(index, None), self.asked(index), said)
