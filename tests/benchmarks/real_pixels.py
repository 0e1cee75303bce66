"""What real pixels and texture cost, and what they bring, against the network alone, in one run.

    PYTHONPATH=. python tests/benchmarks/real_pixels.py CLIPS [--frames 40] [--json FILE]

Every clip is completed in three ways, in turns, in the precision that a server would take here.
Told are seconds per frame and to the first one; in-hole PSNR; sharpness, the mean step between
neighboring pixels over that of the truth; and flicker, by how many 8-bit steps a pixel's change
from frame to frame misses that of the truth.
"""

import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from sttn.device import choose_precision
from sttn.evaluation.cases import Case, ProtocolConfig, find_cases
from sttn.evaluation.metrics.fidelity import hole_psnr
from sttn.inference import WindowConfig, completed_frames
from sttn.model import load_generator
from tests.benchmarks.measures import sharpness, unsteadiness

WAYS = {
    "network alone": WindowConfig(propagate=False),
    "with real pixels": WindowConfig(texture=False),
    "and with texture": WindowConfig(),
}


def timed(case: Case, generator: torch.nn.Module, window: WindowConfig):
    """Seconds per frame, seconds to the first one, and the clip completed."""
    started, first, fills = time.perf_counter(), None, []
    for _, frame in completed_frames(case.frames, case.masks, generator, window):
        first = first or time.perf_counter() - started
        fills.append(frame)
    return ((time.perf_counter() - started) / len(fills), first), np.stack(fills)


def main(
    clips: Annotated[Path, tyro.conf.Positional],
    frames: int = 40,
    rounds: int = 2,
    pattern: str = "*",
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Measure every clip in a folder."""
    device = torch.device("cpu")
    precision = choose_precision("auto", device)
    generator = load_generator().to(device, precision)
    figures: dict[str, dict[str, list[float]]] = {}
    for source in find_cases(clips, ProtocolConfig(limit=frames, pattern=pattern)):
        case = source.read()
        told: dict[str, list[float]] = {}
        for name in list(WAYS) * rounds:
            times, fills = timed(case, generator, WAYS[name])
            least = [min(pair) for pair in zip(times, told.get(name, times), strict=False)]
            looks = (hole_psnr, sharpness, unsteadiness)
            told[name] = [*least, *(look(fills, case.truth, case.masks) for look in looks)]
        figures[case.name] = told
        print(case.name, {n: np.round(each, 3).tolist() for n, each in told.items()}, flush=True)
    means = {
        name: np.mean([told[name] for told in figures.values()], axis=0).tolist() for name in WAYS
    }
    for name, (each, first, decibel, sharp, unsteady) in means.items():
        print(
            f"{name}: {each:.3f} s per frame, {first:.2f} s to the first; {decibel:.2f} dB, "
            f"sharpness {sharp:.2f}, flicker {unsteady:.1f}"
        )
    ratios = {name: told[0] / means["network alone"][0] for name, told in means.items()}
    print(", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    if json_file is not None:
        result = {"ratio": ratios, "mean": means, "clips": figures}
        json_file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
