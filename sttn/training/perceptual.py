"""Table 8's rival of the adversarial loss: perceptual and style loss on features of a VGG-16.

The VGG's weights cannot be shipped; they are given by path, as torchvision names them.
"""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from sttn.errors import CheckpointError

WIDTHS = ((64, 64), (128, 128), (256, 256, 256))
"""Convolutions of the first three stages; each stage ends in a pooling whose output is compared."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's RGB in [0, 1], as the VGG was trained on."""


class VggFeatures(nn.Module):
    """A VGG-16 up to its third pooling."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage in WIDTHS:
            for width in stage:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        wanted = self.state_dict()
        tensors = _read(path)
        missing = [n for n, t in wanted.items() if n not in tensors or tensors[n].shape != t.shape]
        if missing:
            raise CheckpointError(f"{path} is no VGG-16: missing or misshapen {', '.join(missing)}")
        self.load_state_dict({name: tensors[name] for name in wanted})
        self.requires_grad_(False)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Frames (N, 3, H, W) in [-1, 1] to what each of the three poolings gives."""
        mean, deviation = (
            torch.tensor(v, device=frames.device)[:, None, None] for v in (MEAN, DEVIATION)
        )
        x = ((frames + 1) / 2 - mean) / deviation
        pooled = []
        for layer in self.features:
            x = layer(x)
            if isinstance(layer, nn.MaxPool2d):
                pooled.append(x)
        return pooled


def perceptual_loss(completed: list[Tensor], truth: list[Tensor]) -> Tensor:
    """Mean absolute error of features, summed over the poolings."""
    return torch.stack(
        [functional.l1_loss(c, t) for c, t in zip(completed, truth, strict=True)]
    ).sum()


def style_loss(completed: list[Tensor], truth: list[Tensor]) -> Tensor:
    """Mean absolute error of the features' Gram matrices, summed over the poolings."""
    pairs = zip(completed, truth, strict=True)
    return torch.stack([functional.l1_loss(gram(c), gram(t)) for c, t in pairs]).sum()


def gram(features: Tensor) -> Tensor:
    """Products of all pairs of channels, (N, C, C), over the number of their elements.

    >>> gram(torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]]))
    tensor([[[1.2500, 2.7500],
             [2.7500, 6.2500]]])
    """
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat[0].numel()


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, SafetensorError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"cannot read the VGG at {path}: {error}") from error
    if not isinstance(tensors, dict):
        raise CheckpointError(f"{path} is no state dict")
    return tensors
