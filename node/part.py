"""One part of the plate on its way to the network and back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.clips import Pixels, Region
from node.color import BRIGHTEST, Float, PlateColor, decode
from node.composite import alpha_of
from node.detail import own_grain, without_grain
from node.grain import Grain
from node.raster import hole, resample
from node.tracks import Track


@dataclass(frozen=True, kw_only=True)
class Part:
    """A track, and what its surroundings tell about light and grain."""

    track: Track
    color: PlateColor
    """Conversion of the plate."""
    premultiplied: bool
    """Whether the plate's colors are multiplied by its alpha."""
    peak: float
    """Encoded value, at least 1, that the network sees as white; hardly any around the mattes is
    brighter."""
    grain: Grain | None
    """Of the plate around the mattes; None where it has none."""

    def code(self, plate: Pixels, index: int) -> Float:
        """The crop of a plate, (H, W, 3), 0 or more, in units of what the network calls 1.

        Nothing below black is ever filled in.
        """
        crop = self.track.crops[index].of(plate)
        values = code_values(crop, self.color, self.premultiplied)
        return np.asarray(np.maximum(values / np.float32(self.peak), 0), np.float32)

    def seen(self, code: Float) -> Float:
        """What the network sees of a crop: (height, width, 3) float32 in [0, 1]."""
        small = resample(np.minimum(code, 1), self.track.width, self.track.height)
        return np.clip(small, 0, 1)

    @property
    def loses_detail(self) -> bool:
        """Whether the model raster is smaller than the crop."""
        return self.track.scale < 1

    def hole_seen(self, covered: NDArray[np.bool_], index: int, grow: int) -> NDArray[np.bool_]:
        """What the network must fill or must not see: (height, width)."""
        track = self.track
        return hole(track.crops[index].of(covered), track.width, track.height, grow)

    def fill(
        self,
        completed: NDArray[Any],
        index: int,
        *,
        seed: tuple[int, int],
        grain: float,
        real: Callable[[], Float],
        detail: Float | None = None,
    ) -> Float:
        """Completed pixels at the plate's size.

        Args:
            completed: (height, width, 3) of the model raster, in [0, 1].
            index: Frame.
            seed: Of the grain; the same gives the same.
            grain: Share of the plate's grain that the fill has in the end, as far as it does not
                have more by itself.
            real: (H, W, 1) of what is composited, in [0, 1], how much of it other frames show: what
                was fetched brings grain along. Asked where grain is laid only.
            detail: (H, W, 3) of what is composited, what was fetched from plates beyond the model
                raster.

        Returns:
            (H, W, 3) of what is composited, ``track.boxes[index]``, scene-linear.
        """
        crop = self.track.crops[index]
        large = resample(completed, crop.width, crop.height, self.composited(index))
        code = np.clip(large, 0, 1) * np.float32(self.peak)
        fine = np.zeros_like(code) if detail is None else detail * np.float32(self.peak)
        if self.grain is None:
            return decode(np.clip(code + fine, 0, BRIGHTEST))
        fine, stays = without_grain(fine, self.grain, code)
        result = np.clip(code + fine, 0, BRIGHTEST)
        if grain > 0:
            has = real() * own_grain(code, self.grain, self.track.scale) + np.square(stays)
            result = self.grain.laid(result, seed, np.sqrt(np.maximum(grain**2 - has, 0)))
        return decode(result)

    def composited(self, index: int) -> Region:
        """What of the crop is composited."""
        crop = self.track.crops[index]
        return self.track.boxes[index].moved(-crop.left, -crop.top)


def code_values(plate: Pixels, color: PlateColor, premultiplied: bool) -> Float:
    """A plate (..., 3 or 4) in the working encoding: (..., 3), finite, unpremultiplied."""
    return color.to_code(plate[..., :3], alpha_of(plate, premultiplied))
