"""Windows that overlap share a frame: their mean (Eq. 1), or the released running one."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sttn.settings.schedule import WindowConfig

STEPS = 255.0
"""Steps of 8 bits; opinions are kept in steps, where the released halves are exact."""


class Overlap:
    """What windows said so far about frames that are not final."""

    def __init__(self, config: WindowConfig) -> None:
        self._config = config
        self._opinions: dict[int, tuple[Tensor, float]] = {}  # weighted mean in steps, and weight
        self._settled: dict[int, _Fetched] = {}

    def add(self, index: int, share: float, completed: Tensor) -> None:
        """Take in what a window said about a frame: (h, w, 3) in [-1, 1]."""
        steps = ((completed.float() + 1) / 2 * STEPS).clamp(0, STEPS)
        if self._config.truncate:
            steps = steps.floor()
        if index not in self._opinions:
            self._opinions[index] = (steps, share)
        elif self._config.overlap == "running":
            self._opinions[index] = ((self._opinions[index][0] + steps) / 2, share)
        else:
            mean, weight = self._opinions[index]
            total = weight + share
            self._opinions[index] = (torch.lerp(mean, steps, share / total), total)

    def settle(self, index: int) -> None:
        """Begin to fetch what was said about a frame; nothing is there, where nobody was asked."""
        if index in self._opinions:
            self._settled[index] = _Fetched(self._final(index))

    def take(self, index: int) -> NDArray[np.float32]:
        """The final pixels (h, w, 3) in [0, 1], and forget them."""
        fetched = self._settled.pop(index, None) or _Fetched(self._final(index))
        return fetched.pixels()

    def _final(self, index: int) -> Tensor:
        steps = self._opinions.pop(index)[0]
        if self._config.truncate:
            steps = steps.floor()
        return steps / STEPS


class _Fetched:
    """A tensor on its way from a GPU, or there already."""

    def __init__(self, tensor: Tensor) -> None:
        on_gpu = tensor.device.type == "cuda"
        self._tensor = tensor.to("cpu", non_blocking=on_gpu)
        self._there = torch.cuda.current_stream(tensor.device).record_event() if on_gpu else None

    def pixels(self) -> NDArray[np.float32]:
        """What it holds; waits until it is there."""
        if self._there is not None:
            self._there.synchronize()
        return np.asarray(self._tensor.numpy(), np.float32)
