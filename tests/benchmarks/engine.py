"""The engine against the plain path, in one run, alternating: `make benchmark`.

    python tests/benchmarks/engine.py --frames 60 --rounds 2 --json engine.json

Prints one row per preset: finished frames per second, the ratio to the plain path (the median over
rounds of ratios taken next to each other), how far completed pixels lie from the plain path's in
8-bit steps, peak memory above the start, and the share of the device's own measured matrix peak, in
bfloat16 where it has that. Pixels are compared before either path cuts or rounds to 8 bits, but for
presets that cut window by window: cutting alone moves them by half a step and more, rounding by a
quarter. Without --footage the clip is made by rule.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from sttn.device import choose_device
from sttn.evaluation.cases import ProtocolConfig, find_cases
from sttn.inference import PRESETS, completed_frames
from tests.benchmarks.footage import moving_clip
from tests.benchmarks.measures import NETWORKS, PeakMemory, machine, matrix_peak, network, timed
from tests.benchmarks.plain_path import plain_path


def real_clip(folder: Path, limit: int) -> tuple[np.ndarray, np.ndarray]:
    case = find_cases(folder, ProtocolConfig(limit=limit))[0].read()
    return case.frames, case.masks


def completed(*clip: object, batch: int) -> np.ndarray:
    return np.stack([frame for _, frame in completed_frames(*clip, batch=batch)])


def _apart(result: np.ndarray, expected: np.ndarray) -> dict[str, float]:
    apart = np.abs(result - expected)
    return {"mean_difference": float(apart.mean()), "largest_difference": float(apart.max())}


def measure(options: argparse.Namespace) -> dict[str, object]:
    device = choose_device(options.device)
    full = network(options.network).to(device)
    fast = network(options.network).to(device, getattr(torch, options.precision))
    frames, masks = (
        real_clip(options.footage, options.frames)
        if options.footage
        else moving_clip(options.frames, options.width, options.height, options.hole)
    )
    # The network's own work is compared; real pixels would only spare it.
    schedules = {name: replace(PRESETS[name], propagate=False) for name in options.presets}
    ours = partial(completed, batch=options.batch)
    runs: dict[str, Callable[[], np.ndarray]] = {"plain": lambda: plain_path(frames, masks, full)}
    for name, schedule in schedules.items():
        runs[name] = partial(ours, frames, masks, fast, schedule)
    light = (frames / 255).astype(np.float32)
    rows: dict[str, dict[str, float]] = {}
    exact: dict[str, Callable[[], np.ndarray]] = dict(runs)
    exact["plain"] = lambda: plain_path(frames, masks, full, truncate=False)
    expected: np.ndarray | None = None
    for name, run in exact.items():
        with PeakMemory(device) as memory, FlopCounterMode(display=False) as counted:
            result = run()[masks].astype(np.float32)
        expected = result if expected is None else expected
        if name in schedules and not schedules[name].truncate:
            result = 255 * ours(light, masks, fast, schedules[name])[masks]
        rows[name] = {
            "operations": counted.get_total_flops(),
            "peak_megabytes": memory.bytes / 1e6,
            **_apart(result, expected),
        }
    times: dict[str, list[float]] = {name: [] for name in runs}
    ratios: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(options.rounds):
        for name, run in runs.items():
            result, elapsed = timed(run, device)
            times[name].append(elapsed)
            ratios[name].append(times["plain"][-1] / times[name][-1])
            print(f"round {number + 1}: {name} {elapsed:.1f} s", file=sys.stderr)
            if name == "plain":  # what its own cutting to 8 bits moves
                rows[name] |= _apart(result[masks], expected)
    multiplied, peak = matrix_peak(device)
    for name, row in rows.items():
        best = min(times[name])
        row["frames_per_second"] = len(frames) / best
        row["ratio"] = statistics.median(ratios[name])
        row["share_of_peak"] = row["operations"] / best / peak
    about = {key: str(value) for key, value in vars(options).items() if key != "json"}
    about["frames"] = str(len(frames))
    about |= machine(device)
    return {"about": about, f"{multiplied}_peak_teraflops": peak / 1e12, "rows": rows}


def table(result: dict[str, object]) -> str:
    rows: dict[str, dict[str, float]] = result["rows"]  # type: ignore[assignment]
    lines = [
        "| path | frames/s | ratio | TFLOP/frame | mean, largest difference (8-bit steps) "
        "| peak memory | share of matrix peak |",
        "|---|---|---|---|---|---|---|",
    ]
    count = int(result["about"]["frames"])  # type: ignore[index]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['frames_per_second']:.2f} | {row['ratio']:.2f} "
            f"| {row['operations'] / count / 1e12:.3f} "
            f"| {row['mean_difference']:.3f}, {row['largest_difference']:.1f} "
            f"| {row['peak_megabytes']:.0f} MB | {100 * row['share_of_peak']:.0f} % |"
        )
    return "\n".join(lines)


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="shipped")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--width", type=int, default=432)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--footage", type=Path, help="a clip folder as sttn-evaluate takes it")
    parser.add_argument("--hole", type=float, default=0.2, help="share of a frame that is hole")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument(
        "--presets", nargs="+", default=["released", "thorough", "balanced", "fast"]
    )
    parser.add_argument("--batch", type=int, default=1, help="windows computed at once")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser


if __name__ == "__main__":
    chosen = arguments().parse_args()
    found = measure(chosen)
    print(table(found))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")
