"""A clip as the network sees it: larger frames are shrunk to about the raster it was trained at.

Patches grow with the raster, and at twice the size nothing is as it was learned. On eight real
clips seen at 864x480 the network alone fills 0.54 dB better by way of 432x240, and 0.17 dB are lost
at 528x288 already.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.inference.clip import Clip, Mask, Pixels
from sttn.model.region import Region
from sttn.propagation.shown import in_float
from sttn.settings.raster import RASTER_MULTIPLE, TRAINED_PIXELS

LARGER = 1.25
"""How many times the pixels trained at are still seen as they are."""

INTERPOLATED = 2
"""Cells beyond each side of a part that enlarging it looks at."""


class Sight:
    """Frames and masks of a clip on the network's raster, and the way back.

    Args:
        clip: The clip.
        trained_pixels: Of the raster that the network was trained at; None shrinks nothing. The
            paper's raster is the least that frames are shrunk to: a smaller one hides too much.
    """

    def __init__(self, clip: Clip, trained_pixels: int | None) -> None:
        self._clip = clip
        self.size = clip.size
        """Height and width of what the network sees."""
        if trained_pixels is not None:
            pixels = max(trained_pixels, TRAINED_PIXELS)
            if math.prod(clip.size) > LARGER * pixels:
                self.size = _raster(clip.size, pixels)

    def frame(self, index: int) -> Pixels:
        """One frame; float32 in [0, 1] where it is shrunk."""
        frame = self._clip.frame(index)
        if self._is_whole:
            return frame
        shrunk = cv2.resize(in_float(frame), self.size[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(shrunk, np.float32)

    def mask(self, index: int) -> Mask:
        """One mask: every cell that touches the hole."""
        mask = self._clip.mask(index)
        if self._is_whole:
            return mask
        share = cv2.resize(mask.astype(np.float32), self.size[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(share > 0, np.bool_)

    def region(self, part: Region) -> Region:
        """What the network has to tell for a part of the frame to be known."""
        if self._is_whole:
            return part
        (height, width), (tall, wide) = self.size, self._clip.size
        touched = Region(
            part.top * height // tall,
            -(-part.bottom * height // tall),
            part.left * width // wide,
            -(-part.right * width // wide),
        )
        return touched.grown(INTERPOLATED, self.size)

    def enlarged(self, said: NDArray[np.float32], part: Region) -> NDArray[np.float32]:
        """A part of the frame, (h, w, 3) in [0, 1], by what was said of its :meth:`region`."""
        if self._is_whole:
            return said
        seen = self.region(part)
        down, across = (ours / its for ours, its in zip(self.size, self._clip.size, strict=True))
        placed = np.array(
            [
                [across, 0, (part.left + 0.5) * across - 0.5 - seen.left],
                [0, down, (part.top + 0.5) * down - 0.5 - seen.top],
            ]
        )
        enlarged = cv2.warpAffine(
            said,
            placed,
            part.size[::-1],
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(enlarged.clip(0, 1), np.float32)

    @property
    def _is_whole(self) -> bool:
        return self.size == self._clip.size


def _raster(size: tuple[int, int], pixels: int) -> tuple[int, int]:
    """The raster that the network takes which is most like a size, and has about so many pixels."""
    steps = (pixels / math.prod(size)) ** 0.5 / RASTER_MULTIPLE
    height, width = (max(1, round(length * steps)) * RASTER_MULTIPLE for length in size)
    return height, width
