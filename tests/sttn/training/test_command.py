"""`sttn-train` as people type it: what is wrong is told first, and Ctrl-C costs nothing."""

import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sttn.training import command
from sttn.training.journal import Journal
from sttn.training.state import TrainingState


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """Where the command runs: an empty corpus and a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "file").touch()
    return tmp_path


def ended(monkeypatch, capsys, arguments: list[str]) -> tuple[int, list[str]]:
    """Exit code of a command and the lines on stderr."""
    monkeypatch.setattr("sys.argv", ["sttn-train", *arguments])
    with pytest.raises(SystemExit) as stopped:
        command.main()
    return stopped.value.code, capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--start", "none.safetensors"], "no weights at none.safetensors"),
        (["--vgg", "none.pth", "--style-weight", "1"], "cannot read the weights at none.pth"),
        (["--output", "begun"], "begun/checkpoint-00000000.pt belongs to"),
        (["--output", "file/run"], "file is a file; name a folder"),
        (["--output", "corpus"], "--output corpus is the corpus; name another folder"),
    ],
)
def test_what_is_wrong_without_a_corpus_is_told_before_one_is_read(
    folder, monkeypatch, capsys, tiny, arguments, told
):
    """Decoding YouTube-VOS takes an hour; a mistyped path is told at once."""
    (folder / "begun").mkdir()
    TrainingState(tiny, torch.device("cpu")).save(folder / "begun")
    monkeypatch.setattr(command, "read_corpus", lambda *_: pytest.fail("the corpus was read"))

    code, said = ended(monkeypatch, capsys, ["corpus", "--output", "run", *arguments])

    assert code == 2
    assert told in said[-1]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["corpus", "--output", "run", "--config", "tiny"], "; the same command goes on from here"),
        (["fusion", "corpus", "--output", "run"], "with what was gathered, and trains anew"),
        (["show", "corpus", "--output", "clips.png"], "stopped"),
    ],
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_a_corpus_is_read_is_one_line(
    folder, monkeypatch, capsys, arguments, told, number
):
    """Somebody who typed the wrong folder sees no traceback, and a script sees 130."""
    monkeypatch.setattr(command, "read_corpus", lambda *_: signal.raise_signal(number))

    code, said = ended(monkeypatch, capsys, arguments)

    assert code == 130
    assert said[-1].startswith("sttn-train: stopped")
    assert said[-1].endswith(told)


@pytest.mark.slow
def test_a_run_that_was_stopped_is_not_finished(folder, monkeypatch, capsys):
    """A farm's script that trains and then evaluates: 130 after SIGTERM, and 0 once all is done."""
    cv2.imwrite("corpus/a.png", np.random.default_rng(0).integers(0, 256, (90, 90, 3)))
    flags = "--steps 3 --warmup-steps 0 --decay-steps 0 --validate-every 0 --device cpu"
    arguments = ["corpus", "--output", "run", "--config", "tiny", *flags.split()]
    write = Journal.write

    def terminated(journal: Journal, step: int, figures: dict[str, float]) -> None:
        signal.raise_signal(signal.SIGTERM)
        write(journal, step, figures)

    monkeypatch.setattr(Journal, "write", terminated)
    code, said = ended(monkeypatch, capsys, arguments)

    assert code == 130
    assert said[-1] == "sttn-train: stopped; the same command goes on from here"
    assert (folder / "run" / "checkpoint-00000001.pt").is_file()
    monkeypatch.setattr(Journal, "write", write)
    command.main()
    assert (folder / "run" / "checkpoint-00000003.pt").is_file()


def test_a_gpu_that_is_too_small_is_one_line(folder, monkeypatch, capsys):
    """Whoever began with too large a batch reads that, and no traceback."""

    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    monkeypatch.setattr(command, "read_corpus", full)

    code, said = ended(monkeypatch, capsys, ["corpus", "--output", "run", "--config", "tiny"])

    assert code == 2
    assert said[-1] == "sttn-train: CUDA out of memory. Tried to allocate 20.00 MiB"


@pytest.mark.parametrize(
    "arguments",
    [
        ["corpus", "--output", "run", "--config", "tiny", "--sample.movie-share", "1"],
        ["fusion", "corpus", "--output", "run", "--examples.clip.movie-share", "1"],
        ["show", "corpus", "--output", "clips.png", "--sample.movie-share", "1"],
    ],
)
def test_clips_from_movies_only_want_movies(folder, monkeypatch, capsys, arguments):
    """Frames that were taken for photographs would be trained on for days."""
    cv2.imwrite("corpus/a.png", np.zeros((90, 90, 3), np.uint8))

    code, said = ended(monkeypatch, capsys, arguments)

    assert code == 2
    assert "movie_share is 1, and the corpus holds no movie" in said[-1]
