"""Multi-scale patch attention over space and time: Eq. (2) to (5) of the paper."""

import math
from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from sttn.model.convolutions import Convolutions
from sttn.model.region import Span

MASKED_SCORE = -1e30
"""Added to the score of a key patch inside a hole, which nothing of it outlives: its softmax weight
becomes exactly 0, and where all are hidden, all weigh the same."""

SUMMED_AT_ONCE = 2**15
"""Longest dot product taken in one go in float32: a whole frame's patch at 432x240 has 414,720
elements, and summed in one go it moved completed pixels by 1e-4."""

WORTH_LEAVING_OUT = 0.25
"""Share of keys that are hidden from which on copying the others costs less than scoring all."""

BUSY = 264
"""Pieces of dot products that keep all cores of a large GPU at work."""

TILE = 128
"""Rows and columns of scores that one core computes together."""

LONG = torch.int64
"""As which a GPU copies shorter numbers that lie side by side."""

SHORTEST_PIECE = 512
"""Elements below which sharing a dot product out costs more than it brings."""

SCORES_AT_ONCE = 2**26
"""Most similarities held at a time, 256 MB; more queries take turns."""


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
    patch = (patch_height, patch_width)
    if features.is_cuda and features.requires_grad:
        cut: Tensor = _Cut.apply(features, patch)
        return cut
    return _cut(features, patch)


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
    if patches.is_cuda and patches.requires_grad:
        pieced: Tensor = _Pieced.apply(patches, frames, size, patch)
        return pieced
    return _pieced(patches, frames, size, patch)


def _cut(features: Tensor, patch: tuple[int, int]) -> Tensor:
    cells = _as_numbers(features, features.shape[-1])
    rows, columns = features.shape[2] // patch[0], features.shape[3] // patch[1]
    by_column = cells.unflatten(3, (columns, patch[1]))
    cut: Tensor = by_column.unflatten(2, (rows, patch[0])).transpose(3, 4)
    return _as_before(cut.flatten(4).flatten(1, 3), features.dtype)


def _pieced(patches: Tensor, frames: int, size: tuple[int, int], patch: tuple[int, int]) -> Tensor:
    rows, columns = size[0] // patch[0], size[1] // patch[1]
    cells = _as_numbers(patches, patches.shape[-1] // math.prod(patch))
    cut = cells.unflatten(-1, (*patch, -1)).unflatten(1, (frames, rows, columns))
    joined: Tensor = cut.transpose(3, 4).reshape(patches.shape[0], frames, *size, -1)
    return _as_before(joined, patches.dtype)


def _as_numbers(tensor: Tensor, channels: int) -> Tensor:
    """The same memory as fewer, longer numbers, which a GPU copies in half the time.

    Args:
        tensor: Whose last axis holds all channels of one cell or several.
        channels: Of a cell; they are not torn apart, nor made one number, beside which there is no
            next one that could tell how far numbers lie apart.
    """
    each = LONG.itemsize // tensor.itemsize
    places = (tensor.storage_offset(), *tensor.stride()[:-1], channels)
    beside = tensor.stride(-1) == 1 and channels > each
    fits = beside and not any(place % each for place in places)
    return tensor.view(LONG) if tensor.is_cuda and fits else tensor


def _as_before(numbers: Tensor, dtype: torch.dtype) -> Tensor:
    """The same memory as numbers of a type; no gradient passes where that is another one."""
    return numbers if numbers.dtype == dtype else numbers.view(dtype)


class _Cut(torch.autograd.Function):
    """:func:`to_patches`, which takes gradients the way that it takes features."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, patch: tuple[int, int]) -> Tensor:  # noqa: ANN401
        ctx.how = (features.shape[1], (features.shape[2], features.shape[3]), patch)
        return _cut(features, patch)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401
        return _pieced(gradients[0].contiguous(), *ctx.how), None


class _Pieced(torch.autograd.Function):
    """:func:`from_patches`, likewise."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        patches: Tensor,
        frames: int,
        size: tuple[int, int],
        patch: tuple[int, int],
    ) -> Tensor:
        ctx.patch = patch
        return _pieced(patches, frames, size, patch)

    @staticmethod
    def backward(
        ctx: Any,  # noqa: ANN401
        *gradients: Tensor,
    ) -> tuple[Tensor, None, None, None]:
        return _cut(gradients[0].contiguous(), ctx.patch), None, None, None


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


class Patches(NamedTuple):
    """Patches of one size that may be copied."""

    key: Tensor
    """(B, N, D), what they are found by."""
    value: Tensor
    """(B, N, D), what is copied."""


