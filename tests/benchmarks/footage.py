"""A clip made by rule: a textured background that pans, and a hole that travels across it."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np


class Drawn(Sequence[np.ndarray]):
    """Images of a clip, drawn when they are asked for, so that length costs no memory."""

    def __init__(self, count: int, draw: Callable[[int], np.ndarray]) -> None:
        self.count = count
        self.draw = draw

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        return self.draw(index)


def drawn_clip(
    count: int, width: int, height: int, hole: float, seed: int = 0
) -> tuple[Drawn, Drawn]:
    """T frames (H, W, 3) uint8 and T masks (H, W).

    Args:
        count: T.
        width: W.
        height: H.
        hole: Share of every frame that is hole, in (0, 1]; its sides are in the frame's ratio.
        seed: The same seed gives the same clip.
    """
    rng = np.random.default_rng(seed)
    world = np.zeros((height, width * 2, 3), np.float32)
    for cells in (8, 32, 128):
        noise = rng.uniform(0, 1, (cells, 2 * cells, 3)).astype(np.float32)
        world += cv2.resize(noise, (world.shape[1], world.shape[0]), interpolation=cv2.INTER_CUBIC)
    world = np.clip(world / 3 * 255, 0, 255).astype(np.uint8)
    side = np.sqrt(hole)
    tall, wide = max(1, round(height * side)), max(1, round(width * side))

    def frame(index: int) -> np.ndarray:
        pan = round((width - 1) * (0.5 - 0.5 * np.cos(2 * np.pi * index / 120)))
        return world[:, pan : pan + width]

    def mask(index: int) -> np.ndarray:
        image = np.zeros((height, width), np.bool_)
        top = (height - tall) // 2
        left = round((width - wide) * (0.5 - 0.5 * np.cos(2 * np.pi * index / 60)))
        image[top : top + tall, left : left + wide] = True
        return image

    return Drawn(count, frame), Drawn(count, mask)


def moving_clip(
    count: int, width: int, height: int, hole: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """As :func:`drawn_clip`, in memory: (T, H, W, 3) uint8 and (T, H, W)."""
    frames, masks = drawn_clip(count, width, height, hole, seed)
    return np.stack(list(frames)), np.stack(list(masks))
