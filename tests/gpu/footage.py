"""Clips that tests on a GPU complete, and how far two of their pictures lie apart."""

from dataclasses import replace
from functools import cache

import numpy as np

from sttn.inference import PRESETS, WindowConfig
from tests.sttn.inference.moving import panned, with_hole


@cache
def clip(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Float frames (T, 96, 144, 3) over which a camera pans slowly, and a hole that stands.

    Other frames show its sides, and in a short clip none shows its middle: some is fetched, some
    made up.
    """
    frames = panned(seed=1, count=length, by=1)
    return frames.astype(np.float32) / 255, with_hole(frames)


def window_of(preset: str, propagate: bool) -> WindowConfig:
    """A preset, with or without real pixels."""
    return replace(PRESETS[preset], propagate=propagate)


def apart(one: np.ndarray, other: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """How far what fills the holes lies apart, in steps of 8 bits."""
    return np.abs(one[masks].astype(np.float64) - other[masks]) * 255
