"""The four commands, before and while they read what was typed."""

import importlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sttn.command_line import stopped_by_signals
from tests.conftest import usual_signals

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    "package", ["server", "host_examples.standalone", "sttn.training", "sttn.evaluation"]
)
def test_ctrl_c_while_a_command_still_imports_is_no_traceback(tmp_path, package):
    """Whoever notices a wrong option right after Enter, and types it again."""
    for imported in ("cv2", "tyro"):  # which both swallow what is raised, as C code may
        (tmp_path / f"{imported}.py").write_text(
            "import contextlib, signal\n"
            "with contextlib.suppress(KeyboardInterrupt):\n"
            "    signal.raise_signal(signal.SIGINT)\n"
            "raise ImportError('cannot be imported')\n"
        )
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # though a shell ignores it
    script = f"import runpy, signal; {heard}; runpy.run_module({package!r}, run_name='__main__')"

    done = subprocess.run(
        [sys.executable, "-c", script, "--help"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
@pytest.mark.parametrize(
    ("before", "after"),
    [(signal.SIG_DFL, signal.default_int_handler), (signal.SIG_IGN, signal.SIG_IGN)],
)
def test_a_terminal_that_goes_away_stops_a_command_unless_it_is_ignored(before, after):
    """Whoever works over ssh, and whoever starts a night's work with nohup."""
    usual = signal.signal(signal.SIGHUP, before)
    try:
        with usual_signals():
            stopped_by_signals()
            found = signal.getsignal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, usual)

    assert found is after


@pytest.mark.parametrize(
    ("package", "typed", "told"),
    [
        (
            "host_examples.standalone",
            "a --output b --matte-grow abc",
            "sttn-inpaint: --matte-grow: 'abc' is no whole number; see sttn-inpaint --help",
        ),
        (
            "host_examples.standalone",
            "a --output b --rate fast",
            "sttn-inpaint: --rate: 'fast' is no FLOAT; see sttn-inpaint --help",
        ),
        (
            "host_examples.standalone",
            "a --output b --mate-grow 3",
            "sttn-inpaint: Unrecognized options: --mate-grow, 3 (perhaps --matte-grow INT); "
            "see sttn-inpaint --help",
        ),
        (
            "host_examples.standalone",
            "plate.1.exr --output b " + " ".join(f"plate.{each}.exr" for each in range(2, 1000)),
            "plate.3.exr",
        ),
        (
            "server",
            "--store.gigabytes -3",
            "sttn-server: store: gigabytes must be above 0, got -3.0; see sttn-server --help",
        ),
        ("server", "admin stop", "sttn-server: invalid choice 'stop' for argument 'action'. "),
        (
            "sttn.training",
            "corpus --steps 3",
            "sttn-train: Missing from sttn-train: --output PATH; see sttn-train --help",
        ),
        ("sttn.training", "corpus --output run --config", "Missing value for argument '--config'"),
        (
            "sttn.evaluation",
            "table 4 corpus clips --output tables",
            "Expected one of ('1', '2', '3', '6', '7', '8'); see sttn-evaluate table --help",
        ),
    ],
)
def test_what_cannot_be_read_is_one_line(monkeypatch, capsys, package, typed, told):
    """A farm shows the last line of a log, and a terminal may be narrow."""
    monkeypatch.setattr("sys.argv", ["command", *typed.split()])
    monkeypatch.setenv("COLUMNS", "40")

    with usual_signals(), pytest.raises(SystemExit) as ended:
        importlib.import_module(f"{package}.command").main()

    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert told in line
    assert len(line) < 400
