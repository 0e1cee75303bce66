"""What looking for real pixels costs, against the network alone, in one run.

    PYTHONPATH=. python tests/benchmarks/real_pixels.py CLIPS [--frames 40] [--json FILE]

Every clip is completed with and without, in turns, in the precision that a server would take here.
"""

import json
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro

from sttn.device import choose_precision
from sttn.evaluation.cases import ProtocolConfig, find_cases
from sttn.inference import WindowConfig, completed_frames
from sttn.model import load_generator


def timed(frames: np.ndarray, masks: np.ndarray, generator: torch.nn.Module, propagate: bool):
    """Seconds per frame, and seconds to the first one."""
    started, first = time.perf_counter(), None
    window = WindowConfig(propagate=propagate)
    for _ in completed_frames(frames, masks, generator, window):
        first = first or time.perf_counter() - started
    return (time.perf_counter() - started) / len(frames), first


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
        told = {}
        for name, propagate in (("network alone", False), ("with real pixels", True)) * rounds:
            times = timed(case.frames, case.masks, generator, propagate)
            told[name] = [min(pair) for pair in zip(times, told.get(name, times), strict=True)]
        figures[case.name] = told
        print(case.name, {n: [round(t, 3) for t in pair] for n, pair in told.items()}, flush=True)
    means = {
        name: np.mean([told[name] for told in figures.values()], axis=0).tolist()
        for name in ("network alone", "with real pixels")
    }
    for name, (each, first) in means.items():
        print(f"{name}: {each:.3f} s per frame, {first:.2f} s to the first")
    ratio = means["with real pixels"][0] / means["network alone"][0]
    print(f"ratio {ratio:.2f}, {str(precision).removeprefix('torch.')}")
    if json_file is not None:
        result = {"ratio": ratio, "mean": means, "clips": figures}
        json_file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
