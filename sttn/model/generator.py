"""The whole generator: encoder, transformer blocks, decoder (Section 3 and Table 4).

Convolutions treat frames one by one; attention alone sees the clip. Features are (B, T, H, W, C),
as they lie in memory: fast for convolutions, and patches are whole rows of it. Layer names are
those of the published checkpoints. Whatever takes a :class:`Region` computes that part of a frame
only, with the same result as a whole frame would have there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from sttn.model.attention import PatchAttention, Patches, packed, per_frame, with_lent
from sttn.model.convolutions import Convolutions
from sttn.model.region import Region, Span, whole
from sttn.settings.raster import TRAINED_PIXELS

FEED_FORWARD_REACH = 3
"""Cells that the feed-forward's convolutions look beyond each side: 2 (dilated) and 1."""


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
        numbers = (self.channels, self.blocks, *self.patch_divisors)
        if any(type(number) is not int for number in numbers):
            raise ValueError(
                f"channels, blocks and patch_divisors must be whole numbers, got {numbers}"
            )
        if type(self.mask_attention) is not bool:
            raise ValueError(f"mask_attention must be true or false, got {self.mask_attention!r}")
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
        self.conv = Convolutions(
            nn.Conv2d(channels, channels, 3, padding=2, dilation=2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
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

    def forward(
        self,
        features: Tensor,
        offered: Sequence[Patches],
        hidden: Sequence[Tensor | None],
        spans: Sequence[Span],
    ) -> list[Tensor]:
        """Refine frames by what frames show.

        Args:
            features: (B, T, H, W, C).
            offered: By head, the patches that may be copied; those of ``features`` among them.
            hidden: By head, which of them lie in holes; :meth:`PatchAttention.hidden`.
            spans: The frames and cells that are refined.

        Returns:
            By span (B, frames, height, width, C).
        """
        size = (features.shape[2], features.shape[3])
        refined = [span.of(span.region.grown(FEED_FORWARD_REACH, size)) for span in spans]
        # The 3x3 convolution that ends attention looks one cell further.
        attended = [span.of(span.region.grown(1, size)) for span in refined]
        found = self.attention(features, offered, hidden, attended)
        results = []
        for span, inner, outer, each in zip(spans, refined, attended, found, strict=True):
            result = inner.cut(features) + inner.region.within(outer.region).cut(each)
            result = result + per_frame(self.feed_forward, result)
            results.append(span.region.within(inner.region).cut(result))
        return results


class Upsample(nn.Module):
    """Twice the size, bilinear with aligned corners, then a 3x3 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)

    def forward(self, features: Tensor, here: Region, size: tuple[int, int], to: Region) -> Tensor:
        """Enlarge a part of a frame.

        Args:
            features: (N, C, height, width), the part ``here`` of frames of ``size``.
            here: Cells given.
            size: Height and width of whole frames of features, H and W.
            to: Cells wanted, on the raster twice as fine; ``here`` reaches one cell further.

        Returns:
            (N, C', height, width) of ``to``; as at any border of a 3x3 convolution, its outermost
            cells are right only where the frame ends there.
        """
        if here == whole(size):
            larger = functional.interpolate(
                features, scale_factor=2, mode="bilinear", align_corners=True
            )
            larger = to.cut(larger.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        else:
            rows_last = features.permute(0, 2, 3, 1)  # as it lies in memory
            wide = _enlarged(rows_last, 2, here.left, size[1], range(to.left, to.right))
            large = _enlarged(wide, 1, here.top, size[0], range(to.top, to.bottom))
            larger = large.permute(0, 3, 1, 2)
        refined: Tensor = self.conv(larger)
        return refined


def _enlarged(features: Tensor, axis: int, first: int, length: int, to: range) -> Tensor:
    """Linear interpolation with aligned corners along an axis that shows cells from ``first`` on.

    Whole, the axis has ``length`` cells, and twice as many afterwards. A product with a matrix that
    is nearly empty takes less time than picking neighbors and mixing them.

    Args:
        features: (N, height, width, C).
        axis: 1 or 2.
        first: The first cell given.
        length: Cells of the whole axis.
        to: Cells wanted, counted on the axis twice as long.
    """
    target = torch.arange(to.start, to.stop, device=features.device)
    position = target.double() * ((length - 1) / (2 * length - 1))
    below = position.long()
    above = (below + 1).clamp(max=length - 1)
    fraction = (position - below).to(features.dtype)
    mixing = features.new_zeros(len(to), features.shape[axis])
    mixing.scatter_add_(1, (below - first)[:, None], (1 - fraction)[:, None])
    mixing.scatter_add_(1, (above - first)[:, None], fraction[:, None])
    if axis == 2:
        return mixing @ features
    rows: Tensor = (mixing @ features.flatten(2)).unflatten(2, features.shape[2:])
    return rows


class Generator(nn.Module):
    """Completes all frames of a window at once."""

    def __init__(
        self, config: ModelConfig | None = None, trained_pixels: int = TRAINED_PIXELS
    ) -> None:
        super().__init__()
        if type(trained_pixels) is not int or trained_pixels < 1:
            raise ValueError(f"trained_pixels must be a whole number above 0, got {trained_pixels}")
        self.config = config or ModelConfig()
        self.trained_pixels = trained_pixels
        """Pixels of the raster that its weights were trained at."""
        full, half, quarter = (self.config.channels // n for n in (1, 2, 4))
        self.transformer = nn.ModuleList(
            TransformerBlock(self.config) for _ in range(self.config.blocks)
        )
        self.encoder = Convolutions(
            nn.Conv2d(3, quarter, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(quarter, quarter, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(quarter, half, 3, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(half, full, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
        )
        self.decoder = nn.Sequential(
            Upsample(full, half),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(half, quarter, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            Upsample(quarter, quarter),
            nn.LeakyReLU(0.2, inplace=True),
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
        features = self.encode(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        pixels = whole((frames.shape[-2], frames.shape[-1]))
        everything = Span(0, frames.shape[1], pixels)
        (features,) = self.transform(features, self.feature_mask(mask), [everything])
        completed = self.decode(features.flatten(0, 1), pixels, pixels.size)
        clips: Tensor = completed.unflatten(0, frames.shape[:2])
        return clips

    @property
    def _blocks(self) -> list[TransformerBlock]:
        return cast("list[TransformerBlock]", list(self.transformer))

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (N, 3, H, W) in [-1, 1], holes 0, to features (N, H/4, W/4, C)."""
        features: Tensor = self.encoder(frames)
        return features.permute(0, 2, 3, 1)

    def feature_mask(self, mask: Tensor) -> Tensor | None:
        """Mask (B, T, 1, H, W) to (B, T, 1, H/4, W/4), nearest; None where unused."""
        if not self.config.mask_attention:
            return None
        return mask[..., ::4, ::4]

    def transform(
        self,
        features: Tensor,
        mask: Tensor | None,
        spans: Sequence[Span],
        lend: Callable[[int], Tensor] | None = None,
    ) -> list[Tensor]:
        """Let the frames of each window copy from one another.

        Args:
            features: (B, T, H/4, W/4, C).
            mask: (B, T + R, 1, H/4, W/4) as :meth:`feature_mask` gives it.
            spans: What is to be decoded, in pixels.
            lend: Gives, block by block, what :meth:`remember` kept of R more frames, which are only
                copied from.

        Returns:
            By span (B, frames, height, width, C), the part that :meth:`decode` needs.
        """
        size = (features.shape[2], features.shape[3])
        everything = [Span(0, features.shape[1], whole(size))]
        wanted = [span.of(_decoded_from(span.region, size)[0]) for span in spans]
        hidden = self._blocks[0].attention.hidden(mask, size)
        last = len(self._blocks) - 1
        for number, block in enumerate(self._blocks):
            offered = block.attention.offered(features)
            if lend is not None:
                offered = with_lent(offered, lend(number))
            if number == last:
                break
            (features,) = block(features, offered, hidden, everything)
        return cast("list[Tensor]", block(features, offered, hidden, wanted))

    def remember(self, features: Tensor, mask: Tensor | None) -> list[Tensor]:
        """What frames lend at every block when they see one another and nothing else.

        Args:
            features: (B, R, H/4, W/4, C).
            mask: (B, R, 1, H/4, W/4), or None.

        Returns:
            Per block (heads, 2, B, R, H/4 * W/4 * C / heads): keys and values of all patches.
        """
        lent, frames = [], features.shape[1]
        size = (features.shape[2], features.shape[3])
        everything = [Span(0, frames, whole(size))]
        hidden = self._blocks[0].attention.hidden(mask, size)
        for number, block in enumerate(self._blocks):
            offered = block.attention.offered(features)
            lent.append(packed(offered, frames))
            if number < len(self._blocks) - 1:
                (features,) = block(features, offered, hidden, everything)
        return lent

    def decode(self, features: Tensor, pixels: Region, size: tuple[int, int]) -> Tensor:
        """Turn features into pixels.

        Args:
            features: (N, height, width, C), the part that :meth:`transform` gave.
            pixels: The part of a frame to decode.
            size: Height and width of a whole frame.

        Returns:
            (N, 3, height, width) of ``pixels``, in [-1, 1].
        """
        coarse, half = (size[0] // 4, size[1] // 4), (size[0] // 2, size[1] // 2)
        here, between, fine = _decoded_from(pixels, coarse)
        enlarge, act, refine, _, enlarge_again, _, to_pixels = self.decoder
        images = features.permute(0, 3, 1, 2)
        middle = act(refine(act(enlarge(images, here, coarse, between))))
        decoded = to_pixels(act(enlarge_again(middle, between, half, fine)))
        wanted = pixels.within(fine).cut(decoded.permute(0, 2, 3, 1))
        return torch.tanh(wanted.permute(0, 3, 1, 2))


def _decoded_from(pixels: Region, coarse: tuple[int, int]) -> tuple[Region, Region, Region]:
    """What the decoder needs for a part of the frame: at a quarter, a half and the full raster.

    Each of the two finer rasters sees two 3x3 convolutions, each enlargement one cell more.
    """
    half, full = (coarse[0] * 2, coarse[1] * 2), (coarse[0] * 4, coarse[1] * 4)
    fine = pixels.grown(2, full)
    between = fine.coarser(2, 2).grown(3, half)
    return between.coarser(2, 2).grown(1, coarse), between, fine
