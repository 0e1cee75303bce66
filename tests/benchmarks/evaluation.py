"""Scoring against completing, per frame, in one run: scoring must not be what people wait for.

PYTHONPATH=. python tests/benchmarks/evaluation.py
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch

from sttn.evaluation.baselines import BASELINES
from sttn.evaluation.cases import Case
from sttn.evaluation.scoring import Scorer, ScoringConfig
from sttn.inference import PRESETS, complete
from tests.benchmarks.footage import moving_clip
from tests.benchmarks.measures import NETWORKS, machine, network, seconds


def measure(options: argparse.Namespace) -> dict[str, object]:
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(options.threads)
    generator = network(options.network)
    cpu = torch.device("cpu")
    frames, masks = moving_clip(options.frames, options.width, options.height, options.hole)
    hidden = np.where(masks[..., None], np.uint8(0), frames)
    case = Case(name="drawn", frames=hidden, masks=masks, truth=frames)
    scorer = Scorer(ScoringConfig())
    completed = complete(hidden, masks, generator)
    known = scorer.known(case)
    scored = ("the truth's motion, once per clip", "figures, once per method")
    works: dict[str, Callable[[], object]] = {
        scored[0]: lambda: scorer.known(case),
        scored[1]: lambda: scorer.score(case, completed, known),
    }
    for name in options.presets:
        works[name] = lambda name=name: complete(hidden, masks, generator, PRESETS[name])
    for name, baseline in BASELINES.items():
        works[name] = lambda baseline=baseline: baseline(hidden, masks)
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.rounds):
        for name, work in works.items():
            times[name].append(seconds(work, cpu))
    per_frame = {name: float(np.median(some)) / options.frames for name, some in times.items()}
    scoring = sum(per_frame[name] for name in scored)
    ratios = {name: scoring / per_frame[name] for name in options.presets}
    return {
        "machine": machine(cpu),
        "seconds_per_frame": per_frame,
        "scoring_over_completing": ratios,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=NETWORKS, default="shipped")
    parser.add_argument("--presets", nargs="+", default=["balanced", "fast"])
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--width", type=int, default=432)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--hole", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = measure(options)
    for name, value in result["seconds_per_frame"].items():
        print(f"{name:44} {1000 * value:7.1f} ms per frame")
    for name, ratio in result["scoring_over_completing"].items():
        print(f"scoring took {ratio:.2f} of completing with {name}")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
