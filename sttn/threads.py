"""Work that threads do before it is asked for."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def made_ahead(
    given: Iterable[Given], make: Callable[[Given], Made], threads: Executor, ahead: int
) -> Iterator[tuple[Given, Made]]:
    """What is made of each, in order, while up to ``ahead`` more are being made."""
    pending: deque[tuple[Given, Future[Made]]] = deque()
    for each in given:
        pending.append((each, threads.submit(make, each)))
        if len(pending) > ahead:
            first, making = pending.popleft()
            yield first, making.result()
    for last, making in pending:
        yield last, making.result()
