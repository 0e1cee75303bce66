r"""Start the server.

Without flags it listens on localhost:50071 with the shipped weights, and prints where it listens:

    sttn-server

On a socket of your own, with weights of your own:

    sttn-server --address unix:/tmp/sttn.sock --weights mine.safetensors

For a floor of artists:

    sttn-server --address 0.0.0.0:50071 --store.folder /var/lib/sttn \
        --security.certificate cert.pem --security.key key.pem --security.tokens tokens

Ctrl-C, SIGTERM or SIGHUP: no new jobs, those that are here are finished; a second one ends at once.
`sttn-server --check` (with the flags you mean to use) says whether this machine is fit to serve,
and what it would reach. `sttn-server status` shows what a running server does, `sttn-server admin`
loads models, cancels jobs and drains; both have a --help of their own.
Exit codes: 0 stopped, 1 checked and not fit, 2 cannot start (one line says why), 130 interrupted
before it served.
"""

import asyncio
import io
import sys
from functools import partial
from typing import Annotated

import tyro

from server.app import serve, torch_models
from server.config import ServerConfig
from server.errors import ServerError
from server.logs import log_lines
from server.operate import admin_command, status_command
from sttn.command_line import INTERRUPTED, run_command
from sttn.errors import SttnError


def start(
    settings: Annotated[ServerConfig, tyro.conf.arg(name="")],
    check_only: Annotated[bool, tyro.conf.arg(name="check")] = False,
) -> int:
    """Serve, or say whether this machine could.

    Args:
        settings: What is served, to whom, within which limits.
        check_only: Say whether this machine is fit to serve and what it would reach, and end.
    """
    if check_only:
        from server.check import check  # which needs torch; serving starts sooner without

        return check(settings)
    asyncio.run(serve(settings, partial(torch_models, settings)))
    return 0


def main() -> None:
    """Run the command line.

    Exit code 2 where the server cannot start, 130 after Ctrl-C before it served.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # names may hold what a terminal cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    log_lines()
    commands = {"status": status_command, "admin": admin_command}
    arguments = sys.argv[1:]
    command = commands.get(arguments[0]) if arguments else None
    try:
        if command is not None:
            sys.exit(command(arguments[1:]))
        sys.exit(run_command(start, "sttn-server", description=__doc__))
    except (SttnError, ServerError, ValueError, OSError) as error:
        print(f"sttn-server: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before it serves; from then on it is told to drain
        print("sttn-server: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
