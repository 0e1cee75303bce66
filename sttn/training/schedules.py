"""Adam's learning rate at every step."""

import math

from sttn.training.config import TrainingConfig


def learning_rate(config: TrainingConfig, step: int) -> float:
    """The learning rate at a step counted from 0.

    ``paper`` is Section D of the paper, ``released`` what the released code does instead.
    """
    if config.schedule == "paper":
        return config.learning_rate * 0.1 ** (step // 150_000)
    if config.schedule == "released":
        return config.learning_rate * (0.1 if step >= 300_000 else 1.0)
    rise = min(1.0, (step + 1) / max(1, config.warmup_steps))
    left = min(1.0, (config.steps - step) / max(1, config.decay_steps))
    fall = 0.05 + 0.95 * (0.5 - 0.5 * math.cos(math.pi * left))
    return config.learning_rate * rise * fall
