"""Run the main job on the shipped shot and show the result.

::

    make demo            (or: python -m host_examples.demo [OUTPUT_FOLDER])

Writes the clean plate as EXR, a preview movie, one picture of plate, matte, clean plate and
ground truth, and the figures: PSNR inside the matte against the ground truth, beside OpenCV's
Telea method, and the time per frame.
"""

import argparse
import json
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from host_examples.standalone.image_files import write_png
from host_examples.standalone.images import ImageMatte, ImagePlate, ImageSequence
from host_examples.standalone.movie_writer import MovieWriter
from host_examples.standalone.sequences import find_sequence
from node.color import encode, finite
from sttn.command_line import INTERRUPTED

SHOT = Path(__file__).parent / "shot"
MATTE_CHANNEL = "matte.A"
RATE = Fraction(24)
SHOWN_FRAME = 0.5
"""Which frame the picture shows, as a share of the shot."""


def displayed(linear: NDArray[Any]) -> NDArray[np.uint8]:
    """Scene-linear to sRGB, 8 bits, highlights clipped; what a monitor shows."""
    code = np.clip(encode(finite(linear.astype(np.float32))), 0, 1)
    return (code * 255).round().astype(np.uint8)


def psnr(result: NDArray[np.uint8], truth: NDArray[np.uint8], inside: NDArray[np.bool_]) -> float:
    """Over the pixels inside the matte, mean over frames, in dB, peak 255."""
    errors = [
        np.mean((shown[hole].astype(np.float64) - known[hole].astype(np.float64)) ** 2)
        for shown, known, hole in zip(result, truth, inside, strict=True)
    ]
    return float(np.mean(10 * np.log10(255**2 / np.array(errors))))


def complete(output: Path) -> float:
    """Run sttn-inpaint as an artist would; seconds it took, the server's start included.

    Raises:
        SystemExit: it failed, with the same exit code, and has said why.
    """
    command = [
        *(sys.executable, "-m", "host_examples.standalone"),
        *(str(SHOT / "plate.####.exr"), "--matte-channel", MATTE_CHANNEL),
        *("--output", str(output / "clean.####.exr"), "--overwrite"),
    ]
    started = time.monotonic()
    with subprocess.Popen(command) as process:
        try:
            failed = process.wait()
        except KeyboardInterrupt:  # which it hears too, and says what is finished
            process.wait()
            raise
    if failed:
        sys.exit(failed)
    return time.monotonic() - started


def labelled(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Twice the size, with a caption below."""
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    strip = np.full((28, large.shape[1], 3), 24, np.uint8)
    cv2.putText(strip, text, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (235,) * 3, 1, cv2.LINE_AA)
    return np.vstack([large, strip]).astype(np.uint8, copy=False)


def show(output: Path) -> None:
    """Do the job, compare with the truth, write the picture, the preview and the figures."""
    output.mkdir(parents=True, exist_ok=True)
    seconds = complete(output)
    files = {
        name: ImageSequence(name, find_sequence(str(folder / f"{name}.####.exr")))
        for name, folder in (("plate", SHOT), ("clean", output), ("truth", SHOT))
    }
    clips = {name: ImagePlate(each) for name, each in files.items()}
    matte = ImageMatte(files["plate"], MATTE_CHANNEL)
    frames = clips["plate"].frames
    shown = {
        name: np.stack([displayed(clip.read(frame)) for frame in frames])
        for name, clip in clips.items()
    }
    inside = np.stack([matte.read(frame) > 0 for frame in frames])
    shown["telea"] = np.stack(
        [
            cv2.inpaint(plate, hole.astype(np.uint8) * 255, 3, cv2.INPAINT_TELEA)
            for plate, hole in zip(shown["plate"], inside, strict=True)
        ]
    ).astype(np.uint8, copy=False)
    figures = {
        "in_matte_psnr_db": psnr(shown["clean"], shown["truth"], inside),
        "in_matte_psnr_db_telea": psnr(shown["telea"], shown["truth"], inside),
        "seconds_per_frame": seconds / len(frames),
        "frames": len(frames),
    }
    index = int(len(frames) * SHOWN_FRAME)
    white = np.repeat((inside[index] * np.uint8(255))[..., None], 3, axis=-1)
    top = [labelled(shown["plate"][index], "plate"), labelled(white, "matte")]
    bottom = [
        labelled(shown["clean"][index], f"clean plate, {figures['in_matte_psnr_db']:.1f} dB"),
        labelled(shown["truth"][index], "ground truth"),
    ]
    write_png(output / "comparison.png", np.vstack([np.hstack(top), np.hstack(bottom)]))
    preview = MovieWriter(output / "preview.mp4", RATE, lambda pixels: pixels)
    for frame, plate, clean in zip(frames, shown["plate"], shown["clean"], strict=True):
        preview.write(frame, np.hstack([plate, clean]))
    preview.close()
    (output / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(
        f"\nclean plate   {output}/clean.####.exr ({len(frames)} frames)\n"
        f"preview       {output}/preview.mp4 (plate left, clean plate right)\n"
        f"picture       {output}/comparison.png\n"
        f"inside matte  {figures['in_matte_psnr_db']:.2f} dB PSNR against the ground truth "
        f"(Telea {figures['in_matte_psnr_db_telea']:.2f} dB)\n"
        f"time          {figures['seconds_per_frame']:.2f} s per frame, server start included"
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m host_examples.demo",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", metavar="OUTPUT_FOLDER", type=Path, nargs="?")
    output = parser.parse_args().output or Path("demo_output")
    try:
        show(output)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except OSError as error:
        print(f"demo: cannot write to {output}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
