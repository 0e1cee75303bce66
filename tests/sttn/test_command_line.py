"""The four commands, before and while they read what was typed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
