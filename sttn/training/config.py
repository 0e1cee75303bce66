"""One training run, as a TOML file or flags describe it."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sttn.model import ModelConfig
from sttn.training.recipes import SampleConfig, require_learning


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One training run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    sample: SampleConfig = field(default_factory=SampleConfig)
    """The clips it sees."""
    steps: int = 3000
    """Optimizer steps in all, those before a resume included."""
    batch: int = 4
    """Clips per step, all processes and rounds of accumulation together."""
    accumulate: int = 1
    """Rounds in which a step's clips are computed, where memory holds no whole batch."""
    schedule: Literal["warm", "paper", "released"] = "warm"
    """warm rises, stays and falls; paper falls to a tenth every 150,000 steps; released falls to a
    tenth once, at 300,000."""
    warmup_steps: int = 100
    """Steps at the start over which a warm schedule rises."""
    decay_steps: int = 1000
    """Steps at the end over which a warm schedule falls to a twentieth."""
    learning_rate: float = 1e-3
    """Adam's, at its highest."""
    beta1: float = 0.9
    """Adam's; the released code has 0."""
    beta2: float = 0.99
    """Adam's."""
    hole_weight: float = 1.0
    """Of Eq. (6) in Eq. (10)."""
    valid_weight: float = 1.0
    """Of Eq. (7) in Eq. (10)."""
    adversarial_weight: float = 0.01
    """Of Eq. (9) in Eq. (10); 0 trains without a discriminator."""
    perceptual_weight: float = 0.0
    """Of the perceptual loss that Table 8 compares with; wants vgg."""
    style_weight: float = 0.0
    """Of the style loss that Table 8 compares with; wants vgg."""
    vgg: Path | None = None
    """State dict of torchvision's VGG-16, .pth or .safetensors."""
    clips_end_to_end: bool = False
    """Show the discriminator a batch as one long clip, as the released code does."""
    average: float = 0.999
    """The weights handed over are a running mean, of which this much stays at every step; 0 hands
    over the last ones."""
    gradient_norm: float = 1.0
    """Gradients longer than this are shortened to it; 0 leaves them as they are."""
    bfloat16: bool = False
    """Run the networks in bfloat16; pays on GPUs and on CPUs with AMX or AVX512_BF16."""
    checkpoint_minutes: float = 5.0
    """Minutes between two saves."""
    checkpoints_kept: int = 2
    """Newest checkpoints that stay on disk."""
    validate_every: int = 500
    """Steps between two looks at the validation clips; 0 never looks."""
    rejected_limit: int = 20
    """Steps without a finite gradient after which the run stops."""
    reuse: int = 1
    """How often each clip is seen on average, with another hole each time; above 1 pays where steps
    wait for clips to be rendered, as on a GPU (the log's waiting_share), and keeps 128 of them on
    the device: 0.8 GB for 5 frames of 432x240. Processes that share a run keep clips each for
    itself, so that with as many of them it pays less."""
    workers: int = 1
    """Processes that draw recipes beside the training process."""
    seed: int = 0
    """The same seed sees the same clips in the same order."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "reuse", "workers", "checkpoints_kept"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("decay_steps", "warmup_steps"):
            if not 0 <= getattr(self, name) <= self.steps:
                raise ValueError(
                    f"{name} must lie between 0 and steps ({self.steps}), got {getattr(self, name)}"
                )
        require_learning(self.learning_rate, self.seed)
        for name in ("beta1", "beta2", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        for name in (
            "hole_weight",
            "valid_weight",
            "adversarial_weight",
            "perceptual_weight",
            "style_weight",
            "gradient_norm",
        ):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}")
        if (self.perceptual_weight or self.style_weight) and self.vgg is None:
            raise ValueError("perceptual_weight and style_weight want vgg, the path of a VGG-16")
        if self.batch % self.accumulate:
            raise ValueError(
                f"batch must be a multiple of accumulate ({self.accumulate}), got {self.batch}"
            )
