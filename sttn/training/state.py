"""Everything that a run has to keep to go on as if it had never stopped."""

import re
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from sttn.errors import CheckpointError
from sttn.model import Discriminator, Generator, ModelConfig, save_generator, written
from sttn.training.config import TrainingConfig

RESIDUAL_SCALE = 0.3
"""He initialization is scaled by this where a residual branch ends, so that depth starts calm."""


class TrainingState:
    """Networks, optimizers, the running mean of the weights, and how far the run is."""

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.generator = _generator(config)
        initialize(self.generator)
        self.generator.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.discriminator = Discriminator().to(device) if config.adversarial_weight else None
        self.optimizers = [
            _optimizer(network, config, device)
            for network in (self.generator, self.discriminator)
            if network is not None
        ]
        self.mean = _copied(self.generator)
        self.step = 0
        self.rejected = 0

    def average(self) -> None:
        """Let the running mean follow the weights; closely at first."""
        stays = min(self.config.average, (1 + self.step) / (10 + self.step))
        now = self.generator.state_dict()
        get_ema_multi_avg_fn(stays)(list(self.mean.values()), [now[name] for name in self.mean], 0)

    def averaged(self) -> Generator:
        """A generator with the weights that are handed over."""
        generator = _generator(self.config).to(next(self.generator.parameters()).device)
        generator.load_state_dict(self.mean)
        return generator.eval()

    def save(self, folder: Path) -> Path:
        """Write a checkpoint and the weights, each in one step, and drop what is too old.

        Returns:
            The weights, half precision.

        Raises:
            SavingError: they cannot be written; what was saved before stays.
        """
        path = folder / f"checkpoint-{self.step:08d}.pt"
        with written(path) as temporary, temporary.open("wb") as file:
            torch.save(self._content(), file)
        for old in checkpoints(folder)[: -self.config.checkpoints_kept]:
            old.unlink()
        weights = folder / "generator.safetensors"
        save_generator(self.averaged(), weights, torch.float16, {"steps": str(self.step)})
        return weights

    def resume(self, folder: Path, device: torch.device) -> None:
        """Go on from the newest checkpoint of a folder, if it holds one.

        The network has to be the same; whatever else the run's settings say now counts from here.
        Checkpoints that a run was killed at are removed.

        Raises:
            CheckpointError: it belongs to another network, or cannot be read.
        """
        for unfinished in folder.glob("checkpoint-*.part"):
            unfinished.unlink(missing_ok=True)
        found = checkpoints(folder)
        if not found:
            return
        content = _read(found[-1], device)
        begun = ModelConfig(**content["model"])
        if begun != self.config.model:
            raise CheckpointError(
                f"{found[-1]} belongs to {begun}, the run is {self.config.model}; "
                "give another --output"
            )
        self.generator.load_state_dict(content["generator"])
        self.mean = content["mean"]
        self.step, self.rejected = content["step"], content["rejected"]
        if self.discriminator is not None and content["discriminator"] is not None:
            self.discriminator.load_state_dict(content["discriminator"])
        for optimizer, kept in zip(self.optimizers, content["optimizers"], strict=False):
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": kept["state"], "param_groups": groups})

    def start_from(self, generator: Generator) -> None:
        """Begin with trained weights.

        Raises:
            CheckpointError: they are of another size.
        """
        if generator.config != self.config.model:
            raise CheckpointError(
                f"the weights to start from are {generator.config}, the run is {self.config.model}"
            )
        self.generator.load_state_dict(generator.state_dict())
        self.mean = _copied(self.generator)

    def _content(self) -> dict[str, object]:
        discriminator = self.discriminator
        return {
            "model": asdict(self.config.model),
            "step": self.step,
            "rejected": self.rejected,
            "generator": self.generator.state_dict(),
            "mean": self.mean,
            "discriminator": None if discriminator is None else discriminator.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }


def _optimizer(
    network: nn.Module, config: TrainingConfig, device: torch.device
) -> torch.optim.Optimizer:
    """Adam; on a GPU one whose steps can be recorded, with a rate that lies there."""
    on_gpu = device.type == "cuda"
    rate = torch.tensor(config.learning_rate, device=device) if on_gpu else config.learning_rate
    betas = (config.beta1, config.beta2)
    return torch.optim.Adam(
        network.parameters(), lr=rate, betas=betas, fused=True, capturable=on_gpu
    )


def set_rate(group: dict[str, Any], rate: float) -> None:
    """Set the learning rate of an optimizer's group, where it lies."""
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def _generator(config: TrainingConfig) -> Generator:
    return Generator(config.model, config.sample.width * config.sample.height)


def _read(path: Path, device: torch.device) -> dict[str, Any]:
    """What :meth:`TrainingState.save` wrote.

    Raises:
        CheckpointError: it is damaged or something else.
    """
    content = None
    with suppress(Exception):  # of what is no checkpoint, torch's readers raise anything
        content = torch.load(path, map_location=device, weights_only=True)
    if not (isinstance(content, dict) and "model" in content):
        raise CheckpointError(
            f"{path} is damaged, or of an earlier version; give another --output, or remove it to "
            "go on from the one before"
        )
    return content


def _copied(generator: Generator) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in generator.state_dict().items()}


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first."""
    named = re.compile(r"checkpoint-\d+\.pt")
    return sorted(path for path in folder.glob("*.pt") if named.fullmatch(path.name))


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
