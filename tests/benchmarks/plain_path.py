"""The plain path: the published network and test procedure, written down without any saving.

float32, eager, channels first; every window runs all its frames through all blocks and decodes
its neighbors whole. It is what the engine is timed against and what its pixels are compared with.
It computes with the weights of a ``Generator`` but shares no code with it.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, leaky_relu

from sttn.model import Generator


class PlainNetwork:
    """The layers of Tables 1 and 4 as functions of a state dict."""

    def __init__(self, generator: Generator) -> None:
        self.config = generator.config
        self.weights = {name: tensor.float() for name, tensor in generator.state_dict().items()}

    def conv(self, x: Tensor, name: str, **options: int) -> Tensor:
        return conv2d(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], **options)

    def encode(self, frames: Tensor) -> Tensor:
        """(T, 3, H, W) to (T, C, H/4, W/4)."""
        x = frames
        for number, stride in ((0, 2), (2, 1), (4, 2), (6, 1)):
            x = leaky_relu(self.conv(x, f"encoder.{number}", stride=stride, padding=1), 0.2)
        return x

    def decode(self, features: Tensor) -> Tensor:
        """(T, C, H/4, W/4) to (T, 3, H, W)."""
        x = features
        for name in ("decoder.0.conv", "decoder.2", "decoder.4.conv"):
            if name.endswith("conv"):
                x = interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = leaky_relu(self.conv(x, name, padding=1), 0.2)
        return torch.tanh(self.conv(x, "decoder.6", padding=1))

    def transform(self, x: Tensor, mask: Tensor) -> Tensor:
        """(T, C, h, w) and mask (T, 1, h, w) to (T, C, h, w)."""
        for block in range(self.config.blocks):
            name = f"transformer.{block}"
            x = x + self.attention(x, mask, f"{name}.attention")
            y = leaky_relu(self.conv(x, f"{name}.feed_forward.conv.0", padding=2, dilation=2), 0.2)
            x = x + leaky_relu(self.conv(y, f"{name}.feed_forward.conv.2", padding=1), 0.2)
        return x

    def attention(self, x: Tensor, mask: Tensor, name: str) -> Tensor:
        frames, channels, height, width = x.shape
        heads = self.config.patch_divisors
        query, key, value = (
            self.conv(x, f"{name}.{kind}_embedding").chunk(len(heads), dim=1)
            for kind in ("query", "key", "value")
        )
        found = []
        for d, q, k, v in zip(heads, query, key, value, strict=True):
            size = (height // d, width // d)

            def patches(y: Tensor, d: int = d, size: tuple[int, int] = size) -> Tensor:
                y = y.reshape(frames, -1, d, size[0], d, size[1]).permute(0, 2, 4, 1, 3, 5)
                return y.reshape(frames * d * d, -1)

            scores = patches(q) @ patches(k).T / patches(q).shape[1] ** 0.5
            if self.config.mask_attention:
                hidden = patches(mask).mean(dim=1) > 0.5
                scores = scores.masked_fill(hidden.expand(len(hidden), -1), -1e9)
            y = torch.softmax(scores, dim=1) @ patches(v)
            y = y.reshape(frames, d, d, -1, *size).permute(0, 3, 1, 4, 2, 5)
            found.append(y.reshape(frames, channels // len(heads), height, width))
        joined = torch.cat(found, dim=1)
        return leaky_relu(self.conv(joined, f"{name}.output_linear.0", padding=1), 0.2)


@torch.inference_mode()
def plain_path(
    frames: np.ndarray, masks: np.ndarray, generator: Generator, *, truncate: bool = True
) -> np.ndarray:
    """The released test procedure on one clip.

    Args:
        frames: (T, H, W, 3) uint8.
        masks: (T, H, W) bool.
        generator: Whose weights compute, and where.
        truncate: Cut every window's pixels to 8 bits, as released; False keeps fractions, so
            that arithmetic can be compared beyond what truncation hides.

    Returns:
        (T, H, W, 3) float32 in 8-bit steps.
    """
    network = PlainNetwork(generator)
    device = next(generator.parameters()).device
    hidden = torch.from_numpy(masks[:, None]).float().to(device)
    inside = torch.from_numpy(frames).permute(0, 3, 1, 2).float().to(device) / 255 * 2 - 1
    features = network.encode(inside * (1 - hidden))
    coarse = interpolate(hidden, scale_factor=0.25, mode="nearest")
    result: list[np.ndarray | None] = [None] * len(frames)
    for center in range(0, len(frames), 5):
        neighbors = list(range(max(0, center - 5), min(len(frames), center + 6)))
        references = [i for i in range(0, len(frames), 10) if i not in neighbors]
        seen = neighbors + references
        found = network.transform(features[seen], coarse[seen])
        completed = (network.decode(found[: len(neighbors)]) + 1) / 2
        for index, frame in zip(neighbors, completed, strict=True):
            steps = frame.permute(1, 2, 0).cpu().numpy() * 255
            if truncate:
                steps = steps.astype(np.uint8).astype(np.float32)
            steps = np.where(masks[index, ..., None], steps, frames[index].astype(np.float32))
            earlier = result[index]
            result[index] = steps if earlier is None else earlier * 0.5 + steps * 0.5
    whole = np.stack([frame for frame in result if frame is not None])
    return np.floor(whole) if truncate else whole
