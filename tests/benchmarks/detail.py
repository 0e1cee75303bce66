"""What fine detail a fill gets from the plate where the model raster is smaller. On real clips.

    PYTHONPATH=. python tests/benchmarks/detail.py CLIPS [--frames 24] [--shrink 2 4] [--json FILE]

Every clip's own standing hole is cut out of its frames at their full size. The network sees them
shrunk; what it completes is enlarged, alone and with detail fetched from other frames. Told are
in-hole PSNR; sharpness, the mean step between neighboring pixels over that of the truth; and
flicker, by how many 8-bit steps a pixel's change from frame to frame misses that of the truth.
"""

import json
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import tyro

from node.clips import Region
from node.detail import fetched, lost
from node.params import Params
from node.raster import hole, resample
from sttn.evaluation.metrics.fidelity import hole_psnr
from sttn.inference import completed_frames
from sttn.model import load_generator
from tests.benchmarks.measures import sharpness, unsteadiness


def raster_of(width: int, height: int, shrink: float) -> tuple[int, int]:
    """Columns and rows of the model raster, multiples of 48."""
    columns, rows = (max(1, round(side / shrink / 48)) * 48 for side in (width, height))
    return columns, rows


def fills(truth: np.ndarray, mask: np.ndarray, shrink: float) -> dict[str, np.ndarray]:
    """Completed frames (T, H, W, 3) uint8; ``truth`` as well, and ``mask`` (H, W)."""
    light = truth.astype(np.float32) / 255
    height, width = mask.shape
    raster = raster_of(width, height, shrink)
    seen = [np.clip(resample(frame, *raster), 0, 1) for frame in light]
    details = [lost(frame, small) for frame, small in zip(light, seen, strict=True)]
    masks = np.repeat(hole(mask, *raster, Params().hole_grow)[None], len(truth), axis=0)
    whole = Region(left=0, top=0, right=width, bottom=height)
    origins: dict[int, np.ndarray] = {}
    enlarged, detailed = [], []
    completed = completed_frames(
        np.stack(seen), masks, load_generator(), origins=origins.__setitem__
    )
    for index, frame in completed:
        large = np.clip(resample(frame, width, height), 0, 1)
        enlarged.append((large * 255).round().astype(np.uint8))
        found = origins.pop(index, None)
        if found is not None:
            large = large + fetched(found, (width, height), whole, details.__getitem__)
        detailed.append((np.clip(large, 0, 1) * 255).round().astype(np.uint8))
    return {"enlarged": np.stack(enlarged), "with detail": np.stack(detailed)}


def main(
    clips: Annotated[Path, tyro.conf.Positional],
    frames: int = 24,
    shrink: tuple[float, ...] = (2, 4),
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measure every clip in a folder."""
    figures: dict[str, dict[str, list[float]]] = {}
    for clip in sorted(clips.iterdir()):
        files = sorted((clip / "frames").iterdir())[:frames]
        truth = np.stack([cv2.imread(str(file))[..., ::-1] for file in files])
        mask = cv2.imread(str(clip / "stationary_432x240.png"), cv2.IMREAD_GRAYSCALE)
        size = (truth.shape[2], truth.shape[1])
        mask = cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST) > 0
        for times in shrink:
            for name, result in fills(truth, mask, times).items():
                masks = np.repeat(mask[None], len(truth), axis=0)
                measures = (hole_psnr, sharpness, unsteadiness)
                told = [measure(result, truth, masks) for measure in measures]
                figures.setdefault(f"{name}, 1/{times:g}", {})[clip.name] = told
        print(clip.name, {n: np.round(f[clip.name], 2).tolist() for n, f in figures.items()})
    means = {name: np.mean(list(each.values()), axis=0).tolist() for name, each in figures.items()}
    for name, (decibel, sharp, unsteady) in means.items():
        print(f"{name}: {decibel:.2f} dB, sharpness {sharp:.2f}, flicker {unsteady:.1f}")
    if json_file is not None:
        json_file.write_text(json.dumps({"mean": means, "clips": figures}, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
