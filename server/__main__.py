"""Start the server.

Without flags it listens on localhost:50071 with the shipped weights, and prints where it listens:

    sttn-server

On a socket of your own, with weights of your own:

    sttn-server --address unix:/tmp/sttn.sock --weights mine.safetensors

Ctrl-C or SIGTERM stops it.
"""

import asyncio
import logging
import sys

import tyro

from server.app import serve
from server.config import ServerConfig
from sttn.errors import SttnError


def main() -> None:
    """Run the command line; exit code 2 where the server cannot start."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        asyncio.run(serve(tyro.cli(ServerConfig, prog="sttn-server", description=__doc__)))
    except (SttnError, ValueError, OSError) as error:
        print(f"sttn-server: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