def packed(offered: Sequence[Patches], frames: int) -> Tensor:
    """What all heads offer of some frames, in one tensor that can be kept and cut by frame.

    Returns:
        (heads, 2, B, frames, D * N / frames): keys and values.
    """
    return torch.stack(
        [
            torch.stack([tensor.unflatten(1, (frames, -1)).flatten(2) for tensor in each])
            for each in offered
        ]
    )


def with_lent(offered: Sequence[Patches], lent: Tensor) -> list[Patches]:
    """Add what :func:`packed` kept of other frames, with as many patches per frame."""
    several = []
    for each, (keys, values) in zip(offered, lent.unbind(0), strict=True):
        length = each.key.shape[-1]
        more = (tensor.flatten(1).unflatten(1, (-1, length)) for tensor in (keys, values))
        several.append(Patches(*map(joined, zip(each, more, strict=True))))
    return several


def joined(parts: Sequence[Tensor]) -> Tensor:
    """Sequences of patches (B, N, D) behind one another."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim=1)


def attend(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None) -> Tensor:
    """Eq. (3) to (5): a softmax over similarities, then the weighted sum of values.

    Args:
        query: (B, M, D).
        key: (B, N, D).
        value: (B, N, D).
        hidden: (B, 1, N) bool, keys that get weight 0; None hides none. Where all are
            hidden, all weigh the same.

    Returns:
        (B, M, D).
    """
    if hidden is not None and len(hidden) == 1 and not hidden.is_cuda:
        key, value, hidden = _only_visible(key, value, hidden)
    rows = max(1, SCORES_AT_ONCE // (query.shape[0] * key.shape[1]))
    parts = [_attend(part, key, value, hidden) for part in query.split(rows, dim=1)]
    return joined(parts)


def _attend(query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None) -> Tensor:
    weights = attention_weights(query, key, hidden).to(value.dtype)
    if (count := _pieces(query, key)) == 1:
        return weights @ value
    # What is learned from it are dot products as long as the scores'.
    return (weights[:, None] @ _in_pieces(value, count)).transpose(1, 2).flatten(2)


def attention_weights(query: Tensor, key: Tensor, hidden: Tensor | None) -> Tensor:
    """Eq. (3) and (4): how much of each key patch goes into each query patch.

    Args:
        query: (B, M, D).
        key: (B, N, D).
        hidden: As for :func:`attend`.

    Returns:
        (B, M, N) of the type of ``query``; a query's weights sum to 1.
    """
    # Queries are fewer than scores, and rounding them averages out.
    scores = _dot_products(query / query.shape[-1] ** 0.5, key)
    if hidden is not None:
        # Takes a third of the time of filling them in.
        scores += hidden * MASKED_SCORE
    return torch.softmax(scores, dim=-1)


def _dot_products(query: Tensor, key: Tensor) -> Tensor:
    """Of every query (B, M, D) with every key (B, N, D): (B, M, N)."""
    if (count := _pieces(query, key)) > 1:
        several = _in_pieces(query, count) @ _in_pieces(key, count).transpose(2, 3)
        return several.sum(dim=1)  # on a GPU in float32 at least
    # Shorter types are summed in float32 and rounded once; pieces would be rounded each.
    at_once = SUMMED_AT_ONCE if query.itemsize >= 4 else query.shape[-1]
    pieces = zip(query.split(at_once, -1), key.split(at_once, -1), strict=True)
    return reduce(torch.add, (_multiplied(q, k) for q, k in pieces))


def _pieces(query: Tensor, key: Tensor) -> int:
    """Into how many pieces dot products of several windows are cut on a GPU.

    A core computes all scores of a window where its patches are few, and long: of 18 whole frames
    in four windows 2.7 ms on an H200, in pieces 0.3. For one window cuBLAS does as much by itself.
    """
    if not query.is_cuda or len(query) == 1 or max(query.shape[1], key.shape[1]) > TILE:
        return 1
    length = query.shape[-1]
    least = -(-length // SUMMED_AT_ONCE) if query.itemsize >= 4 else 1
    wanted = max(least, min(BUSY // len(query), length // SHORTEST_PIECE))
    return next((count for count in range(wanted, length + 1) if length % count == 0), 1)


def _in_pieces(patches: Tensor, count: int) -> Tensor:
    """Patches (B, N, D) as (B, count, N, D / count)."""
    pieces: Tensor = patches.unflatten(-1, (count, -1))
    return pieces.transpose(1, 2)


def _multiplied(query: Tensor, key: Tensor) -> Tensor:
    if len(query) == 1:  # a product of matrices is faster than a batch of one
        return functional.linear(query[0], key[0])[None]
    return query @ key.transpose(1, 2)


def _only_visible(
    key: Tensor, value: Tensor, hidden: Tensor
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Leave out keys that would weigh 0, if many; on a GPU finding them would wait for it."""
    seen = (~hidden[0, 0]).nonzero()[:, 0]
    if len(seen) == key.shape[1]:
        return key, value, None
    if len(seen) == 0 or len(seen) > (1 - WORTH_LEAVING_OUT) * key.shape[1]:
        return key, value, hidden
    return key[:, seen], value[:, seen], None


