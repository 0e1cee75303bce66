"""Checkpoints of others: the paper's authors' .pth, and state dicts of well-known networks."""

from pathlib import Path
from typing import TypeGuard

import torch
from safetensors.torch import load_file
from torch import Tensor

from sttn.errors import CheckpointError
from sttn.model.generator import ModelConfig

PUBLISHED_SUFFIXES = frozenset({".pth", ".pt"})

PARALLEL = "module."
"""What ``nn.DataParallel`` sets before the names of a network's tensors."""


def read_published(path: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Read a published generator, without running any code that the file may hold.

    It lies under ``netG``, or alone in its file; ``module.``, which DataParallel sets before every
    name, is left out.

    The size of the network follows from its tensors. Its attention is unmasked: the released code
    drops the result of Eq. (4), and its checkpoints were trained so.

    Returns:
        The network's size, and its tensors by name.

    Raises:
        CheckpointError: not such a file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of what is no checkpoint, torch's readers raise anything
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is not a checkpoint of tensors only: {reason}") from error
    tensors = content.get("netG", content) if isinstance(content, dict) else None
    if not _is_state_dict(tensors):
        raise CheckpointError(f"{path} holds no generator; published files keep it under 'netG'")
    if all(name.startswith(PARALLEL) for name in tensors):
        tensors = {name.removeprefix(PARALLEL): tensor for name, tensor in tensors.items()}
    return _size(tensors), tensors


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict, .pth or .safetensors, without running any code that the file may hold.

    Raises:
        CheckpointError: no such file, or not a state dict.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # as above
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"cannot read the weights at {path}: {reason}") from error
    if not _is_state_dict(content):
        raise CheckpointError(f"{path} is no state dict")
    return content


def _is_state_dict(content: object) -> TypeGuard[dict[str, Tensor]]:
    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items()
    )


def _size(tensors: dict[str, Tensor]) -> ModelConfig:
    # What is missing or misshapen is told by name later, against this size.
    blocks = 0
    while any(name.startswith(f"transformer.{blocks}.") for name in tensors):
        blocks += 1
    last = tensors.get("encoder.6.bias")
    try:
        channels = ModelConfig().channels if last is None else last.shape[0]
        return ModelConfig(channels=channels, blocks=blocks, mask_attention=False)
    except (ValueError, IndexError):
        return ModelConfig(mask_attention=False)
