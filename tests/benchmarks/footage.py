"""A clip made by rule: a textured background that pans, and a hole that travels across it."""

import cv2
import numpy as np


def moving_clip(
    count: int, width: int, height: int, hole: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, H, W, 3) uint8 and masks (T, H, W).

    Args:
        count: T.
        width: W.
        height: H.
        hole: Share of every frame that is hole, in (0, 1]; its sides are in the frame's ratio.
        seed: The same seed gives the same clip.
    """
    rng = np.random.default_rng(seed)
    world = np.zeros((height + 64, width * 2, 3), np.float32)
    for cells in (8, 32, 128):
        noise = rng.uniform(0, 1, (cells, 2 * cells, 3)).astype(np.float32)
        world += cv2.resize(noise, (world.shape[1], world.shape[0]), interpolation=cv2.INTER_CUBIC)
    world = np.clip(world / 3 * 255, 0, 255).astype(np.uint8)
    side = np.sqrt(hole)
    tall, wide = max(1, round(height * side)), max(1, round(width * side))
    frames = np.empty((count, height, width, 3), np.uint8)
    masks = np.zeros((count, height, width), np.bool_)
    for index in range(count):
        pan = round((width - 1) * (0.5 - 0.5 * np.cos(2 * np.pi * index / 120)))
        frames[index] = world[32 : 32 + height, pan : pan + width]
        top = (height - tall) // 2
        left = round((width - wide) * (0.5 - 0.5 * np.cos(2 * np.pi * index / 60)))
        masks[index, top : top + tall, left : left + wide] = True
    return frames, masks