def per_cell(layer: nn.Conv2d, features: Tensor) -> Tensor:
    """Apply a 1x1 convolution to (B, T, H, W, C): a product of matrices, its bias in it."""
    if not features.is_cuda:
        return per_frame(layer, features)
    return functional.linear(features, layer.weight[:, :, 0, 0], layer.bias)


def per_frame(layer: nn.Module, features: Tensor) -> Tensor:
    """Apply a layer for images to every frame of (B, T, H, W, C)."""
    images: Tensor = layer(features.flatten(0, 1).permute(0, 3, 1, 2))
    frames: Tensor = images.permute(0, 2, 3, 1).unflatten(0, features.shape[:2])
    return frames


class PatchAttention(nn.Module):
    """Each head attends over all frames with patches of its own size."""

    def __init__(self, channels: int, patch_divisors: Sequence[int]) -> None:
        super().__init__()
        self.patch_divisors = tuple(patch_divisors)
        self.query_embedding = nn.Conv2d(channels, channels, 1)
        self.value_embedding = nn.Conv2d(channels, channels, 1)
        self.key_embedding = nn.Conv2d(channels, channels, 1)
        self.output_linear = Convolutions(
            nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.2, inplace=True)
        )

    def offered(self, lending: Tensor) -> list[Patches]:
        """What the patches of some frames (B, T, H, W, C) have to offer, head by head."""
        size = (lending.shape[2], lending.shape[3])
        keys = self._shared_out(per_cell(self.key_embedding, lending))
        values = self._shared_out(per_cell(self.value_embedding, lending))
        return [
            Patches(to_patches(key, *patch), to_patches(value, *patch))
            for patch, key, value in zip(self.patch_sizes(size), keys, values, strict=True)
        ]

    def forward(
        self,
        asking: Tensor,
        offered: Sequence[Patches],
        hidden: Sequence[Tensor | None],
        spans: Sequence[Span],
    ) -> list[Tensor]:
        """Copy what each patch needs from wherever it is seen.

        Args:
            asking: (B, T, H, W, C), the frames whose patches look for others.
            offered: By head, the patches that may be copied.
            hidden: By head, as :meth:`hidden` tells of the frames that offer.
            spans: The frames and cells that are needed.

        Returns:
            By span (B, frames, height, width, C); one cell along every side of the region that is
            no side of the frame lacks its neighbors.
        """
        size = (asking.shape[2], asking.shape[3])
        queries = self._shared_out(per_cell(self.query_embedding, asking))
        found: list[list[Tensor]] = [[] for _ in spans]
        for patch, query, patches, covered in zip(
            self.patch_sizes(size), queries, offered, hidden, strict=True
        ):
            asked = [span.of(span.region.coarser(*patch).finer(*patch)) for span in spans]
            parts = [to_patches(span.cut(query), *patch) for span in asked]
            attended = attend(joined(parts), *patches, covered)
            several = attended.split([part.shape[1] for part in parts], dim=1)
            for span, outer, each, heads in zip(spans, asked, several, found, strict=True):
                pieced = from_patches(each, span.stop - span.start, outer.region.size, patch)
                heads.append(span.region.within(outer.region).cut(pieced))
        return [per_frame(self.output_linear, torch.cat(heads, dim=-1)) for heads in found]

    def hidden(self, mask: Tensor | None, size: tuple[int, int]) -> list[Tensor | None]:
        """Which patches lie in holes, head by head; the same for every block.

        Args:
            mask: (B, T, 1, H, W), 1 inside the hole; None attends to holes too, as the released
                code does.
            size: H and W.
        """
        sizes = self.patch_sizes(size)
        return [None if mask is None else hidden_patches(mask, *patch) for patch in sizes]

    def patch_sizes(self, size: tuple[int, int]) -> list[tuple[int, int]]:
        """Height and width of every head's patches, for features of a size."""
        return [(size[0] // divisor, size[1] // divisor) for divisor in self.patch_divisors]

    def _shared_out(self, embedded: Tensor) -> tuple[Tensor, ...]:
        """The channels of every head."""
        return embedded.chunk(len(self.patch_divisors), dim=-1)
