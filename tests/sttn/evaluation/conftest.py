"""Small test sets and a browser, for what looks at them."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sttn.model import Generator, ModelConfig, save_generator


def world(seed: int = 0, height: int = 96, width: int = 400) -> np.ndarray:
    """A textured picture (H, W, 3) uint8 that flow can follow."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((height, width, 3), np.float32)
    for cells, weight in ((6, 0.5), (24, 0.3), (60, 0.2)):
        noise = rng.uniform(0, 255, (cells, 4 * cells, 3)).astype(np.float32)
        picture += weight * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return picture.clip(0, 255).astype(np.uint8)


def panned(count: int, step: int = 4, seed: int = 0) -> np.ndarray:
    """A camera that pans over a picture by whole pixels: (T, 96, 144, 3)."""
    picture = world(seed)
    return np.stack([picture[:, step * t : step * t + 144] for t in range(count)])


def write_frames(folder: Path, frames: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        cv2.imwrite(str(folder / f"{index:05d}.png"), frame[..., ::-1])


def write_clips(folder: Path) -> Path:
    """Three clips of six frames with masks of a stationary shape and of an object."""
    for number, name in enumerate(("bank", "dune", "hill")):
        write_frames(folder / name / "frames", panned(6, seed=number))
        drawn = np.zeros((6, 96, 144, 3), np.uint8)
        for t in range(6):
            drawn[t, 30:60, 20 + 6 * t : 50 + 6 * t] = 1 + number
        write_frames(folder / name / "objects", drawn)
        mask = np.zeros((96, 144), np.uint8)
        mask[40:64, 60 : 80 + 4 * number] = 255
        cv2.imwrite(str(folder / name / "stationary_144x96.png"), mask)
    return folder


def write_weights(path: Path) -> Path:
    """A network as small as can be."""
    torch.manual_seed(0)
    save_generator(Generator(ModelConfig(channels=16, blocks=1)), path, torch.float32)
    return path


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return write_clips(tmp_path / "clips")


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return write_weights(tmp_path / "tiny.safetensors")


@pytest.fixture
def page() -> Iterator[object]:
    """A page of headless Chromium that fails the test on any error or request to elsewhere."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no Chromium on this machine")
    wrong: list[str] = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.on("pageerror", lambda error: wrong.append(str(error)))
        opened.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        opened.on(
            "request",
            lambda asked: asked.url.startswith("http") and wrong.append(asked.url),
        )
        yield opened
        browser.close()
    assert wrong == []
