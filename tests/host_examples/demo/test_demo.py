"""The demo is what most people see first."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from host_examples.demo.command import MATTE_CHANNEL, SHOT
from host_examples.standalone.image_files import read_image
from host_examples.standalone.images import ImageMatte, ImagePlate, ImageSequence
from host_examples.standalone.movies import Movie
from host_examples.standalone.sequences import find_sequence


def test_the_shot_is_what_the_tests_need():
    """Half-float HDR, moving matte, and a truth that agrees with the plate outside it."""
    files = ImageSequence("plate", find_sequence(str(SHOT / "plate.####.exr")))
    plate, matte = ImagePlate(files), ImageMatte(files, MATTE_CHANNEL)
    truth = ImagePlate(ImageSequence("truth", find_sequence(str(SHOT / "truth.####.exr"))))

    assert len(plate.frames) >= 32
    assert list(plate.frames) == list(truth.frames)
    assert plate.read(1001).dtype == np.float16
    assert plate.read(1001).max() > 4
    first, last = matte.read(plate.frames[0]), matte.read(plate.frames[-1])
    assert (first > 0).any()
    assert not ((first > 0) & (last > 0)).any()
    for frame in plate.frames[::10]:
        outside = matte.read(frame) == 0
        difference = plate.read(frame)[outside].astype(float) - truth.read(frame)[outside]
        assert np.abs(difference).mean() < 0.01
    assert sum(path.stat().st_size for path in SHOT.iterdir()) < 8e6


def test_the_demo_says_what_it_takes():
    """Asked for help, it does not begin."""
    command = [sys.executable, "-m", "host_examples.demo", "--help"]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0
    assert "OUTPUT_FOLDER" in done.stdout


def test_a_place_that_cannot_be_written_to_is_told_in_one_line(tmp_path):
    """Whoever typed the name of a file."""
    (tmp_path / "file").touch()

    process = demo(tmp_path / "file")
    _, told = process.communicate(timeout=60)

    assert process.returncode == 2
    assert told == f"demo: cannot write to {tmp_path / 'file'}: File exists\n"


@pytest.mark.slow
def test_ctrl_c_ends_the_demo_and_its_server(tmp_path):
    """Whoever sees that it takes a minute; the host tells, and nothing of Python's own."""
    process = demo(tmp_path)
    assert process.stderr.read(1)  # the host has begun

    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)

    assert process.returncode == 130
    assert told.endswith("sttn-inpaint: interrupted\n")
    assert "Traceback" not in told


def demo(output: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "host_examples.demo", str(output)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
def test_the_demo_shows_its_work_and_beats_telea(tmp_path):
    """Clean plate, movie, picture and figures; the fill is better than a smear."""
    process = demo(tmp_path)
    printed, told = process.communicate()

    assert process.returncode == 0, told
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["in_matte_psnr_db"] > figures["in_matte_psnr_db_telea"]
    assert f"{figures['in_matte_psnr_db']:.2f} dB" in printed
    assert len(list(tmp_path.glob("clean.*.exr"))) == 32
    assert len(Movie(tmp_path / "preview.mp4", 1).frames) == 32
    picture, _ = read_image(tmp_path / "comparison.png")
    assert picture.shape[1] == 4 * 336
