"""Work in a thread of its own, so that a host stays in command of it."""

import atexit
import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from node.errors import CancelledError

Item = TypeVar("Item")

POLL_SECONDS = 0.02
"""How often a host that waits is asked whether to go on."""

LEAVE_SECONDS = 0.05
"""How long a stopped worker is waited for; then it ends by itself, at its next step."""

EXIT_SECONDS = 5.0
"""How long a program that ends waits for such a worker. Cut off inside a call of gRPC's it could
keep a lock, and the program from ending at all."""


def in_background(
    work: Callable[[Callable[[Item], None], Callable[[], bool]], None], go_on: Callable[[], None]
) -> Iterator[Item]:
    """Hand over what work in another thread emits.

    Args:
        work: Called in the other thread with what it emits items by, which raises
            :class:`CancelledError` once nobody waits for them any more, and what tells that.
        go_on: Called often, in this thread; raises to stop.

    Yields:
        What the work emits, one item ahead; what it raises is raised here.
    """
    stopped = threading.Event()
    items: queue.Queue[Item | _Ended] = queue.Queue(1)

    def hand_over(item: Item | _Ended) -> None:
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                return items.put(item, timeout=POLL_SECONDS)
        raise CancelledError("cancelled")

    def run() -> None:
        error: BaseException | None = None
        try:
            work(hand_over, stopped.is_set)
        except BaseException as raised:
            error = raised
        with contextlib.suppress(CancelledError):
            hand_over(_Ended(error))

    worker = threading.Thread(target=run, name="sttn-node", daemon=True)
    worker.start()
    try:
        while True:
            go_on()
            with contextlib.suppress(queue.Empty):
                item = items.get(timeout=POLL_SECONDS)
                if not isinstance(item, _Ended):
                    yield item
                elif item.error is None:
                    return
                else:
                    raise item.error
    finally:
        stopped.set()
        worker.join(LEAVE_SECONDS)
        if worker.is_alive():
            atexit.register(worker.join, EXIT_SECONDS)


@dataclass(frozen=True)
class _Ended:
    error: BaseException | None
