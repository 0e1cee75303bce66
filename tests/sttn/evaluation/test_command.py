"""`sttn-evaluate` as people type it, on footage it was made for."""

import json
import signal
import subprocess
import sys
from functools import partial

import pytest

from sttn.evaluation.command import COMMANDS, main
from tests.conftest import usual_signals
from tests.sttn.evaluation.conftest import panned, write_frames


@pytest.fixture
def command(tmp_path, monkeypatch):
    """The command line in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["sttn-evaluate", *map(str, arguments)])
        main()

    with usual_signals():
        yield run


@pytest.mark.slow
def test_real_clips_are_measured(shared, tmp_path, command, capsys):
    """The shipped weights beat Telea on clips they never saw; the model card has all of them."""
    command(
        shared / "clips",
        *("--pattern", "davis_c*", "--limit", "11", "--films", "1", "--maps", "1"),
        *("--baselines", "telea", "propagation"),
    )

    printed = capsys.readouterr().out
    assert "davis_cows" in printed
    assert "sttn_medium is" in printed
    told = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    figures = {name: row["hole_psnr"]["mean"] for name, row in told["summary"].items()}
    assert figures["sttn_medium"] > figures["telea"]
    assert 12 < figures["propagation"] < 20
    assert (tmp_path / "evaluation" / "index.html").stat().st_size > 100_000


def test_sigterm_is_ctrl_c(command, monkeypatch, capsys):
    """A farm that takes its machine back: 130, a word, and nothing left that computes."""
    terminated = partial(signal.raise_signal, signal.SIGTERM)
    monkeypatch.setitem(COMMANDS, "ranks", lambda _: terminated())

    with pytest.raises(SystemExit) as stopped:
        command("ranks")

    assert stopped.value.code == 130
    assert "stopped; the same command goes on from here" in capsys.readouterr().err


COMPUTING = """
import os, time
from sttn.evaluation.runs import _pool

with _pool(1) as pool:
    print(pool.submit(os.getpid).result(), flush=True)
    pool.submit(time.sleep, 600).result()
"""


@pytest.mark.slow
def test_processes_beside_end_with_the_command():
    """Killed, as for want of memory: they would wait for work, and hold theirs, forever."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMPUTING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert int(process.stdout.readline()) != process.pid

    process.kill()

    # Ends when nobody is left who could print.
    process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "no folder of videos at nowhere"),
        (("clips", "--weights", "nowhere.safetensors"), "no weights at nowhere"),
        (("clips", "--i3d", "nowhere.pt"), "no weights for i3d at nowhere.pt"),
        (("clips", "--pattern", "x*"), "matches 'x*'"),
        (("clips", "--width", "100"), "multiple of 48"),
        (("clips", "--weights", "--baselines"), "nothing to measure"),
        (("clips", "--processes", "0"), "processes must be at least 1"),
        (("ranks", "clips", "a.csv"), "no key of a ranking"),
        (
            ("ranking", "clips", "--output", "out", "--count", "-1"),
            "count must be at least 1, got -1",
        ),
        (("ranking", "clips", "--output", "out", "--baselines"), "2 to 26 methods, got 1"),
        (("clips", "--output", "clips/one/00000.png"), "Not a directory"),
        (("table", "8", "corpus", "clips", "--output", "out"), "want vgg"),
    ],
)
def test_bad_input_is_one_line(tmp_path, command, capsys, arguments, said):
    """What is wrong, and exit code 2; nothing is written."""
    write_frames(tmp_path / "clips" / "one", panned(2))
    (tmp_path / "corpus").mkdir()
    write_frames(tmp_path / "corpus" / "a", panned(5))

    with pytest.raises(SystemExit) as stopped:
        command(*arguments)

    assert stopped.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "evaluation").exists()
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_others_fill_is_one_line(tmp_path, command, capsys, monkeypatch):
    """CUDA's own memory does not fit: no traceback."""
    write_frames(tmp_path / "clips" / "one", panned(2))
    monkeypatch.setattr("sttn.evaluation.command.read_networks", full)

    with pytest.raises(SystemExit) as stopped:
        command("clips", "--baselines")

    assert stopped.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == "sttn-evaluate: CUDA error: out of memory"


def full(*_):
    raise RuntimeError("CUDA error: out of memory")
