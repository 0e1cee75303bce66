"""How time and memory grow with frames, raster and hole: `make benchmark-growth`.

    python tests/benchmarks/growth.py --json growth.json --plot growth.png

Every point is a process of its own, and its frames are drawn when they are read, so that peak
memory is the engine's alone. Says whether 2,000 frames take more memory than 200.
"""

import argparse
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

import torch

from sttn.inference import PRESETS, completed_frames
from tests.benchmarks.footage import drawn_clip
from tests.benchmarks.measures import NETWORKS, PeakMemory, in_use, machine, network, seconds

STANDARD = {"frames": 50, "hole": 0.1}
LAST = 40
"""Frames at the end over which the process' memory is looked at: the least is what is held."""
SERIES = {
    "frames": [{"frames": n} for n in (12, 25, 50, 100, 200, 2000)],
    "raster": [
        {"width": w, "height": h}
        for w, h in ((144, 96), (288, 144), (432, 240), (624, 336), (864, 480))
    ],
    "hole": [{"hole": share} for share in (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)],
}


def measure_point(point: dict[str, float], options: argparse.Namespace) -> dict[str, float]:
    device = torch.device(options.device)
    generator = network(options.network).to(device, getattr(torch, options.precision))
    frames, masks = drawn_clip(
        int(point["frames"]), int(point["width"]), int(point["height"]), point["hole"]
    )

    held = []

    def complete() -> None:
        finished = completed_frames(frames, masks, generator, PRESETS[options.preset])
        for _ in islice(finished, max(0, len(frames) - LAST)):
            pass
        held.extend(in_use() for _ in finished)

    with PeakMemory(device) as memory:
        elapsed = seconds(complete, device)
    return {
        **point,
        "seconds": elapsed,
        "peak_megabytes": memory.bytes / 1e6,
        "held_megabytes": min(held) / 1e6,
    }


def measure_apart(point: dict[str, float], options: argparse.Namespace) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--point", json.dumps(point)]
    for name in ("device", "network", "preset", "precision"):
        command += [f"--{name}", getattr(options, name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def plot(result: dict[str, object], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    series: dict[str, list[dict[str, float]]] = result["series"]  # type: ignore[assignment]
    axes_of = {
        "frames": ("frames", lambda p: p["frames"]),
        "raster": ("pixels of the raster", lambda p: p["width"] * p["height"]),
        "hole": ("share of the frame that is hole", lambda p: p["hole"]),
    }
    figure, axes = pyplot.subplots(
        2, len(series), figsize=(11, 6), constrained_layout=True, squeeze=False
    )
    for column, (name, points) in enumerate(series.items()):
        label, position = axes_of[name]
        x = [position(point) for point in points]
        per_frame = [1000 * point["seconds"] / point["frames"] for point in points]
        axes[0, column].plot(x, per_frame, "o-")
        axes[1, column].plot(x, [point["peak_megabytes"] for point in points], "o-")
        axes[1, column].set_xlabel(label)
        for row in range(2):
            axes[row, column].set_ylim(bottom=0)
            axes[row, column].grid(alpha=0.3)
            if name == "frames":
                axes[row, column].set_xscale("log")
    axes[0, 0].set_ylabel("ms per finished frame")
    axes[1, 0].set_ylabel("peak memory, MB")
    about: dict[str, str] = result["about"]  # type: ignore[assignment]
    figure.suptitle(
        f"{about['network']} network, preset {about['preset']}, {about['precision']}, "
        f"{about['device']}, {about['threads']} threads",
        fontsize=10,
    )
    figure.savefig(path, dpi=110)


def table(result: dict[str, object]) -> str:
    series: dict[str, list[dict[str, float]]] = result["series"]  # type: ignore[assignment]
    lines = ["| | frames | raster | hole | ms/frame | peak memory |", "|---|---|---|---|---|---|"]
    for name, points in series.items():
        for p in points:
            lines.append(
                f"| {name} | {p['frames']:.0f} | {p['width']:.0f}x{p['height']:.0f} "
                f"| {100 * p['hole']:.0f} % | {1000 * p['seconds'] / p['frames']:.0f} "
                f"| {p['peak_megabytes']:.0f} MB |"
            )
    if "frames" in series:
        shorter, longest = series["frames"][-2:]
        more = longest["peak_megabytes"] - shorter["peak_megabytes"]
        lines += [
            "",
            f"{longest['frames']:.0f} frames take {more:+.0f} MB beside {shorter['frames']:.0f}",
        ]
    return "\n".join(lines)


def measure(options: argparse.Namespace) -> dict[str, object]:
    series: dict[str, list[dict[str, float]]] = {}
    known: dict[str, dict[str, float]] = {}  # every series has the standard point
    for name in options.series:
        series[name] = []
        for change in SERIES[name]:
            point = {**STANDARD, "width": options.width, "height": options.height, **change}
            point["frames"] = max(2, round(point["frames"] * options.scale))
            key = json.dumps(point, sort_keys=True)
            if key not in known:
                known[key] = measure_apart(point, options)
                print(known[key], file=sys.stderr)
            series[name].append(known[key])
    about = {name: getattr(options, name) for name in ("network", "preset", "precision")}
    return {"about": {**about, **machine(torch.device(options.device))}, "series": series}


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=NETWORKS, default="shipped")
    parser.add_argument("--preset", choices=PRESETS, default="balanced")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--series", nargs="+", choices=SERIES, default=list(SERIES))
    parser.add_argument("--scale", type=float, default=1.0, help="shorter or longer clips")
    parser.add_argument("--width", type=int, default=432, help="of all but the series raster")
    parser.add_argument("--height", type=int, default=240, help="likewise")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    parser.add_argument("--plot", type=Path, help="also draw them, a PNG; needs matplotlib")
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    chosen = arguments().parse_args()
    if chosen.point:
        print(json.dumps(measure_point(chosen.point, chosen)))
        sys.exit()
    found = measure(chosen)
    print(table(found))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")
    if chosen.plot:
        plot(found, chosen.plot)
