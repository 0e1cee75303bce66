"""Runs the generator over a clip, window by window, in memory that does not grow with length.

Every frame is encoded once. Of a window only the frames that are wanted are decoded, and of those
only the rectangle around their holes; the last transformer block is limited likewise.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sttn.inference.batches import Batches
from sttn.inference.clip import Clip, Origins, Pixels
from sttn.inference.holes import Holes
from sttn.inference.overlap import Overlap
from sttn.inference.plans import Plan, by_shape
from sttn.inference.sight import Sight
from sttn.inference.store import FeatureStore
from sttn.inference.windows import clip_references, window_around
from sttn.model import Generator
from sttn.model.region import Region, Span, around
from sttn.settings.schedule import WindowConfig

FRAMES_AT_ONCE = 4
"""Frames encoded or decoded in one go; more gained nothing on a CPU."""

FRAMES_AT_ONCE_ASIDE = 32
"""The same on a GPU."""

FRAMES_IN_SPAN = 2
"""Frames that share a region on a CPU; a GPU takes all that are wanted at once."""


class Engine:
    """Features of frames still needed, and what windows said about frames not yet final."""

    def __init__(
        self,
        clip: Clip,
        generator: Generator,
        config: WindowConfig,
        store: FeatureStore,
        batch: int,
    ) -> None:
        self.clip, self._config = clip, config
        self._sight = Sight(clip, generator.trained_pixels if config.shrink else None)
        self._generator = generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        parameter = next(generator.parameters())
        self._device, self._precision = parameter.device, parameter.dtype
        self._share = config.share_references
        self._references = clip_references(len(clip), config, clip.clean)
        self._features = store  # (H/4, W/4, C) by index, and what references lend by block
        self._hidden: dict[int, Tensor] = {}  # (1, H/4, W/4), 1 inside the hole
        self._overlap = Overlap(config)
        self._asked: dict[int, Region] = {}  # what of a frame windows were asked for
        self._window_batches = Batches("window", batch)
        at_once = FRAMES_AT_ONCE_ASIDE if self.computes_aside else FRAMES_AT_ONCE
        self._frame_batches = Batches("frame", at_once)
        self._finished = 0  # frames handed over

    @property
    def computes_aside(self) -> bool:
        """Whether :meth:`run` comes back before its work is done: on a GPU, NVIDIA's or AMD's."""
        return self._device.type == "cuda"

    def settle(self, before: int) -> None:
        """Fetch the frames before an index, which are final, without waiting for them."""
        for index in self.clip.filled[self._finished :]:
            if index >= before:
                return
            self._overlap.settle(index)

    def finished(
        self, before: int, holes: Holes, origins: Callable[[int, Origins], None] | None
    ) -> Iterator[tuple[int, Pixels]]:
        """The frames before an index that were not handed over yet, final now."""
        while self._finished < len(self.clip.filled):
            index = self.clip.filled[self._finished]
            if index >= before:
                return
            self._finished += 1
            if origins is not None and (fetched := holes.origins(index)) is not None:
                origins(index, fetched)
            said = None
            if holes.left(index) is not None:
                said = self._sight.enlarged(self._overlap.take(index), self._asked.pop(index))
            yield index, holes.filled(index, said)

    @torch.inference_mode()
    def run(self, plans: Sequence[Plan]) -> None:
        """Complete what some windows want, and take in what they say about it."""
        self._forget(plans[0].window.neighbors[0])
        said: dict[Plan, list[Tensor]] = {}
        for alike in by_shape(plans):
            for completed in self._window_batches.over(alike, self._complete):
                said.update(completed)
        for plan in plans:
            shares = dict(zip(plan.window.neighbors, plan.window.shares, strict=True))
            self._asked.update(zip(plan.wanted, plan.regions, strict=True))
            for index, pixels in zip(plan.wanted, said.get(plan, ()), strict=True):
                self._overlap.add(index, shares[index], pixels)

    @torch.inference_mode()
    def alone(self, index: int, region: Region) -> NDArray[np.float32]:
        """What a window around a frame says of a rectangle of it, (h, w, 3) in [0, 1]."""
        window = window_around(index, len(self.clip), self._config, self.clip.clean)
        plan = Plan(window=window, wanted=(index,), regions=(region,))
        (completed,) = self._window_batches.over([plan], self._complete)
        opinion = Overlap(self._config)
        opinion.add(index, 1, completed[plan][0])
        return self._sight.enlarged(opinion.take(index), region)

    def _complete(self, plans: Sequence[Plan]) -> dict[Plan, list[Tensor]]:
        """The pixels (h, w, 3) in [-1, 1] around each wanted frame's hole, by plan."""
        if self._share:
            self._remember()
        seen = [
            [*plan.wanted, *plan.context, *(() if self._share else plan.window.references)]
            for plan in plans
        ]
        self._encode({index for frames in seen for index in frames})
        features = torch.stack([self._stacked(frames) for frames in seen])
        lends = self._share and plans[0].window.references
        lend = partial(self._lent, self._places(plans)) if lends else None
        mask = self._mask([plan.wanted + plan.context + plan.window.references for plan in plans])
        spans = self._spans(plans)
        said: dict[Plan, list[Tensor]] = {plan: [] for plan in plans}
        for span, found in zip(
            spans, self._generator.transform(features, mask, spans, lend), strict=True
        ):
            decode = partial(self._generator.decode, pixels=span.region, size=self._sight.size)
            decoded = torch.cat(list(self._frame_batches.over(found.flatten(0, 1), decode)))
            images = iter(decoded.permute(0, 2, 3, 1))
            for plan in plans:
                for asked in plan.regions[span.start : span.stop]:
                    region = self._sight.region(asked)
                    said[plan].append(region.within(span.region).cut(next(images)))
        return said

    def _spans(self, plans: Sequence[Plan]) -> list[Span]:
        """The wanted frames, few at a time where that costs nothing, since holes move."""
        wanted = len(plans[0].wanted)
        together = FRAMES_IN_SPAN if self._device.type == "cpu" else wanted
        spans = []
        for start in range(0, wanted, together):
            stop = min(start + together, wanted)
            asked = [part for plan in plans for part in plan.regions[start:stop]]
            spans.append(Span(start, stop, around(map(self._sight.region, asked))))
        return spans

    def _encode(self, indices: Collection[int]) -> None:
        """Make sure that the features of some frames are there."""
        missing = sorted(index for index in indices if ("frame", index) not in self._features)
        for batch, encoded in self._frame_batches.over(missing, self._encoded):
            for index, features in zip(batch, encoded, strict=True):
                # Alone, so that it can go alone.
                self._features.put(("frame", index), features.clone())

    def _encoded(self, indices: Sequence[int]) -> tuple[Sequence[int], Tensor]:
        pixels = self._sent([self._sight.frame(index) for index in indices])
        hidden = self._sent([self._sight.mask(index) for index in indices]).float().unsqueeze(1)
        scaled = pixels.float() / (255 if pixels.dtype == torch.uint8 else 1)
        inside = (scaled.permute(0, 3, 1, 2).clamp(0, 1) * 2 - 1) * (1 - hidden)
        if (masks := self._generator.feature_mask(hidden)) is not None:
            for index, mask in zip(indices, masks, strict=True):
                self._hidden[index] = mask.to(self._precision, copy=True)
        batch = inside.to(self._precision, memory_format=torch.channels_last)
        return indices, self._generator.encode(batch)

    def _sent(self, arrays: Sequence[NDArray[Any]]) -> Tensor:
        """Arrays (N, ...) on the device; a GPU fetches them when it gets to it."""
        stacked = torch.from_numpy(np.stack(arrays))
        if not self.computes_aside:
            return stacked.to(self._device)
        return stacked.pin_memory().to(self._device, non_blocking=True)

    def _stacked(self, indices: Sequence[int]) -> Tensor:
        """Features (T, H/4, W/4, C)."""
        return torch.stack([self._features.get(("frame", index)) for index in indices])

    def _mask(self, windows: Sequence[Sequence[int]]) -> Tensor | None:
        """The mask (B, T, 1, H/4, W/4) that attention keeps to."""
        if not self._generator.config.mask_attention:
            return None
        hidden = [torch.stack([self._hidden[index] for index in frames]) for frames in windows]
        return torch.stack(hidden)

    def _remember(self) -> None:
        """Let the references see one another, once for the whole clip."""
        if not self._references or ("lent", 0) in self._features:
            return
        self._encode(self._references)
        features, mask = self._stacked(self._references), self._mask([self._references])
        for block, lent in enumerate(self._generator.remember(features[None], mask)):
            self._features.put(("lent", block), lent[:, :, 0])

    def _places(self, plans: Sequence[Plan]) -> Tensor:
        """Each window's references, (B, R), by place among all; the same at every block."""
        place = {index: position for position, index in enumerate(self._references)}
        return self._sent(
            [np.array([place[index] for index in plan.window.references]) for plan in plans]
        )

    def _lent(self, places: Tensor, block: int) -> Tensor:
        """What each window's references lend at a block: (heads, 2, B, R, cells and channels)."""
        lent = self._features.get(("lent", block))
        chosen: Tensor = lent.index_select(2, places.flatten()).unflatten(2, places.shape)
        return chosen

    def _forget(self, start: int) -> None:
        """Drop what no window needs whose neighbors begin at an index or later."""
        kept = () if self._share else self._references
        self._features.forget(lambda kind, i: kind == "frame" and i < start and i not in kept)
        for index in [i for i in self._hidden if i < start and i not in self._references]:
            del self._hidden[index]
