"""One frame after another: what other frames show of its hole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sttn.model.region import Region, around_mask
from sttn.propagation.candidates import (
    MARGIN,
    Candidate,
    Surroundings,
    candidate,
    surroundings,
)
from sttn.propagation.closing import grown, touched
from sttn.propagation.fusion import Fusion, Seen, seen
from sttn.propagation.motion import PAD, Motion, Recent, in_8_bits, in_float, steps
from sttn.propagation.traces import (
    FARTHEST,
    FARTHEST_BY_CAMERA,
    Trace,
    Visible,
    by_camera,
    by_flow,
    sampled,
)

TELEA_RADIUS = 3.0
"""Pixels around a missing one that the fill in space looks at."""

LEAST_TRUST, MOST_TRUST = 0.02, 0.95
"""Weights of what was fetched that count as none and as all."""

LEAST_WEIGHT = 1e-4
"""Of all that was found: less is as good as nothing."""

HALF = 0.5
"""Trust below which a pixel counts as not found."""

SPECK = 4.0
"""Pixels to what was found at which a fill in space is good enough: a hole that misses no more
than that is left to no network. Measured on five real clips and the demo shot, that moved in-hole
PSNR by -0.02 to +0.02 dB."""

AGREEMENT = 0.02
"""By how much a fill may differ from the candidate that most of it comes from, and still show what
that shows; at twice that it shows something else."""


@dataclass(frozen=True, kw_only=True)
class Offers:
    """Everything that is known of a hole before anyone decides."""

    box: Region
    around: Surroundings
    candidates: list[Candidate]
    asked: tuple[NDArray[np.int64], NDArray[np.int64]]
    """Rows and columns in the box of the N places that were followed."""
    traces: list[Trace]
    """Where they lead, one for each candidate."""


@dataclass(frozen=True, kw_only=True)
class Fill:
    """What was fetched for a hole."""

    box: Region
    """Where in the frame the hole and its surroundings lie."""
    pixels: NDArray[np.float32]
    """(h, w, 3) in [0, 1]; arbitrary where ``trust`` is 0."""
    trust: NDArray[np.float32]
    """(h, w) in [0, 1]; 1 needs no other fill; 0 outside the hole."""
    origins: NDArray[np.float32]
    """(h, w, 4): frame, column and row that most of a pixel was fetched from, and how much of it
    shows what is there; where that is 0 the rest is arbitrary."""

    def over(
        self, size: tuple[int, ...], region: Region
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Pixels and trust of another region of a frame of (H, W), 0 beyond the box."""
        pixels, trust = np.zeros((*size, 3), np.float32), np.zeros(size, np.float32)
        self.box.of(pixels)[...] = self.pixels
        self.box.of(trust)[...] = self.trust
        return region.of(pixels), region.of(trust)

    def completed_by(self, other: Fill) -> Fill:
        """What another fill, of a part of the box, adds where this one leaves something open."""
        part = other.box.within(self.box)
        pixels, trust, origins = self.pixels.copy(), self.trust.copy(), self.origins.copy()
        mine, its = part.of(trust), (1 - part.of(trust)) * other.trust
        total = np.maximum(mine + its, 1e-6)[..., None]
        part.of(pixels)[...] += its[..., None] / total * (other.pixels - part.of(pixels))
        taken = its > mine
        part.of(origins)[taken] = other.origins[taken]
        part.of(trust)[...] = mine + its
        return Fill(box=self.box, pixels=pixels, trust=trust, origins=origins)

    def origins_over(self, size: tuple[int, ...]) -> NDArray[np.float32]:
        """Origins of a whole frame of (H, W): (H, W, 4); frame -1 where nothing was fetched."""
        result = np.zeros((*size, 4), np.float32)
        result[..., 0] = -1
        fetched = self.origins[..., 3] > 0
        self.box.of(result)[fetched] = self.origins[fetched]
        return result


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A frame that was completed before its neighbors, which then take from it what none shows."""

    pixels: NDArray[np.float32]
    """(H, W, 3) in [0, 1], without a hole."""
    origins: NDArray[np.float32]
    """(H, W, 4): where every pixel was fetched from, as in a :class:`Fill`."""

    def fill(self, box: Region, hole: NDArray[np.bool_]) -> Fill:
        """What it shows of a hole (H, W), all of which lies in a box."""
        inside = box.of(hole)
        return Fill(
            box=box,
            pixels=box.of(self.pixels),
            trust=inside.astype(np.float32),
            origins=box.of(self.origins) * inside[..., None],
        )


class _Sources(NamedTuple):
    """Frames that may be fetched from."""

    frame: Callable[[int], NDArray[Any]]
    visible: Visible
    by_flow: int
    """Frames over which places are followed by flow."""
    by_camera: int
    """Frames over which they are followed by the camera's motion alone."""


