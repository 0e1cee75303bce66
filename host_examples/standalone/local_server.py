"""A server of our own for the length of one job, on a unix socket that nobody else can reach."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from node.errors import ServerUnreachableError


@contextmanager
def local_server(weights: Path | None = None, preset: str | None = None) -> Iterator[str]:
    """Start a server, hand out its address once it listens, and stop it whatever happens.

    Raises:
        ServerUnreachableError: it could not start; the message says why.
    """
    with starting_server(weights, preset) as address:
        yield address()


@contextmanager
def starting_server(
    weights: Path | None = None, preset: str | None = None
) -> Iterator[Callable[[], str]]:
    """Start a server without waiting for it, and stop it whatever happens.

    The server also ends by itself when this process dies, however it dies: it watches the
    pipe that is its standard input.

    Yields:
        What waits until it listens and answers its address, or raises
        :class:`ServerUnreachableError` that says why it could not start; called once.
    """
    with tempfile.TemporaryDirectory(prefix="sttn-") as folder:
        address = f"unix:{folder}/server.sock"
        command = [sys.executable, "-m", "server", "--address", address, "--until-stdin-closes"]
        if weights is not None:
            command += ["--weights", str(weights.absolute())]
        if preset is not None:
            command += ["--preset", preset]
        log = Path(folder) / "server.log"
        with (
            log.open("wb") as errors,
            subprocess.Popen(
                command,
                # Python would import what lies beside the shot, a server.py say.
                cwd=folder,
                env={**os.environ, "PYTHONPATH": _import_path()},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            assert process.stdin is not None

            def listening() -> str:
                assert process.stdout is not None
                if not process.stdout.readline().startswith("listening"):
                    process.wait()
                    told = log.read_text(errors="replace").strip().splitlines() or ["no reason"]
                    raise ServerUnreachableError(f"the server did not start: {told[-1]}")
                return address

            try:
                yield listening
            finally:
                # The signal ends it even before it listens to its input, whose end is the end of
                # whatever it is at: nobody is left who waits for that.
                process.terminate()
                process.stdin.close()
                try:
                    process.wait(timeout=10)
                except subprocess.TimeoutExpired:
                    process.kill()


def _import_path() -> str:
    # Seen from another folder; an empty entry would be the one where the shot is.
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(os.path.abspath(entry) for entry in entries if entry)
