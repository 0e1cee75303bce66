"""Shots as compositors have them: EXR sequences, mattes cut to their box, folders and movies."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from node.color import encode
from sttn.errors import FootageError
from sttn.model import Generator, ModelConfig, load_generator, save_generator
from sttn.training.adaptation import AdaptationConfig
from sttn.training.command import adapt_command, main
from sttn.training.corpus import CorpusLimits, read_corpus
from sttn.training.shots import read_shot
from sttn.training.state import initialize

oiio = pytest.importorskip("OpenImageIO")

SIZE = (48, 64)
FIRST = 1001


def write_exr(
    path: Path,
    pixels: np.ndarray,
    names: str = "RGB",
    at: tuple[int, int] = (0, 0),
    size: tuple[int, int] = SIZE,
) -> None:
    """An .exr whose data window lies somewhere in its display window."""
    spec = oiio.ImageSpec(*pixels.shape[1::-1], len(names), oiio.HALF)
    spec.channelnames = tuple(names)
    spec.x, spec.y = at
    spec.full_height, spec.full_width = size
    file = oiio.ImageOutput.create(str(path))
    file.open(str(path), spec)
    file.write_image(pixels)
    file.close()


def plate() -> np.ndarray:
    """A gray wall, a lamp fifty times as bright, and something green to be removed."""
    light = np.full((*SIZE, 3), 0.2, np.float32)
    light[:8, :8] = 10.0
    light[20:30, 20:40] = (0, 1, 0)
    return light


def matte() -> np.ndarray:
    covered = np.zeros((*SIZE, 1), np.float32)
    covered[20:30, 20:40] = 1
    return covered


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    for number in range(FIRST, FIRST + 4):
        write_exr(tmp_path / f"plate.{number}.exr", plate())
        write_exr(tmp_path / f"matte.{number}.exr", matte(), "A")
    return tmp_path


def test_a_plate_reaches_the_network_as_the_node_sends_it(shot):
    """Weights learn what they will be shown: encoded, and divided by the peak."""
    frames, masks = read_shot(shot / "plate.####.exr", shot / "matte.####.exr")

    codes = encode(plate())
    peak = np.percentile(codes[masks[0] == 0], 99.9)
    assert peak > 1.1
    assert frames.shape == (4, *SIZE, 3)
    assert frames.dtype == np.float16
    np.testing.assert_allclose(frames[2], np.clip(codes / peak, 0, 1), atol=2e-3)
    assert masks[:, 20:30, 20:40].all()
    assert masks.mean() == pytest.approx(200 / (48 * 64))


def test_plates_in_a_corpus_are_a_movie_as_the_node_sends_it(shot, caplog):
    """A studio trains on its own shots: each frame was a panorama, or a warning. A sequence that
    has no colors is one warning.
    """
    write_exr(shot / "plate.1005.exr", plate())
    write_exr(shot / "matte.1005.exr", matte(), "A")

    corpus = read_corpus(shot)

    (movie,) = corpus.movies
    assert (movie.shape, movie.dtype, corpus.panoramas) == ((5, *SIZE, 3), np.uint8, [])
    codes = encode(plate())
    np.testing.assert_allclose(movie[4] / 255, codes / codes.max(), atol=3e-3)
    assert caplog.text.count("left out: ") == 1
    assert "has no channels R, G and B" in caplog.text
    (small,) = read_corpus(shot, CorpusLimits(movie_frames=2, movie_short_side=24)).movies
    assert small.shape == (2, 24, 32, 3)


def test_what_the_matte_covers_does_not_set_the_peak(shot):
    """A glowing object that goes leaves the wall as bright as it is."""
    for number in range(FIRST, FIRST + 4):
        light = plate()
        light[:8, :8] = 0.2
        light[20:30, 20:40] = 1000.0
        write_exr(shot / f"plate.{number}.exr", light)

    frames, _ = read_shot(shot / "plate.####.exr", shot / "matte.####.exr")

    assert frames[0, 0, 0, 0] == pytest.approx(encode(np.float32([0.2]))[0], abs=1e-3)


@pytest.mark.parametrize("location", ["matte.1001.exr", "folder", "matte.####.exr", "gray.png"])
def test_mattes_are_stills_folders_and_patterns(shot, location):
    """Whatever the host rendered."""
    (shot / "folder").mkdir()
    for number in range(4):
        write_exr(shot / "folder" / f"{number}.exr", matte(), "Y")
    cv2.imwrite(str(shot / "gray.png"), matte() * 255)

    _, masks = read_shot(shot / "plate.####.exr", shot / location)

    np.testing.assert_array_equal(masks, np.repeat(matte()[np.newaxis, ..., 0] > 0, 4, axis=0))


@pytest.mark.parametrize("at", [(20, 20), (-10, -10)])
def test_data_windows_lie_where_they_belong(shot, at):
    """Nuke cuts a matte to its box, and renders beyond the frame."""
    whole = np.pad(matte(), ((10, 10), (10, 10), (0, 0)))
    pixels = matte()[20:30, 20:40] if at == (20, 20) else whole
    write_exr(shot / "cut.exr", np.ascontiguousarray(pixels), "A", at)

    _, masks = read_shot(shot / "plate.####.exr", shot / "cut.exr")

    np.testing.assert_array_equal(masks[3], matte()[..., 0] > 0)


def test_patterns_pair_by_frame_number(shot):
    """A matte with handles covers the right frames; one with a gap is refused."""
    (shot / "plate.1001.exr").unlink()
    empty = np.zeros_like(matte())
    write_exr(shot / "matte.1003.exr", empty, "A")

    _, masks = read_shot(shot / "plate.####.exr", shot / "matte.####.exr")
    (shot / "matte.1004.exr").unlink()
    with pytest.raises(FootageError, match="no frame 1004"):
        read_shot(shot / "plate.####.exr", shot / "matte.####.exr")

    assert masks.any(axis=(1, 2)).tolist() == [True, False, True]


def test_eight_bits_are_read_as_they_are(tmp_path):
    """Display-referred folders and patterns need no encoding."""
    for number in range(3):
        image = np.full((*SIZE, 3), 40 * number, np.uint8)
        cv2.imwrite(str(tmp_path / f"shown.{number:04d}.png"), image)
    (tmp_path / "mattes").mkdir()
    cv2.imwrite(str(tmp_path / "mattes" / "still.png"), matte() * 255)

    frames, _ = read_shot(tmp_path / "shown.####.png", tmp_path / "mattes" / "still.png")

    assert frames.dtype == np.uint8
    assert frames.mean(axis=(1, 2, 3)).tolist() == [0, 40, 80]


def test_frames_of_a_folder_come_in_the_order_of_their_numbers(tmp_path):
    """plate.9 before plate.10: what adapts is the shot, not its frames shuffled, nor what macOS
    lays beside them.
    """
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"plate.{number}.png"), np.full((*SIZE, 3), number, np.uint8))
    (tmp_path / "._plate.0.png").write_bytes(b"\0\5\26\7")

    frames, _ = read_shot(tmp_path, tmp_path / "plate.1.png")

    assert frames[:, 0, 0, 0].tolist() == list(range(12))


@pytest.mark.parametrize("location", ["nothing.####.exr", "nowhere"])
def test_a_missing_plate_is_named(shot, location):
    """The message says what may be given."""
    with pytest.raises(FootageError, match=re.escape(location)):
        read_shot(shot / location, shot / "matte.####.exr")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("adapt", "--plate", "a", "--matte", "b", "--output", "nowhere/mine.safetensors"),
            "--output nowhere/mine.safetensors: nowhere is no folder that can be written to",
        ),
        (("show", "corpus", "--output", "nowhere/clips.png"), "nowhere is no folder"),
        (("show", "corpus", "--output", "\udce9.png"), "the name of \\udce9.png is no UTF-8"),
        (("corpus", "--output", "\udce9"), "the name of \\udce9 is no UTF-8; rename it"),
        (("corpus", "--output", "file"), "--output file is a file; name a folder"),
        (("fusion", "corpus", "--output", "file"), "--output file is a file"),
        (("pack", "corpus", "--output", "file"), "--output file is a file"),
    ],
)
def test_what_could_not_be_written_is_refused_first(tmp_path, monkeypatch, capsys, arguments, said):
    """Nobody waits for minutes or days of learning that cannot be kept: one line, exit code 2."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr("sys.argv", ["sttn-train", *arguments])

    with pytest.raises(SystemExit) as stopped:
        main()

    assert stopped.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.slow
def test_weights_adapt_to_scene_linear_plates(shot, capsys):
    """The whole command, on plates with a lamp above 1."""
    torch.manual_seed(0)
    generator = Generator(ModelConfig(channels=16, blocks=1))
    initialize(generator)
    save_generator(generator, shot / "start.safetensors", torch.float16, {})

    adapt_command(
        shot / "plate.####.exr",
        shot / "matte.####.exr",
        shot / "mine.safetensors",
        weights=shot / "start.safetensors",
        device="cpu",
        settings=AdaptationConfig(minutes=0.05, learning_rate=3e-3, width=48, height=48, frames=2),
    )

    told = capsys.readouterr().out
    before, after = (float(number) for number in re.findall(r"([\d.-]+) dB", told))
    assert after > before + 1
    changed = load_generator(shot / "mine.safetensors").state_dict()
    assert any((changed[n] - t).abs().max() > 1e-3 for n, t in generator.state_dict().items())
