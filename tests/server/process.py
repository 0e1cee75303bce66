"""A server in a process of its own, that tests may kill: ``python -m tests.server.process``."""

import argparse
import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from server import app
from server.config import LimitsConfig, SecurityConfig, ServerConfig, StoreConfig
from server.logs import log_lines
from tests.server.engines import FakeModels, WorkingEngine

ROOT = Path(__file__).parents[2]


def unused_ports(count: int) -> list[int]:
    """Ports for processes that are started later.

    None of those that a system gives to whoever asks for any: nobody gets them meanwhile.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(range(20_000, 30_000), 100):
        with suppress(OSError), socket.create_server(("localhost", port)):
            found.append(port)
    return found[:count]


@contextmanager
def server_process(
    address: str, log: Path, *options: str, wait: bool = True, **popen: object
) -> Iterator[subprocess.Popen[str]]:
    """The process, once it listens; killed at the end if it still runs."""
    with log.open("a") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.process", address, *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            **popen,
        )
    with process:
        try:
            if wait:
                assert process.stdout.readline().startswith("listening"), log.read_text()
            yield process
        finally:
            process.kill()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--store", type=Path)
    parser.add_argument("--store-gigabytes", type=float, default=StoreConfig.gigabytes)
    parser.add_argument("--seconds", type=float, default=0.02, help="work per frame")
    parser.add_argument("--drain-seconds", type=float, default=10)
    parser.add_argument("--keepalive-seconds", type=float, default=20)
    parser.add_argument("--abandoned-seconds", type=float, default=60)
    parser.add_argument("--tokens", type=Path)
    parser.add_argument("--admin-tokens", type=Path)
    parser.add_argument("--certificate", type=Path, help="its key lies beside it, as .key")
    parser.add_argument("--shared-memory", action="store_true")
    parser.add_argument("--file-bytes", type=int, help="largest file the system lets it write")
    chosen = parser.parse_args()
    if chosen.file_bytes is not None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (chosen.file_bytes, chosen.file_bytes))
    log_lines()
    config = ServerConfig(
        address=chosen.address,
        device="cpu",
        store=StoreConfig(folder=chosen.store, gigabytes=chosen.store_gigabytes),
        limits=LimitsConfig(
            drain_seconds=chosen.drain_seconds,
            keepalive_seconds=chosen.keepalive_seconds,
            abandoned_seconds=chosen.abandoned_seconds,
        ),
        security=SecurityConfig(
            tokens=chosen.tokens,
            admin_tokens=chosen.admin_tokens,
            certificate=chosen.certificate,
            key=chosen.certificate and chosen.certificate.with_suffix(".key"),
        ),
        shared_memory=chosen.shared_memory,
    )
    asyncio.run(app.serve(config, partial(FakeModels, WorkingEngine(chosen.seconds))))


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
