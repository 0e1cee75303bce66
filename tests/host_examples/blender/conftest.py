"""Blenders with the extension installed, a shot for them, and a server."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest

from host_examples.blender.build_extension import build
from host_examples.standalone.local_server import local_server

HERE = Path(__file__).parent
WIDTH, HEIGHT, FIRST, COUNT = 192, 112, 1001, 4
FRAMES = range(FIRST, FIRST + COUNT)

Blender = Callable[..., subprocess.CompletedProcess]


@pytest.fixture(scope="session")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension's zip, built from this source tree."""
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A server with the shipped weights."""
    with local_server() as address:
        yield address


@pytest.fixture(scope="session")
def blender(bpy_python: Path, extension: Path, tmp_path_factory: pytest.TempPathFactory) -> Blender:
    """Runs a script in a Blender where the extension is installed, or in a bare one."""
    installed, bare = (tmp_path_factory.mktemp(name) for name in ("installed", "bare"))

    def run(script: Path, *arguments: object, extended: bool = True) -> subprocess.CompletedProcess:
        resources = installed if extended else bare
        done = subprocess.run(
            [str(bpy_python), str(script), *map(str, arguments)],
            capture_output=True,
            text=True,
            env={**os.environ, "BLENDER_USER_RESOURCES": str(resources), "PYTHONPATH": ""},
            check=False,
            timeout=600,  # one that hangs fails by itself
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        return done

    run(HERE / "install.py", extension)
    return run


def played(
    blender: Blender, server: str, scenario: str, folder: Path, *, extended: bool = True
) -> dict:
    """What a scenario of session.py found."""
    blender(HERE / "session.py", scenario, folder, server, extended=extended)
    return json.loads((folder / "facts.json").read_text())


@pytest.fixture
def facts(blender: Blender, server: str, shot: Path) -> Callable[[str], dict]:
    """What a scenario finds in the shot."""
    return lambda scenario: played(blender, server, scenario, shot)


@pytest.fixture(scope="session")
def finished(
    blender: Blender, server: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict]:
    """A shot that went through the node with a Mask as its matte, and what was found."""
    folder = with_plates(tmp_path_factory.mktemp("finished"))
    return folder, played(blender, server, "inpaint_mask", folder)


def plate(frame: int) -> np.ndarray:
    """(H, W, 4) float32: texture that pans, with every kind of pixel that must survive."""
    rng = np.random.default_rng(0)
    texture = rng.uniform(0, 3, (HEIGHT // 8, WIDTH // 8 + 4, 3)).repeat(8, 0).repeat(8, 1)
    shift = 4 * (frame - FIRST)
    pixels = np.ones((HEIGHT, WIDTH, 4), np.float32)
    pixels[..., :3] = texture[:, shift : shift + WIDTH]
    pixels[:40, :40, 3] = 0.5
    for column, value in enumerate((np.inf, -np.inf, np.nan, -0.0, 1e30, 65504 * 4, -2)):
        pixels[0, column, :3] = pixels[60, 80 + column, :3] = value
    return pixels


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """A folder with plate.####.exr."""
    return with_plates(tmp_path)


def with_plates(folder: Path) -> Path:
    for frame in FRAMES:
        write(folder / f"plate.{frame}.exr", plate(frame), "RGBA")
    return folder


def write(path: Path, pixels: np.ndarray, channels: str | tuple[str, ...]) -> None:
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], oiio.FLOAT)
    spec.channelnames = tuple(channels)
    output = oiio.ImageOutput.create(str(path))
    assert output.open(str(path), spec)
    assert output.write_image(np.ascontiguousarray(pixels))
    assert output.close()


def read(path: Path, channels: str | tuple[str, ...] = "RGBA") -> np.ndarray:
    """(H, W, C) float32, channels by name."""
    image = oiio.ImageBuf(str(path))
    pixels = image.get_pixels(oiio.FLOAT)
    names = list(image.spec().channelnames)
    return pixels[..., [names.index(name) for name in channels]]
