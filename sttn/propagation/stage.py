"""One frame after another: what other frames show of its hole."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    FARTHEST_BY_CAMERA,
    Trace,
    by_camera,
    by_flow,
    sampled,
)

TELEA_RADIUS = 3.0
"""Pixels around a missing one that the fill in space looks at."""

LEAST_TRUST, MOST_TRUST = 0.02, 0.95
"""Weights of what was fetched that count as none and as all."""

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

    def origins_over(self, size: tuple[int, ...]) -> NDArray[np.float32]:
        """Origins of a whole frame of (H, W): (H, W, 4); frame -1 where nothing was fetched."""
        result = np.zeros((*size, 4), np.float32)
        result[..., 0] = -1
        fetched = self.origins[..., 3] > 0
        self.box.of(result)[fetched] = self.origins[fetched]
        return result


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

    @torch.inference_mode()
    def fill(self, index: int) -> Fill | None:
        """What other frames show of a frame's hole, merged; None where it has none."""
        offers = self.offers(index)
        if offers is None:
            return None
        if not any(offer.found.any() for offer in offers.candidates):
            return _nothing(offers.box)
        parameter = next(self._fusion.parameters())
        known = seen(offers.around, offers.candidates)
        offered, shared = (part[None].to(parameter) for part in known[:2])
        weights = self._fusion(offered, shared, known.scores[None].to(parameter.device))[0].cpu()
        hole = offers.around.hole
        fetched = weights[1:].sum(0)
        trust = (fetched - LEAST_TRUST).clamp(0) / (MOST_TRUST - LEAST_TRUST)
        trust = trust.clamp(max=1) * torch.from_numpy(np.ascontiguousarray(hole))
        pixels = _mixed(weights[1:], known.pixels[1:])
        origins = _origins(offers, weights, known, pixels, trust)
        if _specks_only(hole & (trust.numpy() < HALF)):
            pixels, trust = _mixed(weights, known.pixels), torch.from_numpy(hole.astype(np.float32))
        return Fill(box=offers.box, pixels=pixels.numpy(), trust=trust.numpy(), origins=origins)

    def offers(self, index: int) -> Offers | None:
        """What other frames offer for a frame's hole; None where it has none."""
        mask = self._masks[index]
        wider = grown(mask, MARGIN)
        hole = around_mask(wider)
        if hole is None:
            return None
        box = hole.grown(PAD, mask.shape).coarser(2, 2).finer(2, 2)
        around = self._surroundings(index, box, wider)
        rows, columns = np.nonzero(wider)
        start = np.stack([columns, rows], axis=1).astype(np.float32)
        asked = (rows - box.top, columns - box.left)
        context = (self._motion, self._visible.__getitem__, self._count, index, start)
        traces = [*by_flow(*context), *by_camera(*context)]
        candidates = [
            self._candidate(index, around, asked, trace, fetched)
            for trace, fetched in zip(traces, self._fetched(traces), strict=True)
        ]
        return Offers(
            box=box,
            around=around,
            candidates=candidates,
            asked=asked,
            traces=traces,
        )

    def _surroundings(self, index: int, box: Region, wider: NDArray[np.bool_]) -> Surroundings:
        hole = box.of(self._masks[index])
        # OpenCV's fill looks at what it is to replace.
        frame = np.where(hole[..., None], np.uint8(0), box.of(in_8_bits(self._frames[index])))
        both = box.of(wider)
        filled, margin_filled = (
            cv2.inpaint(frame, part.astype(np.uint8), TELEA_RADIUS, cv2.INPAINT_TELEA)
            for part in (hole, both)
        )
        scaled = [image.astype(np.float32) / np.float32(255) for image in (filled, margin_filled)]
        known = np.where(hole[..., None], scaled[0], in_float(box.of(self._frames[index])))
        return surroundings(known.astype(np.float32), scaled[1], hole, both & ~hole)

    def _fetched(self, traces: list[Trace]) -> NDArray[np.float32]:
        """The pixels (K, N, 3) that K traces lead to, 0 where they lead nowhere."""
        frames = np.stack([trace.frames for trace in traces])
        places = np.stack([trace.places for trace in traces])
        pixels = np.zeros((*frames.shape, 3), np.float32)
        for source in np.unique(frames[frames >= 0]):
            some = frames == source
            frame = self._frames[int(source)]
            pixels[some] = sampled(frame, places[some]) / np.float32(steps(frame))
        return pixels

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
