"""What of every hole is left for the network, and how the frame is put together afterwards."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sttn.errors import CancelledError
from sttn.inference.clip import Clip, Pixels
from sttn.model.region import Region, around_mask
from sttn.propagation import Fill, Fusion, Propagation


class Holes:
    """The holes of a clip, filled with real pixels first.

    Args:
        clip: The clip.
        fusion: Decides which real pixels to believe; None leaves every hole to the network.
        cancelled: Asked before a frame's real pixels are looked for.
    """

    def __init__(self, clip: Clip, fusion: Fusion | None, cancelled: Callable[[], bool]) -> None:
        self._clip, self._cancelled = clip, cancelled
        self._propagation: Propagation | None = None
        if fusion is not None and len(clip) > 1:
            self._propagation = Propagation(clip.frames, clip.masks, fusion)
        self._fills: dict[int, Fill | None] = {}
        self._left: dict[int, Region | None] = {}

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
        if self._cancelled():
            raise CancelledError("cancelled by the caller")
        fill = self._propagation.fill(index)
        assert fill is not None, "the frame has a hole"
        self._fills[index] = fill
        rest = self._clip.mask(index)
        fill.box.of(rest := rest.copy())[fill.trust >= 1] = False
        return around_mask(rest)

    def filled(self, index: int, said: NDArray[np.float32] | None) -> Pixels:
        """The frame with its hole filled, every other pixel untouched; forgets the hole.

        Args:
            index: Of the frame.
            said: What the network says of the rectangle that is left, in [0, 1]; None where
                nothing is.
        """
        frame, mask = np.array(self._clip.frame(index)), self._clip.mask(index)
        left, fill = self.left(index), self._fills.pop(index, None)
        if left is not None:
            assert said is not None, "somebody has to fill what is left"
            inside = left.of(mask)
            left.of(frame)[inside] = _of_type(said[inside], frame.dtype)
        if fill is not None:
            _lay_over(frame, fill, said, left)
        return frame


def _lay_over(
    frame: Pixels, fill: Fill, said: NDArray[np.float32] | None, left: Region | None
) -> None:
    """Mix what was fetched with what the network says, by trust, in the frame itself."""
    under = np.zeros_like(fill.pixels)
    if left is not None and said is not None:
        left.within(fill.box).of(under)[...] = said
    trust = fill.trust[..., None]
    mixed = fill.pixels * trust + under * (1 - trust)
    fetched = fill.trust > 0
    fill.box.of(frame)[fetched] = _of_type(mixed[fetched], frame.dtype)


def _of_type(pixels: NDArray[np.float32], dtype: np.dtype[np.generic]) -> Pixels:
    """Pixels in [0, 1] as a clip has them: rounded to 8 bits, or as they are."""
    if dtype == np.uint8:
        return (pixels * 255).clip(0, 255).round().astype(np.uint8)
    return pixels.clip(0, 1).astype(dtype)
