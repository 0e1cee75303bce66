"""The node, in the order a host calls it: survey, send, render, end."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.client import InpaintClient
from node.clips import Clip, Matte, Pixels, Region, covered_region
from node.color import Float, PlateColor, decode, encode, finite
from node.composite import clean_plate
from node.errors import CancelledError, ClipError
from node.params import Params
from node.raster import Fit, fit, hole, resample

logger = logging.getLogger(__name__)

Progress = Callable[[str, int, int], bool]
"""Called with the stage, frames done and frames in all; answers False to stop."""


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What one look at every frame tells before anything is sent."""

    color: PlateColor
    """Conversion of the plate."""
    fit: Fit | None
    """What the network sees; None where every matte is empty."""
    peak: float
    """Encoded value, at least 1, that the network sees as white; hardly any around the mattes
    is brighter."""


class InpaintEffect:
    """Completes the matted parts of a plate."""

    def __init__(self, source: Clip, matte: Clip, params: Params | None = None) -> None:
        self._source = source
        self._matte = matte
        self._params = params or Params()

    def render_sequence(
        self, frames: Sequence[int], client: Callable[[], InpaintClient], progress: Progress
    ) -> Iterator[tuple[int, Pixels]]:
        """Complete a range of frames, handing each over as soon as it is done.

        Args:
            frames: Numbers on the timeline, in rising order.
            client: Makes the connection; called only once there is something to send.
            progress: Called often, with the stages ``reading``, ``sending`` and ``completing``.

        Yields:
            Frame number and clean plate (H, W, 3), of the plate's type and color space;
            bit for bit the plate wherever the matte is 0.

        Raises:
            NodeError: what went wrong, in words for the artist.
        """
        survey = self.survey(frames, progress)
        if survey.fit is None:
            for frame in frames:
                yield frame, self._source.read(frame)
            return
        with client() as connection:
            sent = []
            for done, frame in enumerate(frames):
                sent.append(connection.send(*self._seen(frame, survey, survey.fit)))
                _report(progress, "sending", done + 1, len(frames))
            completing = _Completing(progress, len(frames))
            for index, completed in connection.complete(sent, cancelled=completing.stopped):
                yield frames[index], self._render(frames[index], completed, survey, survey.fit)
                completing.done = index + 1
            completing.stopped()

    def survey(self, frames: Sequence[int], progress: Progress) -> Survey:
        """Look at every frame once: is it there, does it fit, what does it hold.

        Raises:
            ClipError: a frame is missing or unreadable, or plate and matte differ in size.
        """
        if not frames:
            raise ClipError("the frame range is empty; give at least one frame")
        self._require_present(frames)
        covered: Region | None = None
        first: Pixels | None = None
        outside: list[str] = []
        for done, frame in enumerate(frames):
            plate, given = self._source.read(frame), self._matte.read(frame)
            matte = _clamped(given)
            first = plate if first is None else first
            self._require_same_size(frame, plate, matte, first)
            if not ((given >= 0) & (given <= 1)).all():
                outside.append(self._told_outside(frame, given))
            box = covered_region(matte)
            if box is not None:
                covered = box if covered is None else covered.united(box)
            _report(progress, "reading", done + 1, len(frames))
        if outside:
            logger.warning("%s (%d frames) are clamped to [0, 1]", outside[0], len(outside))
        assert first is not None
        color = PlateColor(self._params.color_space, first.dtype)
        size = (first.shape[1], first.shape[0])
        if covered is None:
            logger.warning("every matte is empty: the result is the plate")
            return Survey(color=color, fit=None, peak=1.0)
        chosen = fit(
            covered,
            size,
            surroundings=self._params.surroundings,
            model_pixels=self._params.model_pixels,
        )
        peak = max(self._peak(frame, chosen, color) for frame in _spread(frames))
        return Survey(color=color, fit=chosen, peak=peak)

    def _peak(self, frame: int, chosen: Fit, color: PlateColor) -> float:
        around = chosen.region.of(self._read_matte(frame)) == 0
        linear = finite(color.to_linear(chosen.region.of(self._source.read(frame))[around]))
        if not linear.size:
            return 1.0
        # A thousandth of all values may be brighter: a single firefly must not dim the shot.
        return max(1.0, float(np.percentile(encode(linear), 99.9)))

    def _seen(
        self, frame: int, survey: Survey, chosen: Fit
    ) -> tuple[NDArray[np.float16], NDArray[np.bool_]]:
        plate = chosen.region.of(self._source.read(frame))
        code = encode(finite(survey.color.to_linear(plate))) / np.float32(survey.peak)
        small = resample(np.clip(code, 0, 1), chosen.width, chosen.height)
        mask = hole(self._read_matte(frame), chosen, self._params.matte_grow)
        return np.clip(small, 0, 1).astype(np.float16), mask

    def _render(self, frame: int, completed: NDArray[Any], survey: Survey, chosen: Fit) -> Pixels:
        region = chosen.region
        code: Float = np.clip(resample(completed, region.width, region.height), 0, 1)
        linear = decode(code * np.float32(survey.peak))
        plate = self._source.read(frame)
        result = plate.copy()
        region.of(result)[...] = clean_plate(
            region.of(plate), linear, region.of(self._read_matte(frame)), survey.color
        )
        return result

    def _read_matte(self, frame: int) -> Matte:
        return _clamped(self._matte.read(frame))

    def _told_outside(self, frame: int, given: Matte) -> str:
        low, high = np.nanmin(given), np.nanmax(given)
        return f"{self._matte.name}, frame {frame}: matte values from {low:g} to {high:g}"

    def _require_present(self, frames: Sequence[int]) -> None:
        for clip in (self._source, self._matte):
            missing = sorted(set(frames) - set(clip.frames))
            if missing:
                raise ClipError(
                    f"{clip.name} has no frame {missing[0]}"
                    + (f" (nor {len(missing) - 1} others)" if len(missing) > 1 else "")
                    + f"; it has {_ranges(clip.frames)}. Add it or choose other frames"
                )

    def _require_same_size(self, frame: int, plate: Pixels, matte: Matte, first: Pixels) -> None:
        if matte.shape != plate.shape[:2]:
            raise ClipError(
                f"frame {frame}: matte is {matte.shape[1]}x{matte.shape[0]}, plate is "
                f"{plate.shape[1]}x{plate.shape[0]}; reformat the matte first"
            )
        if plate.shape != first.shape or plate.dtype != first.dtype:
            raise ClipError(
                f"frame {frame} of {self._source.name} is {plate.shape[1]}x{plate.shape[0]} "
                f"{plate.dtype}, the first one {first.shape[1]}x{first.shape[0]} {first.dtype}; "
                "make the plate one size first"
            )


class _Completing:
    """Reports progress whenever the client asks whether to stop."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self.done = 0

    def stopped(self) -> bool:
        """Whether the artist wants to stop."""
        return not self._progress("completing", self.done, self._total)


def _clamped(matte: Matte) -> Matte:
    return np.clip(np.nan_to_num(matte, nan=0.0), 0, 1)


def _report(progress: Progress, stage: str, done: int, total: int) -> None:
    if not progress(stage, done, total):
        raise CancelledError("cancelled")


def _spread(frames: Sequence[int]) -> Sequence[int]:
    # The peak needs no more than a look at some frames over the whole shot.
    return frames[:: max(1, len(frames) // 16)]


def _ranges(frames: Sequence[int]) -> str:
    return f"{frames[0]}-{frames[-1]}" if len(frames) else "none"
