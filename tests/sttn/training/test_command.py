"""`sttn-train` as people type it: what is wrong is told first, and Ctrl-C costs nothing."""

import os
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sttn.training import __main__ as command
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
        (["fusion", "corpus", "--output", "run"], "; the same command goes on from here"),
        (["show", "corpus", "--output", "clips.png"], ""),
    ],
)
def test_ctrl_c_while_a_corpus_is_read_is_one_line(folder, monkeypatch, capsys, arguments, told):
    """Somebody who typed the wrong folder sees no traceback, and a script sees 130."""
    monkeypatch.setattr(command, "read_corpus", lambda *_: os.kill(os.getpid(), signal.SIGINT))

    code, said = ended(monkeypatch, capsys, arguments)

    assert code == 130
    assert said[-1] == f"sttn-train: stopped{told}"


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
