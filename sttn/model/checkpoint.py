"""Weights on disk: safetensors with the network's size in its header, half or full precision."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from sttn.errors import CheckpointError
from sttn.model.generator import Generator, ModelConfig
from sttn.model.published import PUBLISHED_SUFFIXES, read_published

DEFAULT_WEIGHTS = Path(__file__).parent.parent / "weights" / "sttn_small.safetensors"
"""The weights this package ships; their model card lies beside them."""


def save_generator(
    generator: Generator, path: Path, dtype: torch.dtype, facts: dict[str, str] | None = None
) -> None:
    """Write a generator so that a reader never sees half a file.

    Args:
        generator: The network.
        path: Target; replaced in one step.
        dtype: Precision on disk, ``torch.float16`` to ship, ``torch.float32`` to go on training.
        facts: Free text kept in the header (steps, corpus, version).
    """
    tensors = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in generator.state_dict().items()
    }
    header = {**(facts or {}), "model": json.dumps(asdict(generator.config))}
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(save(tensors, header))
    temporary.replace(path)


def load_generator(path: Path = DEFAULT_WEIGHTS) -> Generator:
    """Read a generator in float32 and evaluation mode.

    Args:
        path: Written by :func:`save_generator`, or a published checkpoint, .pth.

    Raises:
        CheckpointError: no such file, not a checkpoint, or tensors that do not fit.
    """
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}; give a .safetensors or a published .pth file")
    published = path.suffix in PUBLISHED_SUFFIXES
    config, tensors = read_published(path) if published else _read(path)
    generator = Generator(config)
    _require_fit(path, generator, tensors)
    generator.load_state_dict(tensors)
    return generator.eval()


def _read(path: Path) -> tuple[ModelConfig, dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    return _config(path, header), tensors


def _config(path: Path, header: dict[str, str]) -> ModelConfig:
    if "model" not in header:
        raise CheckpointError(f"{path} does not say how large its network is (no 'model' header)")
    try:
        fields = json.loads(header["model"])
        fields["patch_divisors"] = tuple(fields["patch_divisors"])
        return ModelConfig(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: the 'model' header cannot be used: {error}") from error


def _require_fit(path: Path, generator: Generator, tensors: dict[str, torch.Tensor]) -> None:
    wanted = {name: tuple(value.shape) for name, value in generator.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    misfits = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unexpected": sorted(found.keys() - wanted.keys()),
        "misshapen": sorted(
            f"{name} {found[name]} instead of {wanted[name]}"
            for name in wanted.keys() & found.keys()
            if wanted[name] != found[name]
        ),
    }
    told = [f"{kind}: {', '.join(names)}" for kind, names in misfits.items() if names]
    if told:
        raise CheckpointError(f"{path} does not fit the network; {'; '.join(told)}")
