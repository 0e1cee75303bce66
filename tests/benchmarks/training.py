"""Training steps against a plain loop, in one run, alternating.

    python tests/benchmarks/training.py --batch 2 --rounds 3 --json training.json

The plain loop is what one writes first: the plain path's network, float32, channels first, eager,
L1 losses and Adam. Both see the same rendered clips and train without a discriminator, or both with
the same one.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from sttn.device import choose_device
from sttn.model import Discriminator
from sttn.training.ahead import rendered
from sttn.training.config import TrainingConfig
from sttn.training.corpus import Corpus
from sttn.training.losses import adversarial_loss, discriminator_loss, hole_loss, valid_loss
from sttn.training.processes import Processes
from sttn.training.recipes import POOLED, Recipes, SampleConfig
from sttn.training.recorded import FIRST
from sttn.training.rendering import Rendering, render
from sttn.training.state import TrainingState
from sttn.training.trainer import Step
from tests.benchmarks.measures import NETWORKS, PeakMemory, machine, network, seconds
from tests.benchmarks.plain_path import PlainNetwork

RENDERED = 8
"""Batches that are rendered for their share of a step: clips differ in what they cost."""


def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (12, 18, 3), dtype=np.uint8) for _ in range(4)]
    enlarged = [cv2.resize(image, (1080, 720), interpolation=cv2.INTER_CUBIC) for image in noise]
    return Corpus(photographs=enlarged, movies=[])


def plain_loop(
    config: TrainingConfig, material: Corpus, device: torch.device, name: str
) -> Callable[[list], None]:
    """The loop one writes first, over batches of recipes."""
    plain = PlainNetwork(network(name).to(device))
    for tensor in plain.weights.values():
        tensor.requires_grad_()
    judge = Discriminator().to(device) if config.adversarial_weight else None
    optimizer = torch.optim.Adam(plain.weights.values(), lr=1e-4)
    judge_optimizer = torch.optim.Adam(judge.parameters(), lr=1e-4) if judge else None

    def step(recipes: list) -> None:
        truth, given, mask = render(recipes, material, device)
        clips = []
        for frames, hidden in zip(given, mask, strict=True):
            features = plain.encode(frames * (1 - hidden))
            coarse = functional.interpolate(hidden, scale_factor=0.25, mode="nearest")
            clips.append(plain.decode(plain.transform(features, coarse)))
        completed = torch.stack(clips)
        loss = hole_loss(completed, truth, mask) + valid_loss(completed, truth, mask)
        if judge is not None and judge_optimizer is not None:
            seen = torch.where(mask > 0, completed, truth)
            judge_optimizer.zero_grad()
            discriminator_loss(judge(truth), judge(seen.detach())).backward()
            judge_optimizer.step()
            loss = loss + config.adversarial_weight * adversarial_loss(judge(seen))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return lambda batches: [step(recipes) for recipes in batches]


def measure(options: argparse.Namespace) -> dict[str, object]:
    device = choose_device(options.device)
    config = TrainingConfig(
        model=network(options.network).config,
        sample=SampleConfig(width=options.width, height=options.height),
        batch=options.batch,
        adversarial_weight=options.adversarial_weight,
        bfloat16=options.bfloat16,
    )
    material = corpus()
    recipes = Recipes(material, config.sample, seed=0, count=10_000, reuse=options.reuse)
    batches = iter(range(0, 10_000, options.batch))

    def batch() -> list:
        first = next(batches)
        return [recipes[index] for index in range(first, first + options.batch)]

    step = Step(config, TrainingState(replace(config), device), device, Processes(device=device))
    rendering = Rendering(material, device, POOLED if options.reuse > 1 else 0)
    loops = {
        "plain": plain_loop(config, material, device, options.network),
        "ours": lambda batches: [
            step(parts) for _, parts in rendered(batches, rendering, device, 1)
        ],
    }
    rows: dict[str, dict[str, float]] = {}
    first = FIRST + 1 if device.type == "cuda" else 1
    for name, loop in loops.items():
        with PeakMemory(device) as memory:
            loop([batch() for _ in range(first)])
        rows[name] = {"peak_megabytes": memory.bytes / 1e6}
    times: dict[str, list[float]] = {name: [] for name in loops}
    for number in range(options.rounds):
        for name, loop in loops.items():
            work = [batch() for _ in range(options.steps)]
            elapsed = seconds(partial(loop, work), device)
            times[name].append(elapsed / options.steps)
            print(f"round {number + 1}: {name} {times[name][-1]:.3f} s/step", file=sys.stderr)
    drawing = seconds(lambda: [batch() for _ in range(options.steps)], device) / options.steps
    some = [batch() for _ in range(RENDERED)]
    picture = seconds(lambda: [render(one, material, device) for one in some], device) / RENDERED
    for name, row in rows.items():
        row["steps_per_second"] = 1 / min(times[name])
    ratios = [a / b for a, b in zip(times["plain"], times["ours"], strict=True)]
    return {
        "about": {k: str(v) for k, v in vars(options).items() if k != "json"} | machine(device),
        "rows": rows,
        "ratio": statistics.median(ratios),
        "drawing_share": drawing / min(times["ours"]),
        "rendering_share": picture / min(times["ours"]),
    }


def table(result: dict) -> str:
    lines = ["| loop | steps/s | peak memory |", "|---|---|---|"]
    for name, row in result["rows"].items():
        lines.append(f"| {name} | {row['steps_per_second']:.3f} | {row['peak_megabytes']:.0f} MB |")
    lines += [
        "",
        f"ratio {result['ratio']:.2f}; of a step {100 * result['drawing_share']:.1f} % draws "
        f"recipes (in another process), {100 * result['rendering_share']:.1f} % renders them",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="shipped")
    parser.add_argument("--width", type=int, default=432)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2, help="steps per round")
    parser.add_argument("--reuse", type=int, default=1, help="as of sttn-train; ours renders less")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--adversarial-weight", type=float, default=0.0)
    parser.add_argument("--bfloat16", action="store_true")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    chosen = parser.parse_args()
    found = measure(chosen)
    print(table(found))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")
