"""The whole generator: encoder, transformer blocks, decoder (Section 3 and Table 4).

Tensors inside are (B * T, C, H, W): convolutions treat frames one by one, attention
alone sees the clip. Layer names are those of the published checkpoints.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from sttn.model.attention import PatchAttention

RASTER_MULTIPLE = 48
"""Model rasters are multiples of this: features are a quarter, and the smallest patch a twelfth."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The size of the network; the defaults are the paper's."""

    channels: int = 256
    """Channels of the features; the paper's network has 256."""
    blocks: int = 8
    """Transformer blocks (Table 3)."""
    patch_divisors: tuple[int, ...] = (1, 3, 6, 12)
    """One head per entry: features are cut into this many patches along each side (Table 2)."""
    mask_attention: bool = True
    """Never copy from holes, Eq. (4); the released network was trained with False (Table 7)."""

    def __post_init__(self) -> None:
        if self.blocks < 1:
            raise ValueError(f"blocks must be at least 1, got {self.blocks}")
        if not self.patch_divisors:
            raise ValueError("patch_divisors must name at least one patch size")
        for divisor in self.patch_divisors:
            if divisor < 1 or 12 % divisor:
                raise ValueError(f"patch_divisors must divide 12, got {divisor}")
        unit = 4 * len(self.patch_divisors)
        if self.channels < unit or self.channels % unit:
            raise ValueError(
                f"channels must be a multiple of {unit} for {len(self.patch_divisors)} heads, "
                f"got {self.channels}"
            )


class FeedForward(nn.Module):
    """Two convolutions after attention; the first is dilated to look past patch borders."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(B * T, C, H, W) to the same shape."""
        refined: Tensor = self.conv(features)
        return refined


class TransformerBlock(nn.Module):
    """Attention and feed-forward, each added to what came in."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention = PatchAttention(config.channels, config.patch_divisors)
        self.feed_forward = FeedForward(config.channels)

    def forward(self, features: Tensor, mask: Tensor | None, batch: int) -> Tensor:
        """(B * T, C, H, W) to the same shape; ``mask`` as in :class:`PatchAttention`."""
        features = features + self.attention(features, mask, batch)
        refined: Tensor = features + self.feed_forward(features)
        return refined


class Upsample(nn.Module):
    """Twice the size, bilinear with aligned corners, then a 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(B * T, C, H, W) to (B * T, C', 2H, 2W)."""
        larger = functional.interpolate(
            features, scale_factor=2, mode="bilinear", align_corners=True
        )
        refined: Tensor = self.conv(larger)
        return refined


class Generator(nn.Module):
    """Completes all frames of a window at once."""

    def __init__(self, config: ModelConfig | None = None) -> None:
        super().__init__()
        self.config = config or ModelConfig()
        full, half, quarter = (self.config.channels // n for n in (1, 2, 4))
        self.transformer = nn.ModuleList(
            TransformerBlock(self.config) for _ in range(self.config.blocks)
        )
        self.encoder = nn.Sequential(
            nn.Conv2d(3, quarter, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(quarter, quarter, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(quarter, half, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(half, full, 3, padding=1),
            nn.LeakyReLU(0.2),
        )
        self.decoder = nn.Sequential(
            Upsample(full, half),
            nn.LeakyReLU(0.2),
            nn.Conv2d(half, quarter, 3, padding=1),
            nn.LeakyReLU(0.2),
            Upsample(quarter, quarter),
            nn.LeakyReLU(0.2),
            nn.Conv2d(quarter, 3, 3, padding=1),
        )

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        """Fill the holes of a window.

        Args:
            frames: (B, T, 3, H, W) in [-1, 1], holes set to 0; H and W multiples of 48.
            mask: (B, T, 1, H, W), 1 inside the hole.

        Returns:
            (B, T, 3, H, W) in [-1, 1]: whole frames, holes and all.
        """
        batch, length = frames.shape[:2]
        features = self.encode(frames.flatten(0, 1))
        features = self.transform(features, self.feature_mask(mask), batch)
        completed: Tensor = self.decode(features).unflatten(0, (batch, length))
        return completed

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (N, 3, H, W) in [-1, 1], holes 0, to features (N, C, H/4, W/4)."""
        features: Tensor = self.encoder(frames)
        return features

    def feature_mask(self, mask: Tensor) -> Tensor | None:
        """Mask (B, T, 1, H, W) to (B, T, 1, H/4, W/4), nearest; None where unused."""
        if not self.config.mask_attention:
            return None
        return mask[..., ::4, ::4]

    def transform(self, features: Tensor, mask: Tensor | None, batch: int) -> Tensor:
        """Let the frames of each window copy from one another, (B * T, C, H/4, W/4)."""
        for block in self.transformer:
            features = block(features, mask, batch)
        return features

    def decode(self, features: Tensor) -> Tensor:
        """Features (N, C, H/4, W/4) to frames (N, 3, H, W) in [-1, 1]."""
        return torch.tanh(self.decoder(features))
