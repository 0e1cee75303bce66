"""Optical flow by OpenCV, and what is done with flows: warping."""

from functools import lru_cache
from threading import local
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from sttn.footage import Image

Flow = NDArray[np.float32]
"""(H, W, 2) x and y in pixels: where each pixel of one frame lies in another."""


LOOKED_AT = 48
"""Pixels around a hole in which flow is looked for. The outer half of them counts for nothing: what
moves across their border has no counterpart."""


class FlowEstimator(Protocol):
    """Finds the flow from one frame to another."""

    name: str
    """Told beside every figure that depends on it."""

    def __call__(self, start: Image, end: Image) -> Flow:
        """The flow from ``start`` to ``end``, both (H, W, 3) uint8 RGB."""
        ...


class DisFlow:
    """OpenCV's dense inverse search (Kroeger et al., ECCV 2016), preset "medium".

    Threads may share it.

    Args:
        finest: Halvings of the raster at which the search ends; the preset's own is 1.
        rounds: Refinements of every scale by its neighborhood; the preset's own are 5.
    """

    name = "DIS"

    def __init__(self, finest: int = 1, rounds: int = 5) -> None:
        self._finest, self._rounds = finest, rounds
        self._own = local()

    def __call__(self, start: Image, end: Image) -> Flow:
        """As :class:`FlowEstimator` says."""
        gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (start, end)]
        if not hasattr(self._own, "search"):
            self._own.search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
            self._own.search.setVariationalRefinementIterations(self._rounds)
        # For a small image OpenCV chooses another one, and keeps to it.
        self._own.search.setFinestScale(self._finest)
        return np.asarray(self._own.search.calc(*gray, None), np.float32)


@lru_cache(maxsize=8)  # holes have many sizes
def grid(height: int, width: int) -> NDArray[np.float32]:
    """Each pixel's own place, (height, width, 2) x and y; shared, so do not write to it."""
    axes = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    places = np.stack(np.meshgrid(*axes), axis=-1)
    places.flags.writeable = False
    return places


def squared_length(flow: Flow) -> NDArray[np.float32]:
    """(H, W), by how many pixels, squared, a flow (H, W, 2) moves."""
    return np.asarray(np.einsum("hwc,hwc->hw", flow, flow), np.float32)


def warped(
    image: NDArray[np.generic], flow: Flow, interpolation: int = cv2.INTER_LINEAR
) -> NDArray[np.float32]:
    """What each pixel finds where the flow leads, the border repeated.

    Args:
        image: (H, W) or (H, W, C), the frame that the flow leads to.
        flow: (H, W, 2).
        interpolation: OpenCV's, bilinear by default.

    Returns:
        The shape of ``image``, float32.
    """
    places = grid(*flow.shape[:2]) + flow
    found = cv2.remap(  # type: ignore[call-overload]  # the stubs know no 2-channel maps
        image.astype(np.float32), places, None, interpolation, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(found, np.float32)
