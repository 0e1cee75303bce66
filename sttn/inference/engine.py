"""Runs the generator over a clip, window by window, in memory that does not grow with length."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sttn.errors import CancelledError, InvalidClipError
from sttn.inference.windows import Window, WindowConfig, windows
from sttn.model import Generator
from sttn.model.generator import RASTER_MULTIPLE

Pixels = NDArray[Any]
"""(H, W, 3) uint8 in [0, 255] or float32 in [0, 1], display-referred RGB."""


def never() -> bool:
    """The answer of a caller that does not cancel."""
    return False


def complete(
    frames: Pixels,
    masks: NDArray[np.bool_],
    generator: Generator,
    window: WindowConfig | None = None,
) -> Pixels:
    """Fill the holes of a clip.

    Args:
        frames: (T, H, W, 3) uint8, or float32 in [0, 1]; H and W multiples of 48.
        masks: (T, H, W) bool, True inside the hole.
        generator: The network, on the device that shall compute.
        window: How the clip is cut; the default suits most shots.

    Returns:
        (T, H, W, 3) of the type of ``frames``; outside the holes bit for bit ``frames``.

    Raises:
        InvalidClipError: shapes or types do not fit.
    """
    return np.stack([frame for _, frame in completed_frames(frames, masks, generator, window)])


def completed_frames(
    frames: Sequence[Pixels] | Pixels,
    masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
    generator: Generator,
    window: WindowConfig | None = None,
    *,
    precision: torch.dtype = torch.float32,
    cancelled: Callable[[], bool] = never,
) -> Iterator[tuple[int, Pixels]]:
    """Fill the holes of a clip, handing over each frame as soon as it is final.

    Frames and masks are read by index when they are needed, so they may live on disk.

    Args:
        frames: T frames (H, W, 3), read by index; as in :func:`complete`.
        masks: T masks (H, W) bool, True inside the hole.
        generator: The network, on the device that shall compute.
        window: How the clip is cut.
        precision: Type of the arithmetic, ``torch.float32`` or ``torch.bfloat16``.
        cancelled: Asked before every window.

    Yields:
        Index and completed frame, in order of the index.

    Raises:
        InvalidClipError: shapes or types do not fit.
        CancelledError: ``cancelled`` answered True.
    """
    if len(frames) == 0:
        raise InvalidClipError("the clip has no frames")
    if len(frames) != len(masks):
        raise InvalidClipError(f"the clip has {len(frames)} frames but {len(masks)} masks")
    engine = _Engine(frames, masks, generator, precision)
    done = 0
    for each in windows(len(frames), window or WindowConfig()):
        if cancelled():
            raise CancelledError("cancelled by the caller")
        # What lies before this window gets no further share.
        for index in range(done, each.neighbors.start):
            yield index, engine.finished(index)
        done = max(done, each.neighbors.start)
        engine.run(each)
    for index in range(done, len(frames)):
        yield index, engine.finished(index)


class _Engine:
    """Features of frames still needed, and sums of completed frames not yet final."""

    def __init__(
        self,
        frames: Sequence[Pixels] | Pixels,
        masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
        generator: Generator,
        precision: torch.dtype,
    ) -> None:
        self._frames = frames
        self._masks = masks
        self._generator = generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = next(generator.parameters()).device
        self._precision = precision
        self._features: dict[int, Tensor] = {}  # each (C, H/4, W/4)
        self._hidden: dict[int, Tensor] = {}  # each (1, H, W), 1 inside the hole
        self._sums: dict[int, tuple[Tensor, float]] = {}  # (3, H, W) in [-1, 1], and its weight
        self._shape = np.shape(frames[0])
        self._type = frames[0].dtype

    @torch.inference_mode()
    def run(self, window: Window) -> None:
        """Complete a window's neighbors and add them to the sums."""
        seen = [*window.neighbors, *window.references]
        for index in set(self._features) - set(seen):
            del self._features[index], self._hidden[index]
        for index in seen:
            self._encode(index)
        if not any(self._hidden[index].any() for index in window.neighbors):
            return
        with torch.autocast(
            self._device.type, self._precision, enabled=self._precision is not torch.float32
        ):
            features = torch.stack([self._features[index] for index in seen])
            hidden = torch.stack([self._hidden[index] for index in seen])[None]
            features = self._generator.transform(
                features, self._generator.feature_mask(hidden), batch=1
            )
            # References only lend; nobody looks at them completed.
            completed = self._generator.decode(features[: len(window.neighbors)]).float()
        for index, frame in zip(window.neighbors, completed, strict=True):
            share = window.weight(index)
            total, weight = self._sums.get(index, (torch.zeros_like(frame), 0.0))
            self._sums[index] = (total + share * frame, weight + share)

    def finished(self, index: int) -> Pixels:
        """The final frame, its pixels outside the hole untouched."""
        frame, mask = np.array(self._frames[index]), self._masks[index]
        if index not in self._sums:  # nothing to fill anywhere near
            return frame
        total, weight = self._sums.pop(index)
        filled = ((total / weight + 1) / 2).clamp(0, 1).permute(1, 2, 0).cpu().numpy()
        if frame.dtype == np.uint8:
            filled = np.round(filled * 255)
        frame[mask] = filled[mask].astype(frame.dtype)
        return frame

    @torch.inference_mode()
    def _encode(self, index: int) -> None:
        if index in self._features:
            return
        frame, mask = self._frames[index], self._masks[index]
        self._require_fit(index, frame, mask)
        pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(self._device)
        scaled = pixels.float() / 255 if pixels.dtype == torch.uint8 else pixels
        hidden = torch.from_numpy(np.ascontiguousarray(mask)).to(self._device, torch.float32)[None]
        inside = (scaled.permute(2, 0, 1).clamp(0, 1) * 2 - 1) * (1 - hidden)
        with torch.autocast(
            self._device.type, self._precision, enabled=self._precision is not torch.float32
        ):
            batch = inside[None].contiguous(memory_format=torch.channels_last)
            self._features[index] = self._generator.encode(batch)[0]
        self._hidden[index] = hidden

    def _require_fit(self, index: int, frame: Pixels, mask: NDArray[np.bool_]) -> None:
        height, width = self._shape[:2]
        if height % RASTER_MULTIPLE or width % RASTER_MULTIPLE or self._shape[2:] != (3,):
            raise InvalidClipError(
                f"frames are {'x'.join(map(str, self._shape))}; height and width must be "
                f"multiples of {RASTER_MULTIPLE}, with 3 channels"
            )
        if self._type not in (np.uint8, np.float32):
            raise InvalidClipError(f"frames are {self._type}; give uint8, or float32 in [0, 1]")
        if frame.shape != self._shape or frame.dtype != self._type:
            raise InvalidClipError(
                f"frame {index} is {frame.dtype} {frame.shape}, "
                f"the first one {self._type} {self._shape}"
            )
        if mask.shape != self._shape[:2] or mask.dtype != np.bool_:
            raise InvalidClipError(
                f"mask {index} is {mask.dtype} {mask.shape}; give bool {self._shape[:2]}"
            )
        if not np.isfinite(frame).all():
            raise InvalidClipError(f"frame {index} holds NaN or inf; replace them first")