class Propagation:
    """Fetches what holes hide from the frames around them. Threads may share it.

    Args:
        frame: Gives frames (H, W, 3) by index, uint8 or float32 in [0, 1].
        mask: Gives masks (H, W) bool by index, True inside the hole.
        count: Frames of the clip.
        fusion: Decides what to believe, on the device that shall compute.
        at_once: Successive frames that threads may be looking at.
    """

    def __init__(
        self,
        frame: Callable[[int], NDArray[Any]],
        mask: Callable[[int], NDArray[np.bool_]],
        count: int,
        fusion: Fusion,
        at_once: int = 1,
    ) -> None:
        self._count, self._fusion = count, fusion
        within = 2 * FARTHEST_BY_CAMERA + at_once
        self._frames = Recent[int, NDArray[Any]](within, lambda i: _kept(frame(i)))
        self._masks = Recent[int, NDArray[np.bool_]](within, mask)
        self._visible = Recent[int, NDArray[np.bool_]](within, lambda i: ~touched(self._masks[i]))
        self._motion = Motion(self._frames, self._masks, within)
        self._real = _Sources(
            frame=self._frames.__getitem__,
            visible=self._visible.__getitem__,
            by_flow=FARTHEST,
            by_camera=FARTHEST_BY_CAMERA,
        )

    @torch.inference_mode()
    def fill(self, index: int) -> Fill | None:
        """What other frames show of a frame's hole, merged; None where it has none."""
        offers = self.offers(index)
        return None if offers is None else self._merged(offers)

    def offers(self, index: int) -> Offers | None:
        """What other frames offer for a frame's hole; None where it has none."""
        return self._offered(index, self._frames[index], self._masks[index], self._real)

    @torch.inference_mode()
    def carried(self, index: int, real: Fill, anchors: Mapping[int, Anchor]) -> Fill:
        """What real pixels leave open of a hole, from anchors before and after.

        Args:
            index: Of the frame.
            real: Its real pixels.
            anchors: By index.
        """
        frame, rest = in_float(self._frames[index]).copy(), self._masks[index].copy()
        known = real.trust >= 1
        real.box.of(frame)[known] = real.pixels[known]
        real.box.of(rest)[known] = False
        offers = self._offered(index, frame, rest, self._of_anchors(index, anchors))
        if offers is None:
            return real
        made_up = self._merged(offers, anything=True)
        origins = _through(anchors, made_up.origins)
        return real.completed_by(dataclasses.replace(made_up, origins=origins))

    def _of_anchors(self, index: int, anchors: Mapping[int, Anchor]) -> _Sources:
        all_of_it = np.ones(self._masks[index].shape, np.bool_)
        none_of_it = ~all_of_it
        farthest = max((abs(anchor - index) for anchor in anchors), default=0)
        return _Sources(
            frame=lambda source: anchors[source].pixels,
            visible=lambda source: all_of_it if source in anchors else none_of_it,
            by_flow=min(farthest, FARTHEST),
            by_camera=farthest,
        )

    def _merged(self, offers: Offers, anything: bool = False) -> Fill:
        """The mean of what is offered; ``anything`` that was found is better than nothing."""
        if not any(offer.found.any() for offer in offers.candidates):
            return _nothing(offers.box)
        known = seen(offers.around, offers.candidates)
        weights = self._weights(known)
        if anything:
            weights[0] *= weights[1:].sum(0) < LEAST_WEIGHT
            weights /= weights.sum(0).clamp(min=LEAST_WEIGHT)
        hole = offers.around.hole
        fetched = weights[1:].sum(0)
        trust = (fetched - LEAST_TRUST).clamp(0) / (MOST_TRUST - LEAST_TRUST)
        trust = trust.clamp(max=1) * torch.from_numpy(np.ascontiguousarray(hole))
        pixels = _mixed(weights[1:], known.pixels[1:])
        origins = _origins(offers, weights, known, pixels, trust)
        if _specks_only(hole & (trust.numpy() < HALF)):
            pixels, trust = _mixed(weights, known.pixels), torch.from_numpy(hole.astype(np.float32))
        return Fill(box=offers.box, pixels=pixels.numpy(), trust=trust.numpy(), origins=origins)

    def _weights(self, known: Seen) -> Tensor:
        """What each candidate is worth, (K + 1, h, w), the fill in space first."""
        parameter = next(self._fusion.parameters())
        offered, shared = (part[None].to(parameter) for part in known[:2])
        weights = self._fusion(offered, shared, known.scores[None].to(parameter.device))
        return torch.as_tensor(weights[0].cpu())

    def _offered(
        self, index: int, frame: NDArray[Any], mask: NDArray[np.bool_], sources: _Sources
    ) -> Offers | None:
        wider = grown(mask, MARGIN)
        hole = around_mask(wider)
        if hole is None:
            return None
        box = hole.grown(PAD, mask.shape).coarser(2, 2).finer(2, 2)
        around = _surroundings(box.of(frame), box.of(mask), box.of(wider))
        rows, columns = np.nonzero(wider)
        start = np.stack([columns, rows], axis=1).astype(np.float32)
        asked = (rows - box.top, columns - box.left)
        context = (self._motion, sources.visible, self._count, index, start)
        traces = [
            *by_flow(*context, sources.by_flow),
            *by_camera(*context, sources.by_camera),
        ]
        candidates = [
            self._candidate(index, around, asked, trace, fetched)
            for trace, fetched in zip(traces, _fetched(traces, sources.frame), strict=True)
        ]
        return Offers(
            box=box,
            around=around,
            candidates=candidates,
            asked=asked,
            traces=traces,
        )

    def _candidate(
        self,
        index: int,
        around: Surroundings,
        asked: tuple[NDArray[np.int64], NDArray[np.int64]],
        trace: Trace,
        fetched: NDArray[np.float32],
    ) -> Candidate:
        pixels = np.zeros((*around.hole.shape, 3), np.float32)
        distance = np.zeros(around.hole.shape, np.float32)
        pixels[asked] = fetched
        distance[asked] = np.where(trace.frames >= 0, np.abs(trace.frames - index), 0)
        return candidate(around, pixels, distance)


