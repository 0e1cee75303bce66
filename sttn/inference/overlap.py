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

    def take(self, index: int) -> NDArray[np.float32]:
        """The final pixels (h, w, 3) in [0, 1], and forget them."""
        steps = self._opinions.pop(index)[0]
        if self._config.truncate:
            steps = steps.floor()
        return np.asarray((steps / STEPS).cpu().numpy(), np.float32)
