"""What all tests share."""

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings

from server.app import Running, running
from server.config import ServerConfig
from server.worker import MakeModels
from sttn.command_line import stopping_signals
from tests.server.engines import FakeEngine, FakeModels

# The machines are shared: a slow moment is no failure. Derandomized, so that red means changed.
settings.register_profile("shared", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("shared")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Tests that run in the background of a shell would start processes that cannot be interrupted.
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST = (
    "test_readme.py",
    "test_trainer.py",
    "test_blender.py",
    "test_benchmarks.py",
    "test_anchors.py",
    "test_hostile.py",
    "test_real_footage.py",
    "test_command.py",
)
"""Files that take a minute and more each, the longest first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what takes longest begin first, so that files run two at a time end together."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """Provided clips and photographs, which the project itself does not depend on."""
    if not SHARED.is_dir():
        pytest.skip(f"no provided material at {SHARED}")
    return SHARED


@contextmanager
def serving(engine: object, **settings: object) -> Iterator[str]:
    """A real server on a free port, in a thread of its own; the value is its address.

    The engine computes in a process of its own, so it has to be picklable: a function or class of
    a module, not a closure. It is called as ``sttn.inference.completed_frames`` is.
    """
    with server(engine, **settings) as (address, _):
        yield address


@contextmanager
def server(engine: object, workers: int = 1, **settings: object) -> Iterator[tuple[str, Running]]:
    """As :func:`serving`, with the server itself, and as many model processes as one likes."""
    fixed = {"address": "localhost:0", "device": ",".join(["cpu"] * workers)}
    config = ServerConfig(**{**fixed, **settings})  # type: ignore[arg-type]
    with server_of(config, partial(FakeModels, engine)) as started:
        yield started


@contextmanager
def server_of(config: ServerConfig, make_models: MakeModels) -> Iterator[tuple[str, Running]]:
    """A real server in a thread of its own."""
    ready, started = threading.Event(), []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        try:
            async with running(config, make_models) as at_work:
                started.append(at_work)
                ready.set()
                await stop.wait()
        finally:
            ready.set()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert ready.wait(120)
    try:
        yield started[0].address, started[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(120)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@contextmanager
def usual_signals() -> Iterator[None]:
    """Commands answer signals as long as their process lasts, which here is that of all tests."""
    usual = {number: signal.getsignal(number) for number in stopping_signals()}
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)


def eventually(holds: Callable[[], object], seconds: float = 45) -> None:
    """Wait until something holds that is under way.

    Long enough for a process to start on a busy machine; shorter than a server waits, by itself,
    for a client that is gone (``LimitsConfig.abandoned_seconds``).
    """
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def fake_engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def address(fake_engine: FakeEngine) -> Iterator[str]:
    """Where a real server with the fake engine listens."""
    with serving(fake_engine) as where:
        yield where


@pytest.fixture
def quiet() -> Callable[[str, int, int], bool]:
    """Progress that nobody looks at."""
    return lambda stage, done, total: True
