"""Clips in memory, and a node run over them."""

from collections.abc import Sequence

import numpy as np

from node.client import InpaintClient
from node.clips import Clips
from node.effect import InpaintEffect
from node.params import Params


class Frames:
    """A clip in memory."""

    def __init__(self, name: str, frames: dict[int, np.ndarray]) -> None:
        self.name = name
        self._frames = frames

    @property
    def frames(self) -> Sequence[int]:
        return sorted(self._frames)

    def read(self, frame: int) -> np.ndarray:
        return self._frames[frame]


def numbered(name: str, frames, first: int = 1001) -> Frames:
    """A clip of arrays, from frame 1001 on."""
    return Frames(name, {first + index: frame for index, frame in enumerate(frames)})


def shot(
    length: int = 3, size: tuple[int, int] = (96, 144), dtype: str = "f2", channels: int = 3
) -> Clips:
    """A plate full of awkward values from frame 1001 on, and a box as its matte."""
    rng = np.random.default_rng(0)
    plate = rng.uniform(0, 4, (length, *size, channels)).astype(dtype)
    if plate.dtype.kind == "f":
        plate[:, 0, :5, 0] = [np.nan, np.inf, -np.inf, -3, 60000]
    matte = np.zeros((length, *size), np.float32)
    matte[:, size[0] // 3 : size[0] // 2, size[1] // 3 : size[1] // 2] = 1
    return Clips(source=numbered("plate", plate), matte=numbered("matte", matte))


def within_range(clips: Clips, low: float = 0.05, high: float = 0.9) -> Clips:
    """The same shot with a plate that a display can show."""
    rng = np.random.default_rng(1)
    first = clips.source.read(1001)
    plate = [rng.uniform(low, high, first.shape).astype(first.dtype) for _ in clips.source.frames]
    return Clips(source=numbered("plate", plate), matte=clips.matte)


def rendered(
    clips: Clips, address: str, params: Params | None = None, frames: Sequence[int] | None = None
) -> dict[int, np.ndarray]:
    """Every frame as a host gets it."""
    effect = InpaintEffect(clips, params)
    wanted = clips.source.frames if frames is None else frames
    return dict(effect.render_sequence(wanted, lambda: InpaintClient(address), lambda *_: True))
