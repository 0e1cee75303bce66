"""Training of the network that decides which fetched pixels to believe."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sttn.device import choose_precision
from sttn.errors import TrainingError
from sttn.model.checkpoint import all_finite
from sttn.propagation import Fusion
from sttn.propagation.fusion import NEVER, FusionConfig
from sttn.settings.computing import Precision
from sttn.training.examples import Example, read_examples
from sttn.training.recipes import require_learning

CPU = torch.device("cpu")
"""Where the network is trained: it is small."""

TOLD = 12
"""Numbers of a candidate that say what was found; the last one, its kind, always stands."""

SWAPPED = (2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9)
"""Candidates, when time runs backwards."""

DROPPED_SHARE = 0.3
"""Share of examples in which some candidates find nothing."""

RISING = 0.05
"""Share of all steps in which the learning rate rises; it does so in one at least."""

LEAST_ERROR = 1e-4
"""Squared error below which differences no longer count, in the first loss."""

LOGARITHM_WEIGHT = 0.02
"""Of the logarithm of the squared error, which is what PSNR measures."""


@dataclass(frozen=True, kw_only=True)
class FusingConfig:
    """How the fusion network is trained."""

    width: int = 16
    """Channels of the network, a multiple of 16."""
    steps: int = 1600
    """Optimizer steps."""
    batch: int = 5
    """Examples per step."""
    crop: int = 96
    """Pixels of an example's sides."""
    learning_rate: float = 2e-3
    """AdamW's at its highest; it falls by a cosine."""
    precision: Precision = "auto"
    """What the network computes in; auto takes bfloat16 where that is faster. Weights and losses
    are float32."""
    seed: int = 0
    """The same seed sees the same examples in the same order."""

    def __post_init__(self) -> None:
        FusionConfig(width=self.width)
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.crop < 16 or self.crop % 2:
            raise ValueError(f"crop must be even and at least 16, got {self.crop}")
        require_learning(self.learning_rate, self.seed)


class _Batch(NamedTuple):
    """As :class:`Example`, a batch of one size, float32."""

    offered: Tensor
    shared: Tensor
    scores: Tensor
    pixels: Tensor
    truth: Tensor
    hole: Tensor


def train_fusion(
    files: Sequence[Path], config: FusingConfig, told: Callable[[int, float, float], object]
) -> tuple[Fusion, float, float]:
    """Train on gathered examples.

    Args:
        files: What ``gather`` wrote.
        config: The run.
        told: Gets the step, and PSNR in dB by the network and untrained.

    Returns:
        The network; the mean PSNR inside holes over the last tenth of all steps by the network,
        and by an untrained one on the same examples.

    Raises:
        TrainingError: the files hold no example, or weights are no longer finite.
    """
    examples = [example for path in files for example in read_examples(path)]
    if not examples:
        raise TrainingError("no clip had a hole worth learning from; gather more of them")
    rounded = choose_precision(config.precision, CPU) is torch.bfloat16
    torch.manual_seed(config.seed)
    rng, lots = np.random.default_rng(config.seed), random.Random(config.seed)
    fusion = Fusion(FusionConfig(width=config.width))
    untrained = Fusion(fusion.config)  # the mean by evidence and agreement
    optimizer = torch.optim.AdamW(fusion.parameters(), betas=(0.9, 0.98), weight_decay=1e-4)
    count = config.steps + 1
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, config.learning_rate, total_steps=count, pct_start=max(RISING, 2 / count)
    )
    figures: list[tuple[float, float]] = []
    for step in range(config.steps):
        batch = _drawn(lots.choices(examples, k=config.batch), config.crop, rng)
        close, squared = _errors(fusion, batch, rounded)
        loss = (close + LOGARITHM_WEIGHT * torch.log(squared + 1e-5)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(fusion.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if not all_finite(fusion.parameters()):
            raise TrainingError(
                f"weights after step {step + 1} are not finite; lower learning_rate"
            )
        with torch.no_grad():
            before = _errors(untrained, batch, rounded)[1]
        figures.append((_decibel(squared.detach()), _decibel(before)))
        told(step + 1, *figures[-1])
    last = np.mean(figures[-max(1, config.steps // 10) :], axis=0)
    return fusion.eval(), float(last[0]), float(last[1])


def _errors(fusion: Fusion, batch: _Batch, rounded: bool) -> tuple[Tensor, Tensor]:
    """Charbonnier's and the squared error of every example, means over its hole, (B,)."""
    with torch.autocast(CPU.type, torch.bfloat16, enabled=rounded):
        weights = fusion(batch.offered, batch.shared, batch.scores)
    merged = (weights[:, :, None] * batch.pixels).sum(1)
    squared = (merged - batch.truth).square()
    hole = batch.hole[:, None]
    count = hole.sum((1, 2, 3)).clamp(min=1)
    close = (squared + LEAST_ERROR).sqrt().mean(1, keepdim=True)
    squared = squared.mean(1, keepdim=True)
    return (close * hole).sum((1, 2, 3)) / count, (squared * hole).sum((1, 2, 3)) / count


def _drawn(examples: Sequence[Example], side: int, rng: np.random.Generator) -> _Batch:
    """Square parts of examples, some mirrored, some backwards in time, some with less to see."""
    drawn = [_varied(_square(example, side, rng), rng) for example in examples]
    arrays = (np.stack(part) for part in zip(*drawn, strict=True))
    return _Batch(*(torch.from_numpy(np.asarray(array, np.float32)) for array in arrays))


def _square(example: Example, side: int, rng: np.random.Generator) -> Example:
    """A part around some pixel of the hole; what a small example lacks is empty."""
    height, width = (min(side, length) for length in example.hole.shape)
    rows, columns = np.nonzero(example.hole)
    chosen = rng.integers(len(rows))
    top = np.clip(rows[chosen] - rng.integers(height), 0, example.hole.shape[0] - height)
    left = np.clip(columns[chosen] - rng.integers(width), 0, example.hole.shape[1] - width)
    part = example.cut(int(top), int(left), height, width)
    pad = ((0, side - height), (0, side - width))
    return Example(*(np.pad(a, (*[(0, 0)] * (a.ndim - 2), *pad)) for a in part))


def _varied(example: Example, rng: np.random.Generator) -> Example:
    offered, shared, scores, pixels, truth, hole = example
    if rng.random() < 0.5:
        order = list(SWAPPED)
        whole = [0, *(n + 1 for n in order)]
        offered, scores, pixels = offered[order], scores[whole], pixels[whole]
    if rng.random() < DROPPED_SHARE:
        offered, scores = offered.copy(), scores.copy()
        lost = rng.choice(len(offered), rng.integers(1, 5), replace=False)
        offered[lost, :TOLD] = 0
        scores[lost + 1] = NEVER
    varied = Example(offered, shared, scores, pixels, truth, hole)
    return Example(*(a[..., ::-1] for a in varied)) if rng.random() < 0.5 else varied


def _decibel(squared: Tensor) -> float:
    return float(-10 * torch.log10(squared + 1e-6).mean())
