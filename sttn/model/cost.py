"""What the transformer costs: Eq. (11) of the paper."""

from typing import NamedTuple

from sttn.model.generator import ModelConfig


class Cost(NamedTuple):
    """Multiply-adds."""

    attention: int
    """Similarities and weighted sums; grows with the square of the frames."""
    convolutions: int
    """Embeddings and 3x3 convolutions; grows with the frames."""

    @property
    def total(self) -> int:
        """Both together."""
        return self.attention + self.convolutions


def transformer_cost(config: ModelConfig, frames: int, *, height: int, width: int) -> Cost:
    """Count the multiply-adds of all blocks for one window computed whole.

    Eq. (11) with its two terms: ``2 (n HW / (pw ph))^2 (pw ph C)`` for every head's patch size and
    share of the channels, and ``n k^2 HW C C`` for every convolution: three embeddings with k = 1
    and three convolutions with k = 3 in a block. Encoder and decoder are left out, as there.

    Args:
        config: The network.
        frames: n, neighbors and references together.
        height: Of the raster, in pixels; features are a quarter of it.
        width: Likewise.

    >>> cost = transformer_cost(ModelConfig(), frames=18, height=240, width=432)
    >>> [round(part / 18 / 1e9) for part in cost]  # per frame, in units of 10^9
    [23, 102]
    """
    cells = (height // 4) * (width // 4)
    channels = config.channels // len(config.patch_divisors)
    attention = 0
    for divisor in config.patch_divisors:
        patches, patch_cells = frames * divisor**2, cells // divisor**2
        attention += 2 * patches**2 * patch_cells * channels
    convolutions = frames * cells * config.channels**2 * (3 * 1 + 3 * 9)
    return Cost(config.blocks * attention, config.blocks * convolutions)
