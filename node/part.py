"""One part of the plate on its way to the network and back."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.clips import Pixels
from node.color import Float, PlateColor, decode, encode, finite
from node.composite import alpha_of
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

    def plate_seen(self, plate: Pixels, index: int) -> Float:
        """What the network sees of a plate: (height, width, 3) float32 in [0, 1]."""
        track = self.track
        code = code_values(track.crops[index].of(plate), self.color, self.premultiplied)
        small = resample(np.clip(code / np.float32(self.peak), 0, 1), track.width, track.height)
        return np.clip(small, 0, 1)

    def hole_seen(self, covered: NDArray[np.bool_], index: int, grow: int) -> NDArray[np.bool_]:
        """What the network must fill or must not see: (height, width)."""
        track = self.track
        return hole(track.crops[index].of(covered), track.width, track.height, grow)

    def fill(
        self, completed: NDArray[Any], index: int, *, seed: tuple[int, int], grain: float
    ) -> Float:
        """Completed pixels at the plate's size.

        Args:
            completed: (height, width, 3) of the model raster, in [0, 1].
            index: Frame.
            seed: Of the grain; the same gives the same.
            grain: Share of the plate's grain that is laid over the fill.

        Returns:
            (H, W, 3) of what is composited, ``track.boxes[index]``, scene-linear.
        """
        crop, box = self.track.crops[index], self.track.boxes[index]
        large = resample(completed, crop.width, crop.height)
        code = np.clip(box.moved(-crop.left, -crop.top).of(large), 0, 1) * np.float32(self.peak)
        if self.grain is not None and grain > 0:
            code = self.grain.laid(code, seed, grain)
        return decode(code)


def code_values(plate: Pixels, color: PlateColor, premultiplied: bool) -> Float:
    """A plate in the working encoding: (H, W, 3), finite, unpremultiplied."""
    alpha = alpha_of(plate, premultiplied)
    with np.errstate(invalid="ignore", over="ignore"):
        return encode(finite(color.to_linear(plate[..., :3], alpha)))
