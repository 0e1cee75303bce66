"""Whoever repeats our figures runs these scripts: they run, and say what the README quotes."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.benchmarks import edges

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ALONE = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin", "OMP_NUM_THREADS": "1"}
"""Networks this small wait for one another's threads."""
pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a script as Python would; here, since to import torch takes longer than most of them."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)

    def runs(script: str, *options: str) -> tuple[str, dict]:
        given = [str(HERE / script), "--json", str(tmp_path / "out.json"), *options]
        monkeypatch.setattr("sys.argv", given)
        runpy.run_path(given[0], run_name="__main__")
        return capsys.readouterr().out, json.loads((tmp_path / "out.json").read_text())

    yield runs
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])


def run_apart(script: str, folder: Path, *options: str) -> tuple[str, dict]:
    """In a process of its own, where memory is measured or processes are started."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), "--json", str(folder / "out.json"), *options],
        cwd=ROOT,
        env=ALONE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / "out.json").read_text())


def test_engine_is_compared_with_the_plain_path(run):
    """Fewer operations, the same pixels; no times are asserted."""
    small = ["--network", "tiny", "--frames", "25", "--width", "96", "--height", "48"]

    printed, result = run("engine.py", *small, "--rounds", "1", "--device", "cpu")

    rows = result["rows"]
    assert list(rows) == ["plain", "released", "thorough", "balanced", "fast"]
    assert all(f"| {name} |" in printed for name in rows)
    work = [rows[name]["operations"] for name in ("plain", "thorough", "balanced", "fast")]
    assert work == sorted(work, reverse=True)
    assert rows["released"]["largest_difference"] < 2  # truncation, and nothing else
    assert result["about"]["frames"] == "25"


def test_growth_is_measured_and_told(run):
    """One row per point, and a sentence about memory."""
    small = ["--network", "tiny", "--width", "96", "--height", "48", "--device", "cpu"]

    printed, result = run("growth.py", *small, "--series", "frames", "--scale", "0.01")

    assert [point["frames"] for point in result["series"]["frames"]] == [2, 2, 2, 2, 2, 20]
    assert "20 frames take" in printed


def test_memory_does_not_grow_with_length():
    """A clip nearly twice as long holds no more, once it has all its references."""
    # Both end at the same place of the clip's turn of 120 frames, whose pixels alone are 13 MB.
    # What is held is compared, since threads that meet raise a peak: the longer, the likelier.
    assert held_megabytes(260) < held_megabytes(140) + 6.5


def held_megabytes(frames: int) -> float:
    point = {"frames": frames, "width": 96, "height": 96, "hole": 0.1}
    done = subprocess.run(
        [sys.executable, str(HERE / "growth.py"), "--network", "tiny"]
        + ["--device", "cpu", "--point", json.dumps(point)],
        env=ALONE,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)["held_megabytes"]


def test_training_is_compared_with_a_plain_loop(run):
    """Both loops run, with and without a discriminator."""
    small = ["--network", "tiny", "--width", "96", "--height", "48", "--batch", "2"]

    printed, result = run("training.py", *small, "--rounds", "1", "--device", "cpu")

    assert set(result["rows"]) == {"plain", "ours"}
    assert result["ratio"] > 0
    assert "renders them" in printed


def test_scoring_is_compared_with_completing(run):
    """Every method is timed, and the ratio is told; no times are asserted."""
    small = ["--network", "tiny", "--frames", "4", "--width", "96", "--height", "96"]

    printed, result = run("evaluation.py", *small, "--rounds", "1", "--threads", "1")

    assert {"balanced", "fast", "telea", "propagation"} <= set(result["seconds_per_frame"])
    assert set(result["scoring_over_completing"]) == {"balanced", "fast"}
    assert "of completing with balanced" in printed


def test_a_large_shot_goes_through_a_small_node(tmp_path):
    """Pixels outside the mattes are compared by the script itself; memory and time are told."""
    printed, result = run_apart(
        "large.py", tmp_path, "--frames", "4", "--width", "480", "--height", "270", "--rounds", "1"
    )

    assert result["peak_megabytes_of_the_node"] < 1000
    assert json.loads(printed)["frames"] == 4
    assert result["node_over_copying"] > 1  # it has to do that too


def test_the_server_is_compared_with_a_raw_socket_and_the_engine_alone(tmp_path):
    """Every figure the README quotes, of a few frames and clients; no times are asserted."""
    small = ["--rounds", "1", "--frames", "2", "--megabytes", "4", "--clients", "3"]

    printed, result = run_apart("serving.py", tmp_path, *small, "--seconds", "1")

    assert result["errors"] == 0
    assert result["upload_over_raw"] > 0
    assert result["whole_over_in_process"] > 0
    assert result["shared_memory_whole_over_in_process"] > 0
    for name in ("first_frame", "cancel_beyond", "health_p95", "memory_above", "slow_reader"):
        assert name in printed


def write_clip(folder: Path, width: int = 432, height: int = 240) -> Path:
    """A fine wall under a pan, 192x96, and a standing hole for the raster given."""
    frames = folder / "clips" / "wall" / "frames"
    frames.mkdir(parents=True)
    wall = np.random.default_rng(0).integers(0, 255, (96, 300, 3), np.uint8)
    wall = cv2.GaussianBlur(wall, (0, 0), 1.0)
    for index in range(8):
        cv2.imwrite(str(frames / f"{index:05d}.png"), wall[:, 12 * index : 12 * index + 192])
    mask = np.zeros((240, 432), np.uint8)
    mask[100:140, 200:240] = 255
    mask = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST)
    cv2.imwrite(str(frames.parent / f"stationary_{width}x{height}.png"), mask)
    return folder / "clips"


def test_detail_is_compared_with_enlarging(run, tmp_path):
    """What other frames show comes back sharper than the model raster is."""
    clips = write_clip(tmp_path)

    printed, result = run("detail.py", str(clips), "--shrink", "2")

    (_, soft, _), (_, sharp, _) = (
        result["mean"][f"{name}, 1/2"] for name in ("enlarged", "with detail")
    )
    assert sharp > 1.3 * soft
    assert "with detail, 1/2:" in printed


def test_real_pixels_and_texture_are_compared_with_the_network_alone(run, tmp_path):
    """All are timed on the same frames; no times are asserted."""
    clips = write_clip(tmp_path)

    printed, result = run("real_pixels.py", str(clips), "--frames", "3", "--rounds", "1")

    told = result["clips"]["wall"]
    assert list(told) == ["network alone", "with real pixels", "and with texture"]
    assert result["ratio"]["network alone"] == 1
    assert all(name in printed for name in told)


def test_a_clip_is_filled_before_and_after_weights_followed_it(run, tmp_path):
    """By the network alone, and by what ships; nothing is promised."""
    clips = write_clip(tmp_path, 192, 96)

    options = ["--minutes", "0.001", "--frames", "3", "--device", "cpu"]
    printed, result = run("adapting.py", str(clips), *options)

    assert "wall: 1 steps; network alone" in printed
    assert set(result["clips"]["wall"]) == {"network alone", "what ships"}
    assert all({"before", "after"} == set(row) for row in result["clips"]["wall"].values())


def test_a_color_that_is_off_along_the_edge_is_told(tmp_path, capsys):
    """Noise cancels out, one channel that is two steps too bright does not."""
    rng = np.random.default_rng(0)
    truth = np.full((6, 48, 48, 3), 100, np.uint8)
    masks = np.zeros(truth.shape[:3], np.bool_)
    masks[:, 8:40, 8:40] = True
    completed = truth + rng.integers(-3, 4, truth.shape) + (0, 2, 0)
    completed[:, 12:36, 12:36] = 255  # well inside, nobody sees a seam

    assert edges.shift(completed, truth, masks) == pytest.approx(2, abs=0.3)

    edges.main(write_clip(tmp_path))
    assert "Telea" in capsys.readouterr().out.splitlines()[0]
