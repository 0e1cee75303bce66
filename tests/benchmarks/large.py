"""A 4K EXR shot: what sttn-inpaint itself takes, and the whole with a server on the CPU.

    PYTHONPATH=. python tests/benchmarks/large.py [--frames 24] [--matte 0.0625] [--json FILE]

The shot is half-float RGBA with grain; a matte in alpha crosses a third of it and another one
stands in a corner. sttn-inpaint runs as a process of its own. Its own share is measured against a
server whose engine fills at once, over reading every file once and writing it again, as any tool
has to; both in turns.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import numpy as np
import OpenImageIO as oiio
import tyro

from host_examples.standalone.image_files import read_image, write_image
from host_examples.standalone.local_server import local_server
from tests.server.process import server_process


def write_shot(folder: Path, frames: int, width: int, height: int, matte: float) -> None:
    """A gradient with texture that travels, grain, and two mattes in alpha."""
    rng = np.random.default_rng(0)
    tile = rng.standard_normal((256, 256, 3), dtype=np.float32) * np.float32(0.01)
    repeats = (-(-height // 256), -(-(width + frames) // 256), 1)
    grain = np.tile(tile, repeats)[:height]
    light = np.linspace(0.05, 1.5, width + frames, dtype=np.float32)[None, :, None]
    spec = oiio.ImageSpec(width, height, 4, oiio.HALF)
    spec.channelnames = ("R", "G", "B", "A")
    spec["compression"] = "zip"
    side = round(width * matte)
    for index in range(frames):
        pixels = np.zeros((height, width, 4), np.float16)
        pixels[..., :3] = light[:, index : index + width] + np.roll(grain, 37 * index, 0)[:, :width]
        left = width // 3 + index * width // (3 * frames)
        pixels[height // 3 : height // 3 + side, left : left + side, 3] = 1
        pixels[-side:, -side // 2 :, 3] = 1
        write_image(folder / f"plate.{1001 + index}.exr", pixels, spec)


def measured(folder: Path, address: str) -> tuple[float, float]:
    """Seconds and peak MB of one sttn-inpaint."""
    started = time.monotonic()
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "host_examples.standalone", str(folder / "plate.####.exr")),
            *("--matte-channel", "A", "--server", address),
            *("--output", str(folder / "clean.####.exr")),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    told = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(told)
    return time.monotonic() - started, usage.ru_maxrss / 1024


def copied(folder: Path, frames: int) -> float:
    """Seconds to read every file and write it again, in this process."""
    started = time.monotonic()
    for index in range(frames):
        pixels, spec = read_image(folder / f"plate.{1001 + index}.exr")
        write_image(folder / f"clean.{1001 + index}.exr", pixels, spec)
    return time.monotonic() - started


def without_work(folder: Path, frames: int, rounds: int) -> tuple[float, float]:
    """Seconds of sttn-inpaint where the server fills at once, and of copying: medians."""
    told = []
    with server_process(f"unix:{folder}/s.sock", folder / "log", "--seconds", "0"):
        for _ in range(rounds):
            clear(folder)
            copying = copied(folder, frames)
            clear(folder)
            told.append((measured(folder, f"unix:{folder}/s.sock")[0], copying))
    node, copy = (statistics.median(each) for each in zip(*told, strict=True))
    return node, copy


def clear(folder: Path) -> None:
    """Remove what was written."""
    for path in folder.glob("clean.*"):
        path.unlink()


def main(
    frames: int = 24,
    width: int = 4096,
    height: int = 2160,
    matte: float = 1 / 16,
    rounds: int = 3,
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> dict[str, float]:
    """Write a shot, complete it, check it, say what it took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_shot(folder, frames, width, height, matte)
        node, copying = without_work(folder, frames, rounds)
        clear(folder)
        with local_server() as address:
            seconds, megabytes = measured(folder, address)
        for frame in (1001, 1000 + frames):
            plate, clean = (
                read_image(folder / f"{kind}.{frame}.exr")[0] for kind in ("plate", "clean")
            )
            outside = plate[..., 3] == 0
            assert clean[outside].tobytes() == plate[outside].tobytes()
            assert (clean[~outside] != plate[~outside]).any()
    figures = {
        "frames": frames,
        "width": width,
        "height": height,
        "matte_over_width": matte,
        "cores": os.cpu_count() or 1,
        "copying_seconds_per_frame": round(copying / frames, 3),
        "node_seconds_per_frame": round(node / frames, 3),
        "node_over_copying": round(node / copying, 2),
        "whole_seconds_per_frame": round(seconds / frames, 2),
        "peak_megabytes_of_the_node": round(megabytes),
    }
    print(json.dumps(figures))
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    tyro.cli(main)
