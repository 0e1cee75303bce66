"""Table 8's rival of the adversarial loss: perceptual and style loss on features of a VGG-16.

The VGG's weights cannot be shipped; they are given by path, as torchvision names them.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sttn.errors import CheckpointError
from sttn.model.published import read_state_dict

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Convolutions of the five stages, each of which ends in a pooling."""

COMPARED = 3
"""Stages whose pooling's output the losses compare."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's RGB in [0, 1], as the VGG was trained on."""


class VggFeatures(nn.Module):
    """The first stages of a VGG-16."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, path: Path, stages: int = COMPARED) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for stage in WIDTHS[:stages]:
            for width in stage:
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        # Numbers that came from the CPU at every call could not be recorded on a GPU.
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        wanted = self.state_dict()
        tensors = read_state_dict(path)
        missing = [n for n, t in wanted.items() if n not in tensors or tensors[n].shape != t.shape]
        if missing:
            raise CheckpointError(f"{path} is no VGG-16: missing or misshapen {', '.join(missing)}")
        self.load_state_dict({name: tensors[name] for name in wanted})
        self.requires_grad_(False)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Frames (N, 3, H, W) in [-1, 1] to what each stage's pooling gives."""
        return [functional.max_pool2d(seen, 2) for seen in self.activations(frames)]

    def activations(self, frames: Tensor) -> list[Tensor]:
        """Frames (N, 3, H, W) in [-1, 1] to what each stage shows before its pooling."""
        x = ((frames + 1) / 2 - self.mean) / self.deviation
        shown = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                shown.append(x)
            x = layer(x)
        return shown


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
