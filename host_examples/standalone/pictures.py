"""Makes the pictures of this folder's README from the demo shot.

::

    python -m host_examples.standalone.pictures host_examples/standalone
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host_examples.demo.command import MATTE_CHANNEL, SHOT, displayed, labelled
from host_examples.standalone.image_files import read_image, write_png
from host_examples.standalone.local_server import local_server

FRAME = 1016
"""What is shown."""

OUTPUTS = {
    "plate": None,
    "--output-mode 'fill only'": ["--output-mode", "fill only"],
    "--output-mode 'matte used'": ["--output-mode", "matte used"],
    "--output-mode 'made up'": ["--output-mode", "made up"],
}
MATTES = {
    "the matte": [],
    "--matte-grow 8": ["--matte-grow", "8"],
    "--matte-feather 16": ["--matte-feather", "16"],
    "--matte-grow -4": ["--matte-grow", "-4"],
}

DETAILS = {
    "enlarged (--detail 0)": ["--detail", "0"],
    "with detail (--detail 1)": [],
}
TEXTURES = {
    "the network's (--no-texture)": ["--no-texture"],
    "with texture (--texture)": [],
}
STILL = ["--handles", "0"]
"""No other frame is looked at, so none shows what the robot hides."""
FEW = ["--handles", "3"]
"""Few frames are looked at, so that some of what the robot hides is made up."""
SMALL = ["--model-pixels", "7168"]
"""A model raster a third of the shot's size."""


def result(folder: Path, address: str, flags: list[str]) -> NDArray[Any]:
    """One frame of the demo shot as sttn-inpaint writes it, handles included."""
    pattern = folder / "out.####.exr"
    command = [
        *(sys.executable, "-m", "host_examples.standalone", str(SHOT / "plate.####.exr")),
        *("--matte-channel", MATTE_CHANNEL, "--output", str(pattern), "--overwrite"),
        *("--server", address, "--frames", str(FRAME), *flags),
    ]
    # Credentials are for servers of others.
    environment = {name: at for name, at in os.environ.items() if not name.startswith("STTN_")}
    subprocess.run(command, check=True, env=environment)
    return read_image(folder / f"out.{FRAME}.exr")[0]


def main(target: Path) -> None:
    """Write outputs.png, mattes.png, texture.png and detail.png."""
    plate = read_image(SHOT / f"plate.{FRAME}.exr")[0][..., :3]
    with tempfile.TemporaryDirectory() as name, local_server() as address:
        folder = Path(name)
        outputs = [
            labelled(
                _shown(plate if flags is None else result(folder, address, [*FEW, *flags])), label
            )
            for label, flags in OUTPUTS.items()
        ]
        mattes = [
            labelled(
                _shown(result(folder, address, ["--output-mode", "matte used", *flags])), label
            )
            for label, flags in MATTES.items()
        ]
        textures, details = (
            [
                labelled(_shown(result(folder, address, [*common, *flags])), label)
                for label, flags in each.items()
            ]
            for common, each in ((STILL, TEXTURES), (SMALL, DETAILS))
        )
    truth = labelled(_shown(read_image(SHOT / f"truth.{FRAME}.exr")[0][..., :3]), "truth")
    for tiles in (textures, details):
        tiles[:] = [labelled(_shown(plate), "plate"), *tiles, truth]
    files = {"outputs": outputs, "mattes": mattes, "texture": textures, "detail": details}
    for file, tiles in files.items():
        write_png(target / f"{file}.png", np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])]))


def _shown(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.shape[-1] == 1:
        gray = (np.clip(pixels.astype(np.float32), 0, 1) * 255).round().astype(np.uint8)
        return gray.repeat(3, axis=-1)
    return displayed(pixels[..., :3])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
