"""A 4K EXR shot through a CPU server: time, and memory of the node.

    PYTHONPATH=. python tests/benchmarks/large.py [--frames 48] [--json FILE]

The shot is half-float RGBA with grain; a matte in alpha crosses a third of it and another one
stands in a corner. sttn-inpaint runs as a process of its own against an sttn-server of its own.
"""

import json
import os
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


def write_shot(folder: Path, frames: int, width: int, height: int) -> None:
    """A gradient with texture that travels, grain, and two mattes in alpha."""
    rng = np.random.default_rng(0)
    tile = rng.standard_normal((256, 256, 3), dtype=np.float32) * np.float32(0.01)
    repeats = (-(-height // 256), -(-(width + frames) // 256), 1)
    grain = np.tile(tile, repeats)[:height]
    light = np.linspace(0.05, 1.5, width + frames, dtype=np.float32)[None, :, None]
    spec = oiio.ImageSpec(width, height, 4, oiio.HALF)
    spec.channelnames = ("R", "G", "B", "A")
    spec["compression"] = "zip"
    side = width // 16
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


def main(
    frames: int = 48,
    width: int = 4096,
    height: int = 2160,
    json_file: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> dict[str, float]:
    """Write a shot, complete it, check it, say what it took."""
    with tempfile.TemporaryDirectory() as name, local_server() as address:
        folder = Path(name)
        write_shot(folder, frames, width, height)
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
        "seconds": round(seconds, 1),
        "seconds_per_frame": round(seconds / frames, 2),
        "peak_megabytes_of_the_node": round(megabytes),
    }
    print(json.dumps(figures))
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    return figures


if __name__ == "__main__":
    tyro.cli(main)
