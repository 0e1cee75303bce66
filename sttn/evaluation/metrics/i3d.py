"""The I3D network (Carreira and Zisserman, CVPR 2017) that VFID looks at clips with.

Layers are named as in the PyTorch conversion of the published RGB weights (``rgb_imagenet.pt``),
which cannot be shipped and are given by path.
"""

from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from sttn.errors import CheckpointError
from sttn.model.published import read_state_dict

INCEPTIONS = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "MaxPool3d_4a_3x3": (3, 2),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "MaxPool3d_5a_2x2": (2, 2),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
"""Channels of the branches of an inception, or size and stride of a pooling."""


def i3d_layers() -> nn.Sequential:
    """The network up to its last inception, untrained."""
    layers: dict[str, nn.Module] = {
        "Conv3d_1a_7x7": _Convolution(3, 64, 7, (2, 2, 2)),
        "MaxPool3d_2a_3x3": _Pooling((1, 3, 3), (1, 2, 2)),
        "Conv3d_2b_1x1": _Convolution(64, 64, 1),
        "Conv3d_2c_3x3": _Convolution(64, 192, 3),
        "MaxPool3d_3a_3x3": _Pooling((1, 3, 3), (1, 2, 2)),
    }
    channels = 192
    for name, sizes in INCEPTIONS.items():
        if len(sizes) == 2:
            layers[name] = _Pooling((sizes[0],) * 3, (sizes[1],) * 3)
        else:
            layers[name] = _Inception(channels, sizes)
            channels = sizes[0] + sizes[2] + sizes[4] + sizes[5]
    return nn.Sequential(OrderedDict(layers))


class I3d:
    """Clips to one vector each.

    Args:
        path: State dict, .pt, .pth or .safetensors.

    Raises:
        CheckpointError: no such file, or it does not fit.
    """

    def __init__(self, path: Path) -> None:
        self._layers = i3d_layers()
        wanted, tensors = self._layers.state_dict(), read_state_dict(path)
        missing = [n for n, t in wanted.items() if n not in tensors or tensors[n].shape != t.shape]
        if missing:
            raise CheckpointError(
                f"{path} is no RGB I3D: {len(missing)} tensors missing or misshapen, "
                f"{missing[0]} first"
            )
        self._layers.load_state_dict({name: tensors[name] for name in wanted})
        self._layers.eval()

    @torch.inference_mode()
    def __call__(self, clips: Tensor) -> Tensor:
        """Clips (N, 3, T, H, W) in [0, 1] to (N, 1024): the last inception's mean over all places.

        T is at least 8, H and W at least 32.
        """
        features: Tensor = self._layers(clips)
        return features.mean((2, 3, 4))


class _Convolution(nn.Module):
    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: tuple[int, int, int] = (1, 1, 1)
    ) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        padded = _padded(x, self.conv3d.kernel_size, self.conv3d.stride)
        activated: Tensor = functional.relu(self.bn(self.conv3d(padded)))
        return activated


class _Pooling(nn.Module):
    def __init__(self, kernel: tuple[int, ...], stride: tuple[int, ...]) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        # Padded with 0, which is below nothing here: all inputs have passed a ReLU.
        padded = _padded(x, self.kernel, self.stride)
        return functional.max_pool3d(padded, self.kernel, self.stride)


class _Inception(nn.Module):
    def __init__(self, inputs: int, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.b0 = _Convolution(inputs, sizes[0], 1)
        self.b1a = _Convolution(inputs, sizes[1], 1)
        self.b1b = _Convolution(sizes[1], sizes[2], 3)
        self.b2a = _Convolution(inputs, sizes[3], 1)
        self.b2b = _Convolution(sizes[3], sizes[4], 3)
        self.b3a = _Pooling((3, 3, 3), (1, 1, 1))
        self.b3b = _Convolution(inputs, sizes[5], 1)

    def forward(self, x: Tensor) -> Tensor:
        branches = (self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(self.b3a(x)))
        return torch.cat(branches, dim=1)


def _padded(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """Padded as TensorFlow's "SAME" does: as much as needed, the odd one behind."""
    sides: list[int] = []
    for size, window, step in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        extra = max(0, window - (size % step or step))
        sides += [extra // 2, extra - extra // 2]
    return functional.pad(x, sides)
