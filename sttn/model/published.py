"""Checkpoints of others: the paper's authors' .pth, and state dicts of well-known networks."""

import re
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from sttn.errors import CheckpointError
from sttn.model.generator import ModelConfig

PUBLISHED_SUFFIXES = frozenset({".pth", ".pt"})


def read_published(path: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Read a published generator, without running any code that the file may hold.

    The size of the network follows from its tensors. Its attention is unmasked: the released code
    drops the result of Eq. (4), and its checkpoints were trained so.

    Returns:
        The network's size, and its tensors in float32 by name.

    Raises:
        CheckpointError: not such a file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of what is no checkpoint, torch's readers raise anything
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is not a checkpoint of tensors only: {reason}") from error
    tensors = content.get("netG") if isinstance(content, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise CheckpointError(f"{path} holds no generator; published files keep it under 'netG'")
    return _size(tensors), {name: tensor.float() for name, tensor in tensors.items()}


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
    if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
        raise CheckpointError(f"{path} is no state dict")
    return content


def _size(tensors: dict[str, Tensor]) -> ModelConfig:
    # What is missing or misshapen is told by name later, against this size.
    numbers = [re.match(r"transformer\.(\d+)\.", name) for name in tensors]
    blocks = 1 + max((int(found[1]) for found in numbers if found), default=7)
    last = tensors.get("encoder.6.bias")
    try:
        channels = ModelConfig().channels if last is None else last.shape[0]
        return ModelConfig(channels=channels, blocks=blocks, mask_attention=False)
    except (ValueError, IndexError):
        return ModelConfig(mask_attention=False)
