"""Whoever follows the page beside the host gets what it says."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from host_examples.standalone.image_files import write_image
from node.params import param_specs

FOLDER = Path(__file__).parents[3] / "host_examples" / "standalone"
PAGE = (FOLDER / "README.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def test_every_param_is_explained():
    """With its own words, default and range: the page cannot fall behind."""
    for spec in param_specs():
        (row,) = re.findall(rf"^\| `--{spec.name.replace('_', '-')}` \|.*$", PAGE, re.MULTILINE)
        assert spec.hint in row
        if spec.minimum is not None:
            assert f"| {spec.default} | {spec.minimum:g} to {spec.maximum:g} |" in row


def test_every_picture_is_there():
    """Made by pictures.py."""
    names = re.findall(r"!\[.*?\]\((.*?)\)", PAGE)

    assert names == ["outputs.png", "mattes.png", "texture.png", "detail.png"]
    assert all((FOLDER / name).is_file() for name in names)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Every file that the commands name."""
    folder = tmp_path_factory.mktemp("desk")
    rng = np.random.default_rng(0)
    matte = np.zeros((96, 144, 1), np.float16)
    matte[30:60, 40:80] = 1

    def write(name: str, pixels: np.ndarray, channels: tuple[str, ...]) -> None:
        kind = oiio.HALF if pixels.dtype == np.float16 else oiio.UINT8
        spec = oiio.ImageSpec(144, 96, len(channels), kind)
        spec.channelnames = channels
        write_image(folder / name, pixels, spec)

    for frame in range(1001, 1005):
        plate = rng.uniform(0, 1, (96, 144, 3)).astype(np.float16)
        write(f"plate.{frame}.exr", plate, ("R", "G", "B"))
        write(f"matte.{frame}.exr", matte, ("A",))
        write(f"actor.{frame}.exr", np.roll(matte, 20, 1), ("A",))
        write(f"right_matte.{frame}.exr", np.roll(matte, 8, 1), ("A",))
        views = np.concatenate([plate, np.roll(plate, 8, 1)], axis=-1)
        write(f"stereo.{frame}.exr", views, ("R", "G", "B", "right.R", "right.G", "right.B"))
        both = np.concatenate([plate, matte], axis=-1)
        write(f"comp.{frame}.exr", both, ("R", "G", "B", "matte.A"))
    write("paint.1002.exr", np.full((96, 144, 3), 0.5, np.float16), ("R", "G", "B"))
    write("garbage.png", (matte * 255).astype(np.uint8), ("Y",))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_command_works(desk, address, command):
    """Typed as it stands there; a server that fills with gray stands in for the network."""
    _, *arguments = shlex.split(command)

    done = subprocess.run(
        [sys.executable, "-m", "host_examples.standalone", *arguments, "--server", address],
        cwd=desk,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    output = arguments[arguments.index("--output") + 1]
    count = 2 if "--frames" in arguments else 4
    assert len(list(desk.glob(output.replace("####", "*")))) == count
