"""Work on several frames at once, bounded and in order."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")

Stopped = Callable[[], bool]
"""Whether nobody waits for the work any more."""

AT_ONCE = min(4, os.cpu_count() or 1)
"""Frames worked on at once, where memory is no matter."""


def made_ahead(
    given: Iterable[Given],
    make: Callable[[Given, Stopped], Made],
    stopped: Stopped,
    at_once: int,
) -> Iterator[Made]:
    """What is made of each, in order, by some threads.

    Args:
        given: Taken from only as threads become free, so that memory does not grow with length.
        make: Called in the threads, with what tells it that nobody waits for it any more.
        stopped: The caller's own.
        at_once: Threads.

    Yields:
        What was made; an error is raised when its turn comes. Nobody waits for what is under way
        where it ends early, as by Ctrl-C.
    """
    ended = threading.Event()

    def given_up() -> bool:
        return ended.is_set() or stopped()

    rest, under_way = iter(given), deque[Future[Made]]()
    with ThreadPoolExecutor(at_once, thread_name_prefix="ahead") as pool:
        try:
            under_way.extend(pool.submit(make, each, given_up) for each in islice(rest, at_once))
            while under_way:
                yield under_way.popleft().result()
                under_way.extend(pool.submit(make, each, given_up) for each in islice(rest, 1))
        finally:
            ended.set()
            for future in under_way:
                future.cancel()


def handed_over(
    given: Iterable[Given],
    make: Callable[[Given], Made],
    hand_over: Callable[[Made], None],
    at_once: int,
) -> None:
    """Make something of each as soon as it comes, in threads, and hand it over in order.

    Args:
        given: Waited for in this thread; what came before it fails is handed over all the same.
        make: Called in some threads.
        hand_over: Called in them too, for one after the other.
        at_once: Threads; as many results wait for those before them at most.
    """

    def made(each: Given, before: Future[None] | None) -> None:
        result = make(each)
        if before is not None:
            before.result()
        hand_over(result)

    under_way = deque[Future[None]]()
    with ThreadPoolExecutor(at_once, thread_name_prefix="in-order") as pool:
        for each in given:
            under_way.append(pool.submit(made, each, under_way[-1] if under_way else None))
            if len(under_way) > at_once:
                under_way.popleft().result()
        for future in under_way:
            future.result()
