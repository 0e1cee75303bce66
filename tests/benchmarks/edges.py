"""Measures whether colors shift at the edge of a hole: what ships beside OpenCV's Telea.

    PYTHONPATH=. python tests/benchmarks/edges.py CLIPS

CLIPS is what sttn-evaluate takes; holes are its stationary ones. A shift is what the innermost row
of completed pixels differs from the truth by, mean over a clip, in 8-bit steps: noise and texture
cancel out, a color that is off does not. Of the three channels the largest counts.
"""

from pathlib import Path

import cv2
import numpy as np
import tyro
from numpy.typing import NDArray

from sttn.evaluation.cases import Case, ProtocolConfig, find_cases
from sttn.footage import Image
from sttn.inference import DEFAULT_PRESET, PRESETS, complete
from sttn.model import load_generator

AIM = 1.0
"""Steps that nobody sees."""


def shift(completed: Image, truth: Image, masks: NDArray[np.bool_]) -> float:
    """The largest channel's, of frames (T, H, W, 3) with holes (T, H, W)."""
    square = np.ones((3, 3), np.uint8)
    inner = np.stack([cv2.erode(mask.astype(np.uint8), square) > 0 for mask in masks])
    edge = masks & ~inner
    apart = completed[edge].astype(np.float64) - truth[edge]
    return float(np.abs(apart.mean(axis=0)).max())


def by_telea(case: Case) -> Image:
    """Every frame filled in space."""
    return np.stack(
        [
            cv2.inpaint(frame, mask.astype(np.uint8), 3, cv2.INPAINT_TELEA)
            for frame, mask in zip(case.frames, case.masks, strict=True)
        ]
    )


def main(clips: tyro.conf.Positional[Path], pattern: str = "*") -> None:
    """Complete every clip and print its shifts."""
    generator, shifts = load_generator(), []
    for source in find_cases(clips, ProtocolConfig(pattern=pattern)):
        case = source.read()
        assert case.truth is not None, "stationary holes are cut into known pixels"
        ours = complete(case.frames, case.masks, generator, PRESETS[DEFAULT_PRESET])
        both = [shift(each, case.truth, case.masks) for each in (ours, by_telea(case))]
        print(f"{case.name:24} {both[0]:5.2f}   Telea {both[1]:5.2f}", flush=True)
        shifts.append(both)
    ours, telea = np.mean(shifts, axis=0)
    below = sum(each < AIM for each, _ in shifts)
    print(f"{'mean':24} {ours:5.2f}   Telea {telea:5.2f}; {below} of {len(shifts)} below {AIM:g}")


if __name__ == "__main__":
    tyro.cli(main)
