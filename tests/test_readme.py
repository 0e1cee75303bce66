"""Whoever follows the README gets what it says: every command in it is run here."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import OpenImageIO as oiio
import pytest
import torch
import trustme

from host_examples.standalone.image_files import write_image
from host_examples.standalone.movie_writer import MovieWriter
from sttn.model import Generator, ModelConfig
from tests.server.credentials import signed, token_file

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
MAKE = {
    # command in the README: what it runs; the first is run by tests/host_examples/demo, the
    # second is running this very test
    "make demo": "-m host_examples.demo demo_output",
    "make test": "-m pytest",
    # run by tests/host_examples/blender
    "make extension": "host_examples.blender.build_extension",
    # run small by tests/host_examples/training_shots
    "make training-shots CORPUS=corpus": 'host_examples.training_shots "corpus" "corpus/rendered"',
    # run small by tests/benchmarks
    "make benchmark": "tests/benchmarks/engine.py",
    "make benchmark-growth": "tests/benchmarks/growth.py",
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    joined = [block.replace("\\\n", " ") for block in blocks("sh")]
    return [line for block in joined for line in block.splitlines() if line.strip()]


def image(path: Path, pixels: np.ndarray, channels: tuple[str, ...]) -> None:
    kind = oiio.HALF if pixels.dtype == np.float16 else oiio.UINT8
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    spec.channelnames = channels
    write_image(path, pixels, spec)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that the README's commands name."""
    folder = tmp_path_factory.mktemp("desk")
    rng = np.random.default_rng(0)
    matte = np.zeros((96, 144, 1), np.float16)
    matte[30:60, 40:80] = 1
    for frame in range(1001, 1005):
        plate = rng.uniform(0, 1, (96, 144, 3)).astype(np.float16)
        both = np.concatenate([plate, matte], axis=-1)
        image(folder / f"comp.{frame}.exr", both, ("R", "G", "B", "matte.A"))
        if frame <= 1002:  # as many as show that frames are paired
            image(folder / f"plate.{frame}.exr", plate, ("R", "G", "B"))
            image(folder / f"log.{frame}.exr", plate, ("R", "G", "B"))
            image(folder / f"matte.{frame}.exr", matte, ("A",))
    image(folder / "garbage.png", (matte * 255).astype(np.uint8), ("Y",))
    movie = MovieWriter(folder / "shot.mkv", Fraction(24), lambda pixels: pixels)
    for number in range(3):
        movie.write(number, rng.integers(0, 256, (96, 144, 3), dtype=np.uint8))
    movie.close()
    (folder / "corpus").mkdir()
    cv2.imwrite(str(folder / "corpus" / "a.png"), rng.integers(0, 256, (300, 400, 3)))
    frames = folder / "clips" / "one" / "frames"
    frames.mkdir(parents=True)
    for number in range(2):
        cv2.imwrite(str(frames / f"{number}.png"), rng.integers(0, 256, (96, 144, 3)))
    cv2.imwrite(str(folder / "clips/one/stationary_144x96.png"), matte[..., 0] * 255.0)
    released = Generator(ModelConfig(channels=16, blocks=1, mask_attention=False))
    torch.save({"netG": released.state_dict()}, folder / "published.pth")
    return folder


@pytest.fixture(scope="module")
def server(desk: Path) -> Iterator[None]:
    """The README's own server command, running."""
    (command,) = [line for line in commands() if line.startswith("sttn-server --address unix")]
    process = subprocess.Popen(
        command,
        shell=True,
        cwd=desk,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("listening on unix:sttn.sock")
        yield
        os.killpg(process.pid, 15)


def environment() -> dict[str, str]:
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "command", [line for line in commands() if not line.startswith(("make", "sttn-server --"))]
)
def test_command_works(desk, server, command):
    """Typed as it stands there."""
    done = subprocess.run(
        command, shell=True, cwd=desk, capture_output=True, text=True, env=environment()
    )

    assert done.returncode == 0, done.stderr
    output = re.search(r"--output (\S+)", command)
    if output and "sttn-inpaint" in command:
        pattern = re.sub(r"#+|%\d+d", "*", output[1])
        assert list(desk.glob(pattern))


@pytest.mark.slow
def test_the_server_of_a_facility_starts(tmp_path):
    """With certificates and tokens of one's own; only the port and the store are the test's."""
    (command,) = [line for line in commands() if "0.0.0.0" in line]
    signed(trustme.CA(), tmp_path, "server", "localhost")
    for name in ("tokens", "admin-tokens"):
        token_file(tmp_path / name, "somebody correct-horse-battery-staple")
    command = command.replace(":50071", ":0").replace("/var/lib/sttn", "store")

    with subprocess.Popen(
        f"exec {command}",
        shell=True,
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        line = process.stdout.readline()
        process.terminate()

    assert line.startswith("listening on 0.0.0.0:")
    assert process.returncode == 0


@pytest.mark.slow
def test_python_works(desk, server):
    """Copied from the README into a script."""
    (code,) = blocks("python")

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=desk, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "2 (96, 144, 3)"


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("make")])
def test_make_targets_run_what_the_tests_run(command):
    """The two commands of a fresh machine."""
    told = subprocess.run(
        [*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert MAKE[command] in told.stdout
