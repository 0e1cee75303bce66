"""The front end's side of one model process: started, heard, told, and noticed when it dies."""

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

import psutil

from server.contents import remove_unadopted
from server.messages import FromFrontEnd, FromProcess
from server.worker import MakeModels, work

GOING_SECONDS = 10.0
"""How long a process that was killed may take to go."""

Heard = Callable[[FromProcess | None], None]
"""Called on the event loop with every message; None says that the process has died."""


class ModelProcess:
    """A process of its own, spawned (never forked: gRPC and CUDA do not survive it)."""

    def __init__(self, make_models: MakeModels, device: str, folder: Path, heard: Heard) -> None:
        """Start it; what it says first is ``Ready`` or ``Failed``.

        Args:
            make_models: Called in the new process.
            device: What it shall compute on.
            folder: The store's.
            heard: Called on the event loop that runs now.
        """
        self._folder = folder
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=work, args=(theirs, make_models, device, folder), name="sttn-model", daemon=True
        )
        self._process.start()
        theirs.close()
        self._sender = ThreadPoolExecutor(1, thread_name_prefix="to-model-process")
        listener = threading.Thread(
            target=_listen,
            args=(self._connection, asyncio.get_running_loop(), heard),
            name="from-model-process",
            daemon=True,
        )
        listener.start()

    @property
    def pid(self) -> int:
        """Its number."""
        assert self._process.pid is not None
        return self._process.pid

    def memory_bytes(self) -> int:
        """Resident memory; 0 once it is gone."""
        with suppress(psutil.Error):
            return int(psutil.Process(self.pid).memory_info().rss)
        return 0

    def tell(self, order: FromFrontEnd) -> None:
        """Give an order; returns at once. A process that is gone does not hear it."""

        def send() -> None:
            with suppress(OSError):
                self._connection.send(order)

        self._sender.submit(send)

    def kill(self) -> None:
        """End it; returns at once, and ``heard`` is told when it has died."""
        self._process.kill()

    def end(self) -> None:
        """End it, and wait until it is gone, but not for ever: a driver may hold it."""
        self._process.kill()
        self._process.join(GOING_SECONDS)
        if self._process.exitcode is not None:
            self._sender.shutdown()
            self._connection.close()
            remove_unadopted(self._folder, self.pid)


def _listen(connection: Connection, loop: asyncio.AbstractEventLoop, heard: Heard) -> None:
    with suppress(RuntimeError):  # the loop is closed
        while True:
            try:
                message = connection.recv()
            except (EOFError, OSError):
                loop.call_soon_threadsafe(heard, None)
                return
            loop.call_soon_threadsafe(heard, message)
