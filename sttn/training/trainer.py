"""The training loop: holes cut into known clips, filled, and compared with the truth."""

import json
import logging
import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from sttn.errors import CheckpointError
from sttn.model import Generator, ModelConfig, save_generator
from sttn.training.corpus import Corpus
from sttn.training.losses import hole_loss, valid_loss
from sttn.training.samples import SampleConfig, Samples

logger = logging.getLogger(__name__)

RESIDUAL_SCALE = 0.3
"""He initialization is scaled by this where a residual branch ends, so that depth starts calm."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """One training run. The learning rate warms up, stays, and falls to a twentieth at the end."""

    model: ModelConfig = field(default_factory=ModelConfig)
    """The network."""
    sample: SampleConfig = field(default_factory=SampleConfig)
    """The clips it sees."""
    steps: int = 3000
    """Optimizer steps in all, those before a resume included."""
    decay_steps: int = 1000
    """Steps at the end over which the learning rate falls."""
    warmup_steps: int = 100
    """Steps at the start over which the learning rate rises."""
    batch: int = 4
    """Clips per step."""
    learning_rate: float = 1e-3
    """Adam's, between warm-up and decay."""
    gradient_norm: float = 1.0
    """Gradients longer than this are shortened to it."""
    bfloat16: bool = False
    """Run the network in bfloat16; pays on GPUs and on CPUs with AMX, slower elsewhere."""
    checkpoint_minutes: float = 5.0
    """Minutes between two saves."""
    workers: int = 1
    """Processes that make clips beside the training process."""
    seed: int = 0
    """The same seed sees the same clips in the same order."""

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "workers"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("decay_steps", "warmup_steps"):
            if not 0 <= getattr(self, name) <= self.steps:
                raise ValueError(
                    f"{name} must lie between 0 and steps ({self.steps}), got {getattr(self, name)}"
                )
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {self.learning_rate}")


def learning_rate(config: TrainingConfig, step: int) -> float:
    """Adam's learning rate at a step counted from 0."""
    rise = min(1.0, (step + 1) / max(1, config.warmup_steps))
    left = min(1.0, (config.steps - step) / max(1, config.decay_steps))
    fall = 0.05 + 0.95 * (0.5 - 0.5 * math.cos(math.pi * left))
    return config.learning_rate * rise * fall


def initialize(generator: Generator) -> None:
    """He initialization, calmer where a residual branch ends, zero biases."""
    for name, module in generator.named_modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=0.2, nonlinearity="leaky_relu")
            assert module.bias is not None
            nn.init.zeros_(module.bias)
            if name.endswith(("output_linear.0", "feed_forward.conv.2", "decoder.6")):
                with torch.no_grad():
                    module.weight.mul_(RESIDUAL_SCALE)


def train(config: TrainingConfig, corpus: Corpus, output: Path, device: torch.device) -> Path:
    """Train, saving to a folder, and go on from what the folder already holds.

    Args:
        config: The run.
        corpus: Material with known pixels.
        output: Gets ``config.json``, ``log.jsonl``, ``resume.pt`` and ``generator.safetensors``.
        device: Where the network runs.

    Returns:
        The weights, half precision.

    Raises:
        CheckpointError: the folder holds a run of a network of another size.
    """
    # Workers are forked, and a forked OpenCV waits forever for threads it does not have.
    cv2.setNumThreads(0)
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    generator = Generator(config.model)
    initialize(generator)
    generator.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam(generator.parameters(), lr=config.learning_rate, betas=(0.9, 0.99))
    first = _resume(output / "resume.pt", generator, optimizer, device)
    (output / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n")
    weights = output / "generator.safetensors"

    def save(step: int) -> None:
        _save_resume(output / "resume.pt", step, generator, optimizer)
        save_generator(generator, weights, torch.float16, {"steps": str(step)})

    step, saved = first, time.monotonic()
    with (
        _stop_signal() as stop,
        (output / "log.jsonl").open("a", buffering=1) as log,
        tqdm(total=config.steps, initial=first, unit="step", desc="training", disable=None) as bar,
    ):
        for frames, mask in _batches(corpus, config, first):
            losses = _step(generator, optimizer, config, step, frames.to(device), mask.to(device))
            step += 1
            bar.update()
            bar.set_postfix(hole=f"{losses['hole']:.4f}", valid=f"{losses['valid']:.4f}")
            log.write(json.dumps({"step": step, **losses}) + "\n")
            if time.monotonic() - saved > 60 * config.checkpoint_minutes:
                save(step)
                saved = time.monotonic()
            if stop:
                logger.warning("stopped after step %d; run the same command to go on", step)
                break
    save(step)
    return weights


def _step(
    generator: Generator,
    optimizer: torch.optim.Optimizer,
    config: TrainingConfig,
    step: int,
    frames: Tensor,
    mask: Tensor,
) -> dict[str, float]:
    for group in optimizer.param_groups:
        group["lr"] = learning_rate(config, step)
    with torch.autocast(frames.device.type, torch.bfloat16, enabled=config.bfloat16):
        completed = generator(frames * (1 - mask), mask).float()
    hole, valid = hole_loss(completed, frames, mask), valid_loss(completed, frames, mask)
    optimizer.zero_grad(set_to_none=True)
    (hole + valid).backward()
    norm = nn.utils.clip_grad_norm_(generator.parameters(), config.gradient_norm)
    if torch.isfinite(norm):
        optimizer.step()
    else:
        logger.warning("step %d left out: its gradient is %s", step, norm.item())
    return {"hole": hole.item(), "valid": valid.item()}


def _batches(corpus: Corpus, config: TrainingConfig, first: int) -> Iterator[tuple[Tensor, Tensor]]:
    samples = Samples(corpus, config.sample, seed=config.seed, count=config.steps * config.batch)
    rest = Subset(samples, range(first * config.batch, len(samples)))
    loader = DataLoader(
        rest, batch_size=config.batch, num_workers=config.workers, worker_init_fn=_calm_worker
    )
    yield from loader


def _calm_worker(_: int) -> None:
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _stop_signal() -> Iterator[list[int]]:
    """Collect SIGTERM and SIGINT, so that the step under way is finished and saved."""
    received: list[int] = []
    kept = {
        number: signal.signal(number, lambda got, _: received.append(got))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield received
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def _save_resume(
    path: Path, step: int, generator: Generator, optimizer: torch.optim.Optimizer
) -> None:
    state: dict[str, Any] = {
        "step": step,
        "generator": generator.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    temporary = path.with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(path)


def _resume(
    path: Path, generator: Generator, optimizer: torch.optim.Optimizer, device: torch.device
) -> int:
    if not path.exists():
        return 0
    state = torch.load(path, map_location=device, weights_only=True)
    try:
        generator.load_state_dict(state["generator"])
    except RuntimeError as error:
        raise CheckpointError(
            f"{path} belongs to a network of another size; give another --output"
        ) from error
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])