def _surroundings(
    frame: NDArray[Any], hole: NDArray[np.bool_], wider: NDArray[np.bool_]
) -> Surroundings:
    """What is known of a box: its part of a frame, of the hole, and of the hole with its margin."""
    # OpenCV's fill looks at what it is to replace.
    blackened = np.where(hole[..., None], np.uint8(0), in_8_bits(frame))
    filled, margin_filled = (
        cv2.inpaint(blackened, part.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA)
        for part in (hole, wider)
    )
    scaled = [image.astype(np.float32) / np.float32(255) for image in (filled, margin_filled)]
    known = np.where(hole[..., None], scaled[0], in_float(frame))
    return surroundings(known.astype(np.float32), scaled[1], hole, wider & ~hole)


def _fetched(traces: list[Trace], frame: Callable[[int], NDArray[Any]]) -> NDArray[np.float32]:
    """The pixels (K, N, 3) that K traces lead to, 0 where they lead nowhere."""
    frames = np.stack([trace.frames for trace in traces])
    places = np.stack([trace.places for trace in traces])
    pixels = np.zeros((*frames.shape, 3), np.float32)
    for source in np.unique(frames[frames >= 0]):
        some = frames == source
        shown = frame(int(source))
        pixels[some] = sampled(shown, places[some]) / np.float32(steps(shown))
    return pixels


def _through(anchors: Mapping[int, Anchor], origins: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where what anchors show was fetched from, in place of the anchors: (h, w, 4)."""
    result = origins.copy()
    for index, anchor in anchors.items():
        some = (origins[..., 3] > 0) & (origins[..., 0] == index)
        at = origins[some][:, 1:3]
        x, y = (
            np.rint(at[:, axis]).clip(0, anchor.origins.shape[1 - axis] - 1).astype(np.int64)
            for axis in (0, 1)
        )
        through = anchor.origins[y, x]
        through[:, 1:3] += at - np.column_stack([x, y])
        through[:, 3] *= origins[some][:, 3]
        result[some] = through
    return result


def _mixed(weights: Tensor, pixels: Tensor) -> Tensor:
    """The mean (h, w, 3) of pixels (K, 3, h, w), weighed by (K, h, w)."""
    total = weights.sum(0).clamp(min=LEAST_TRUST)
    mixed: Tensor = torch.einsum("khw,kchw->hwc", weights, pixels) / total[..., None]
    return mixed


def _origins(
    offers: Offers, weights: Tensor, known: Seen, pixels: Tensor, trust: Tensor
) -> NDArray[np.float32]:
    """Where most of every pixel comes from, (h, w, 4), as :class:`Fill` says."""
    most = weights[1:].argmax(0, keepdim=True)
    shown = known.pixels[1:].take_along_dim(most[:, None], dim=0)[0].permute(1, 2, 0)
    agrees = (2 - (shown - pixels).abs().mean(-1) / AGREEMENT).clamp(0, 1)
    chosen = most[0].numpy()[offers.asked], np.arange(len(offers.asked[0]))
    frames = np.stack([trace.frames for trace in offers.traces])[chosen]
    places = np.stack([trace.places for trace in offers.traces])[chosen]
    origins = np.zeros((*offers.box.size, 4), np.float32)
    share = (trust * agrees).numpy()[offers.asked]
    origins[offers.asked] = np.column_stack([frames, places, share])
    return origins


def _specks_only(missing: NDArray[np.bool_]) -> bool:
    """Whether what was not found lies within :data:`SPECK` of what was."""
    depth = cv2.distanceTransform(missing.astype(np.uint8), cv2.DIST_L2, 3)
    return float(depth.max()) <= SPECK


def _nothing(box: Region) -> Fill:
    """A fill where no frame shows anything."""
    pixels, trust = np.zeros((*box.size, 3), np.float32), np.zeros(box.size, np.float32)
    origins = np.zeros((*box.size, 4), np.float32)
    return Fill(box=box, pixels=pixels, trust=trust, origins=origins)


def _kept(frame: NDArray[Any]) -> NDArray[Any]:
    """A frame as it waits to be fetched from: half floats are finer than what a fill needs."""
    return frame if frame.dtype == np.uint8 else frame.astype(np.float16)
