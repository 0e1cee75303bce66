"""Multi-scale patch attention over space and time: Eq. (2) to (5) of the paper."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MASKED_SCORE = -1e9
"""Score given to a key patch inside a hole; its softmax weight becomes exactly 0."""

SUMMED_AT_ONCE = 2**15
"""Longest dot product taken in one go: a whole frame's patch at 432x240 has 414,720 elements,
and summed in one go in float32 it moved completed pixels by 1e-4."""


def to_patches(features: Tensor, patch_height: int, patch_width: int) -> Tensor:
    """Cut the features of all frames into one sequence of patches.

    Channels come last, as they lie in memory: whole rows of a patch are copied at once.

    Args:
        features: (B, T, H, W, C).
        patch_height: Rows of a patch; divides H.
        patch_width: Columns of a patch; divides W.

    Returns:
        (B, T * H/patch_height * W/patch_width, patch_height * patch_width * C).
    """
    batch, frames, height, width, channels = features.shape
    rows, columns = height // patch_height, width // patch_width
    cut = features.reshape(batch, frames, rows, patch_height, columns, patch_width, channels)
    return cut.transpose(3, 4).reshape(batch, frames * rows * columns, -1)


def from_patches(
    patches: Tensor, frames: int, size: tuple[int, int], patch: tuple[int, int]
) -> Tensor:
    """Piece patches together again; the inverse of :func:`to_patches`.

    Args:
        patches: (B, N, patch height * patch width * C).
        frames: T.
        size: Height and width of the features.
        patch: Height and width of a patch.

    Returns:
        (B, T, H, W, C).
    """
    height, width = size
    patch_height, patch_width = patch
    rows, columns = height // patch_height, width // patch_width
    cut = patches.unflatten(-1, (patch_height, patch_width, -1)).unflatten(
        1, (frames, rows, columns)
    )
    joined: Tensor = cut.transpose(3, 4).reshape(patches.shape[0], frames, height, width, -1)
    return joined


def hidden_patches(mask: Tensor, patch_height: int, patch_width: int) -> Tensor:
    """Tell which key patches lie in the hole and may not be copied from.

    Args:
        mask: (B, T, 1, H, W) float at feature size, 1 inside the hole.
        patch_height: Rows of a patch.
        patch_width: Columns of a patch.

    Returns:
        (B, 1, N) bool; True where more than half of the patch is hole.
    """
    return (to_patches(mask.movedim(2, -1), patch_height, patch_width).mean(-1) > 0.5).unsqueeze(1)


def attend(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None) -> Tensor:
    """Eq. (3) to (5): a softmax over similarities, then the weighted sum of values.

    Args:
        query: (B, N, D).
        key: (B, N, D).
        value: (B, N, D).
        hidden: (B, 1, N) bool, keys that get weight 0; None hides none. Where all are
            hidden, all weigh the same.

    Returns:
        (B, N, D).
    """
    pieces = zip(query.split(SUMMED_AT_ONCE, -1), key.split(SUMMED_AT_ONCE, -1), strict=True)
    scores = torch.stack([q @ k.transpose(1, 2) for q, k in pieces]).sum(0)
    scores = scores / query.shape[-1] ** 0.5
    if hidden is not None:
        scores = scores.masked_fill(hidden, MASKED_SCORE)
    return torch.softmax(scores, dim=-1) @ value


class PatchAttention(nn.Module):
    """Each head attends over all frames with patches of its own size."""

    def __init__(self, channels: int, patch_divisors: Sequence[int]) -> None:
        super().__init__()
        self.patch_divisors = tuple(patch_divisors)
        self.query_embedding = nn.Conv2d(channels, channels, 1)
        self.value_embedding = nn.Conv2d(channels, channels, 1)
        self.key_embedding = nn.Conv2d(channels, channels, 1)
        self.output_linear = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.2)
        )

    def forward(self, features: Tensor, mask: Tensor | None, batch: int) -> Tensor:
        """Copy what each patch needs from wherever it is seen.

        Args:
            features: (B * T, C, H, W).
            mask: (B, T, 1, H, W), 1 inside the hole; None attends to holes too,
                as the released code does.
            batch: B.

        Returns:
            (B * T, C, H, W).
        """
        frames, (height, width) = features.shape[0] // batch, features.shape[-2:]
        # Every embedding is (B, T, H, W, C), and C is shared out among the heads.
        query, key, value = (
            embed(features)
            .permute(0, 2, 3, 1)
            .unflatten(0, (batch, frames))
            .chunk(len(self.patch_divisors), dim=-1)
            for embed in (self.query_embedding, self.key_embedding, self.value_embedding)
        )
        heads = []
        for divisor, q, k, v in zip(self.patch_divisors, query, key, value, strict=True):
            patch = (height // divisor, width // divisor)
            hidden = None if mask is None else hidden_patches(mask, *patch)
            attended = attend(
                to_patches(q, *patch), to_patches(k, *patch), to_patches(v, *patch), hidden
            )
            heads.append(from_patches(attended, frames, (height, width), patch))
        joined = torch.cat(heads, dim=-1).flatten(0, 1).permute(0, 3, 1, 2)
        attended_features: Tensor = self.output_linear(joined)
        return attended_features
