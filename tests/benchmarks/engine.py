"""The engine against the plain path, in one run, alternating: `make benchmark`.

    python tests/benchmarks/engine.py --frames 60 --rounds 2 --json engine.json

Prints one row per preset: finished frames per second, the ratio to the plain path (the median over
rounds of ratios taken next to each other), how far completed pixels lie from the plain path's in
8-bit steps, peak memory above the start, and the share of the device's own measured bfloat16
matrix peak. Pixels are compared before the plain path's truncation to 8 bits, which alone moves
them by half a step and more. Without --footage the clip is made by rule.
"""

import argparse
import json
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from sttn.evaluation.__main__ import read_clip
from sttn.inference import PRESETS, complete
from sttn.model import Generator, ModelConfig, load_generator
from sttn.model.checkpoint import DEFAULT_WEIGHTS
from sttn.training.trainer import initialize
from tests.benchmarks.footage import moving_clip
from tests.benchmarks.plain_path import plain_path

Run = Callable[[], np.ndarray]


def matrix_peak(device: torch.device) -> float:
    """Operations per second of a large bfloat16 matrix product, best of several."""
    size = 8192 if device.type == "cuda" else 2048
    a = torch.randn(size, size, device=device, dtype=torch.bfloat16)
    return max(2 * size**3 / seconds(lambda: a @ a, device) for _ in range(5))


def seconds(work: Callable[[], object], device: torch.device) -> float:
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


class PeakMemory:
    """Bytes above the start that were in use at most inside the block."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes = 0

    def __enter__(self) -> "PeakMemory":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            self.start = torch.cuda.memory_allocated()
        else:
            self.start, self.highest, self.done = resident(), 0, threading.Event()
            self.watch = threading.Thread(target=self._watch, daemon=True)
            self.watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated() - self.start
        else:
            self.done.set()
            self.watch.join()
            self.bytes = self.highest - self.start

    def _watch(self) -> None:
        while not self.done.wait(0.01):
            self.highest = max(self.highest, resident())


def resident() -> int:
    """Bytes of physical memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def network(name: str) -> Generator:
    """``shipped``, or ``paper``: the published size with random weights, for timing only."""
    if name == "shipped":
        return load_generator(DEFAULT_WEIGHTS)
    torch.manual_seed(0)
    generator = Generator(ModelConfig())
    initialize(generator)
    return generator.eval()


def measure(options: argparse.Namespace) -> dict[str, object]:
    device = torch.device(options.device)
    full = network(options.network).to(device)
    fast = network(options.network).to(device, getattr(torch, options.precision))
    frames, masks = (
        read_clip(options.footage, options.frames)
        if options.footage
        else moving_clip(options.frames, options.width, options.height, options.hole)
    )
    runs: dict[str, Run] = {"plain": lambda: plain_path(frames, masks, full)}
    for name in options.presets:
        runs[name] = lambda name=name: complete(frames, masks, fast, PRESETS[name])  # type: ignore[misc]
    expected = plain_path(frames, masks, full, truncate=False)[masks]
    rows: dict[str, dict[str, float]] = {}
    for name, run in runs.items():
        with PeakMemory(device) as memory, FlopCounterMode(display=False) as counted:
            result = run()
        apart = np.abs(result[masks].astype(np.float32) - expected)
        rows[name] = {
            "operations": counted.get_total_flops(),
            "peak_megabytes": memory.bytes / 1e6,
            "mean_difference": float(apart.mean()),
            "largest_difference": float(apart.max()),
        }
    times: dict[str, list[float]] = {name: [] for name in runs}
    ratios: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(options.rounds):
        for name, run in runs.items():
            times[name].append(seconds(run, device))
            ratios[name].append(times["plain"][-1] / times[name][-1])
            print(f"round {number + 1}: {name} {times[name][-1]:.1f} s", file=sys.stderr)
    peak = matrix_peak(device)
    for name, row in rows.items():
        best = min(times[name])
        row["frames_per_second"] = len(frames) / best
        row["ratio"] = statistics.median(ratios[name])
        row["share_of_peak"] = row["operations"] / best / peak
    about = {key: str(value) for key, value in vars(options).items() if key != "json"}
    about["frames"] = str(len(frames))
    about |= {
        "device_name": torch.cuda.get_device_name() if device.type == "cuda" else processor(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "amx": str(torch.cpu._is_amx_tile_supported()),
    }
    return {"about": about, "bfloat16_peak_teraflops": peak / 1e12, "rows": rows}


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "CPU")


def table(result: dict[str, object]) -> str:
    rows: dict[str, dict[str, float]] = result["rows"]  # type: ignore[assignment]
    lines = [
        "| path | frames/s | ratio | TFLOP/frame | mean, largest difference (8-bit steps) "
        "| peak memory | share of bf16 peak |",
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
    parser.add_argument("--network", choices=["shipped", "paper"], default="shipped")
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
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    return parser


if __name__ == "__main__":
    chosen = arguments().parse_args()
    found = measure(chosen)
    print(table(found))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")
