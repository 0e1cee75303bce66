"""T-PatchGAN: tells completed clips from real ones, patch by patch in space and time (Table 5)."""

from torch import Tensor, nn
from torch.nn.utils import spectral_norm


def _layer(inputs: int, outputs: int, padding: tuple[int, int, int]) -> nn.Module:
    # The old form of spectral norm, because published checkpoints carry its tensor names.
    layer: nn.Module = spectral_norm(
        nn.Conv3d(inputs, outputs, (3, 5, 5), (1, 2, 2), padding, bias=False)
    )
    return layer


class Discriminator(nn.Module):
    """Six 3-D convolutions, the last without normalization."""

    def __init__(self) -> None:
        super().__init__()
        # The released first layer pads every axis by 1, the others by (1, 2, 2).
        self.conv = nn.Sequential(
            _layer(3, 64, (1, 1, 1)),
            nn.LeakyReLU(0.2),
            _layer(64, 128, (1, 2, 2)),
            nn.LeakyReLU(0.2),
            _layer(128, 256, (1, 2, 2)),
            nn.LeakyReLU(0.2),
            _layer(256, 256, (1, 2, 2)),
            nn.LeakyReLU(0.2),
            _layer(256, 256, (1, 2, 2)),
            nn.LeakyReLU(0.2),
            nn.Conv3d(256, 256, (3, 5, 5), (1, 2, 2), (1, 2, 2)),
        )

    def forward(self, clips: Tensor) -> Tensor:
        """Score clips (B, T, 3, H, W) in [-1, 1].

        Returns:
            (B, T, 256, H', W') unbounded scores; 240x432 gives 4x7.
        """
        seen = clips.transpose(1, 2)
        if seen.device.type == "cpu":
            # Completed clips lie channels last. oneDNN would follow, and every layer would lay out
            # its weights anew each time, which for a small clip is most of a step.
            seen = seen.contiguous()
        scores: Tensor = self.conv(seen)
        return scores.transpose(1, 2)
