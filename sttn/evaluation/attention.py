"""Where the last transformer block drew a hole from: Fig. 3 and 6 of the paper."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sttn.evaluation.cases import Case
from sttn.evaluation.methods import Network
from sttn.footage import Image
from sttn.inference.clip import Clip
from sttn.inference.sight import Sight
from sttn.inference.windows import windows
from sttn.model.attention import (
    PatchAttention,
    Patches,
    attention_weights,
    hidden_patches,
    per_frame,
    to_patches,
)
from sttn.model.region import Span, whole
from sttn.propagation.shown import in_float

YELLOW = np.array([255, 214, 0], np.float32)
DIMMED = 0.4
"""Brightness left to what was not drawn from."""


@dataclass(frozen=True, kw_only=True)
class AttentionMap:
    """What one frame's hole drew from."""

    index: int
    """The frame."""
    seen: tuple[int, ...]
    """Every frame of the window, the one that asks included."""
    shares: NDArray[np.float32]
    """(N,) share of the attention that went to each frame seen, the mean over heads; sums to 1."""
    density: NDArray[np.float32]
    """(N, H, W) attention per pixel, over the average's; heads whose patch is the whole frame
    say nothing here."""


@torch.inference_mode()
def attention_map(network: Network, case: Case, index: int) -> AttentionMap:
    """Look into the last block while it completes a frame.

    The window is the one that decides most of the frame, computed whole; presets that share
    references refine these among themselves and may draw a little differently.

    Args:
        network: Whose attention.
        case: Its frames and masks.
        index: A frame with a hole.
    """
    window = max(
        (w for w in windows(len(case.frames), network.window) if index in w.neighbors),
        key=lambda w: w.shares[w.neighbors.index(index)],
    )
    others = sorted({*window.neighbors, *window.references} - {index})
    seen = (index, *others)
    generator = network.generator
    parameter = next(generator.parameters())
    clip = Clip(case.frames, case.masks, frozenset(), frozenset())
    sight = Sight(clip, generator.trained_pixels if network.window.shrink else None)
    frames = np.stack([in_float(sight.frame(each)) for each in seen])
    masks = np.stack([sight.mask(each) for each in seen])
    hidden = torch.from_numpy(masks)[None, :, None].to(parameter)
    shown = torch.from_numpy(frames).permute(0, 3, 1, 2).to(parameter)
    pixels = (shown * 2 - 1) * (1 - hidden[0])
    last = generator.transformer[-1].attention
    assert isinstance(last, PatchAttention)
    given: list[tuple[Tensor, list[Patches]]] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: given.append(inputs[:2]))
    try:
        features = generator.encode(pixels)[None]
        asked = Span(0, 1, whole(sight.size))
        generator.transform(features, generator.feature_mask(hidden), [asked])
    finally:
        hook.remove()
    # A hole may lie between the pixels that the network's own, nearest, mask is made of.
    asking = functional.max_pool2d(hidden[0, :1], 4)
    heads = _weights(last, *given[-1], asking, generator.feature_mask(hidden))
    shares = np.mean([head.sum((1, 2)) for head in heads], axis=0)
    local = [head for head in heads if head[0].size > 1] or heads
    enlarged = [
        np.stack([_enlarged(map_, clip.size) for map_ in head / head.mean()]) for head in local
    ]
    return AttentionMap(
        index=index, seen=seen, shares=shares, density=np.mean(enlarged, axis=0, dtype=np.float32)
    )


def _weights(
    layer: PatchAttention,
    features: Tensor,
    offered: list[Patches],
    hole: Tensor,
    mask: Tensor | None,
) -> list[NDArray[np.float32]]:
    """Per head (N, rows, columns): the mean weight that patches of the hole give each patch.

    Args:
        layer: Whose weights.
        features: What it is given, the frame that asks first.
        offered: What may be copied.
        hole: (1, 1, H, W) of the frame that asks, not empty.
        mask: (1, N, 1, H, W) of what may not be copied; None leaves nothing out.
    """
    query = per_frame(layer.query_embedding, features[:, :1])
    found = []
    sizes = layer.patch_sizes((query.shape[2], query.shape[3]))
    for divisor, patch, q, (key, _) in zip(
        layer.patch_divisors, sizes, query.chunk(len(sizes), -1), offered, strict=True
    ):
        covered = to_patches(hole[..., None], *patch).mean(-1)[0]
        in_hole = covered >= min(0.5, float(covered.max()))
        asked = to_patches(q, *patch)[:, in_hole]
        hidden = None if mask is None else hidden_patches(mask, *patch)
        weights = attention_weights(asked, key, hidden).mean(1)
        found.append(weights.reshape(-1, divisor, divisor).float().cpu().numpy())
    return found


def _enlarged(map_: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    enlarged = cv2.resize(map_, size[::-1], interpolation=cv2.INTER_NEAREST)
    return np.asarray(enlarged, np.float32)


def overlay(frame: Image, density: NDArray[np.float32], brightest: float) -> Image:
    """A frame, dimmed but for what was drawn from more than on average, and yellow there.

    Args:
        frame: (H, W, 3) uint8.
        density: (H, W), 1 on average.
        brightest: The density that is shown at its brightest.
    """
    strength = ((density - 1) / max(brightest - 1, 1e-6)).clip(0, 1)[..., None]
    lit = frame * 0.55 + YELLOW * 0.45
    mixed = frame * DIMMED * (1 - strength) + lit * strength
    return np.asarray(mixed.round(), np.uint8)
