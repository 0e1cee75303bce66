"""Shots that Blender renders, which studios and we ourselves train on."""

import subprocess
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from sttn.training.corpus import read_corpus
from sttn.training.recipes import Recipes, SampleConfig

ROOT = Path(__file__).parents[3]
FRAMES, HEIGHT = 5, 54


def render(python: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), "-m", "host_examples.training_shots", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """A panorama, and a link to photographs, beside which another link leads back."""
    folder, rng = tmp_path / "material", np.random.default_rng(0)
    photographs = tmp_path / "photographs"
    folder.mkdir()
    photographs.mkdir()
    (folder / "linked").symlink_to(photographs)
    (photographs / "back").symlink_to(folder)
    for number in range(3):
        coarse = rng.integers(0, 256, (24, 36, 3)).astype(np.uint8)
        photograph = cv2.resize(coarse, (360, 240), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(photographs / f"{number}.png"), photograph)
    cv2.imwrite(str(folder / "sky.hdr"), rng.uniform(0, 3, (16, 32, 3)).astype(np.float32))
    return folder


@pytest.mark.slow
def test_a_rendered_shot_is_a_video_to_train_on(bpy_python, material, tmp_path):
    """Numbered frames that the corpus reads; something moves; what is there is not done again."""
    output = material / "rendered"
    asked = ("--shots", 1, "--first", 3, "--frames", FRAMES, "--height", HEIGHT)

    done = render(bpy_python, material, output, *asked)

    assert done.returncode == 0, done.stderr
    assert [path.name for path in output.iterdir()] == ["rendered_0003"]
    corpus = read_corpus(output)
    (movie,) = corpus.movies
    assert movie.shape == (FRAMES, HEIGHT, 96, 3)
    assert 40 < movie.mean() < 200
    assert movie.std() > 15
    for before, after in pairwise(movie):
        assert np.abs(after.astype(np.float32) - before).mean() > 0.2
    recipe = Recipes(corpus, SampleConfig(width=96, height=48), seed=0, count=1)[0]
    assert recipe.background.frames.max() < FRAMES
    times = [path.stat().st_mtime_ns for path in sorted((output / "rendered_0003").iterdir())]
    again = render(bpy_python, material, output, *asked)
    assert again.returncode == 0
    assert "rendered_0003" not in again.stdout
    after = [path.stat().st_mtime_ns for path in sorted((output / "rendered_0003").iterdir())]
    assert after == times


def test_material_without_photographs_is_named(bpy_python, tmp_path):
    """A wrong folder costs one line."""
    done = render(bpy_python, tmp_path / "nowhere", tmp_path / "shots")

    assert done.returncode == 2
    assert f"no photographs in {tmp_path / 'nowhere'}" in done.stderr
    assert not (tmp_path / "shots").exists()


def test_a_data_sets_masks_and_frames_are_no_photographs(bpy_python, tmp_path):
    """Whoever has DAVIS in the corpus: a world papered with annotations teaches nothing."""
    for folder, count in (("Annotations/480p/bear", 2), ("JPEGImages/480p/bear", 5)):
        (tmp_path / "corpus" / folder).mkdir(parents=True)
        for number in range(count):
            image = np.full((48, 48, 3), 255, np.uint8)
            cv2.imwrite(str(tmp_path / "corpus" / folder / f"{number:05d}.png"), image)

    done = render(bpy_python, tmp_path / "corpus", tmp_path / "shots", "--shots", 1)

    assert done.returncode == 2
    assert "masks and numbered frames are none" in done.stderr
