"""One look at every frame before anything is sent: what is there, where the mattes are."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.clips import Matte, Region
from node.color import PlateColor
from node.grain import GrainMeter
from node.part import Part, code_values
from node.shot import Shot
from node.tracks import Framing, Track, islands, tracks

logger = logging.getLogger(__name__)

SAMPLED_FRAMES = 12
"""Frames, spread over the shot, that light and grain are measured in."""

SAMPLED_PIXELS = 2**19
"""Pixels of a frame, spread over it, by which its light is measured."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one look at every frame tells."""

    frames: tuple[int, ...]
    """Frames that the network sees, in order: wanted ones, handles and clean frames."""
    wanted: frozenset[int]
    """Frames that the host wants back."""
    painted: frozenset[int]
    """Frames that the artist painted: shown to the network whole, never completed."""
    parts: tuple[Part, ...]
    """What is completed; none where every matte is empty."""
    color: PlateColor
    """Conversion of the plate."""

    def completed_by_network(self, part: Part) -> frozenset[int]:
        """Indices of the frames that one part is completed in."""
        return frozenset(
            index for index in part.track.boxes if self.frames[index] in self.wanted - self.painted
        )


def survey(
    shot: Shot, wanted: Sequence[int], others: Sequence[int], seen: Callable[[int, int], None]
) -> Survey:
    """Look at every frame once: is it there, does it fit, what does it hold.

    Args:
        shot: What the host connected.
        wanted: Frames to complete.
        others: Frames of the same range that are completed already: crops are chosen for them too,
            so that what is done later fits what was done before.
        seen: Told how many frames of how many were read.

    Raises:
        ClipError: a frame is missing or unreadable, or its size is not the others'.
        ColorError: a color space is unknown.
    """
    covered = sorted({*wanted, *others})
    shot.require_present(covered)
    frames = sorted({*covered, *shot.around(covered)})
    found: list[list[Region]] = [[] for _ in frames]
    outside: list[str] = []
    visible = False
    shot.expect(frames)
    size, dtype = (0, 0), np.dtype(np.float32)
    for index, frame in enumerate(frames):
        plate = shot.plate(frame)
        size, dtype = (plate.shape[1], plate.shape[0]), plate.dtype
        if shot.is_painted(frame):
            shot.painted(frame)
        if shot.has_matte(frame):
            given = shot.given_matte(frame)
            if not ((given >= 0) & (given <= 1)).all():
                outside.append(_told_outside(frame, given))
            if covered[0] <= frame <= covered[-1]:
                hole = shot.matte(frame, given) > 0
                found[index] = islands(hole)
                visible = visible or not hole.all()
        else:
            visible = True
        seen(index + 1, len(frames))
    if outside:
        logger.warning("%s (%d frames) are clamped to [0, 1]", outside[0], len(outside))
    params = shot.params
    color = PlateColor(
        params.color_space, dtype, config=params.ocio_config, working_space=params.working_space
    )
    framing = Framing(size=size, surroundings=params.surroundings, model_pixels=params.model_pixels)
    if not any(found):
        logger.warning("every matte is empty: the result is the plate")
    elif not visible:
        logger.warning(
            "every matte covers its whole frame: nothing is left to take from; where a file has "
            "alpha, that is the matte, unless you choose another channel"
        )
    chosen = tracks(found, framing) if params.crop_to_matte else framing.whole(found)
    return Survey(
        frames=tuple(frames),
        wanted=frozenset(wanted),
        painted=frozenset(filter(shot.is_painted, frames)),
        parts=tuple(_parts(shot, chosen, frames, color)),
        color=color,
    )


def _parts(
    shot: Shot, chosen: Sequence[Track], frames: Sequence[int], color: PlateColor
) -> Iterator[Part]:
    encoded = partial(code_values, color=color, premultiplied=shot.params.premultiplied)
    peaks, grains = [1.0] * len(chosen), [GrainMeter(encoded) for _ in chosen]
    step = max(1, len(frames) // SAMPLED_FRAMES)
    sampled = range(0, len(frames), step) if chosen else ()
    shot.expect([frame for index in sampled for frame in frames[index : index + 2]])
    for index in sampled:
        near = [shot.look(frame) for frame in frames[index : index + 2]]
        for number, track in enumerate(chosen):
            crop = track.crops[index]
            plates = [crop.of(plate) for plate, _ in near]
            seen = [~crop.of(covered) for _, covered in near]
            some, shown = (_sampled(image) for image in (plates[0], seen[0]))
            if shown.any():
                # A thousandth of all values may be brighter: a firefly must not dim the shot.
                bright = float(np.percentile(encoded(some)[shown], 99.9))
                peaks[number] = max(peaks[number], bright)
            following = plates[1] if len(near) == 2 else None
            grains[number].add(plates[0], following, seen[0] & seen[-1])
    for track, peak, grain in zip(chosen, peaks, grains, strict=True):
        yield Part(
            track=track,
            color=color,
            premultiplied=shot.params.premultiplied,
            peak=peak,
            grain=grain.measured(),
        )


def _sampled(image: NDArray[Any]) -> NDArray[Any]:
    """As many rows and columns of (H, W, ...), spread evenly, as light is measured by."""
    step = math.ceil((image.shape[0] * image.shape[1] / SAMPLED_PIXELS) ** 0.5)
    return image[::step, ::step]


def _told_outside(frame: int, given: Matte) -> str:
    known = given[~np.isnan(given)]
    if not known.size:
        return f"matte, frame {frame}: nothing but NaN"
    return f"matte, frame {frame}: values from {known.min():g} to {known.max():g}"
