"""What all tests share."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from server.app import running
from server.config import ServerConfig
from server.scheduler import CompleteClip
from sttn.errors import CancelledError

# The machines are shared: a slow moment is no failure. Derandomized, so that red means changed.
settings.register_profile("shared", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("shared")

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture
def shared() -> Path:
    """Provided clips and photographs, which the project itself does not depend on."""
    if not SHARED.is_dir():
        pytest.skip(f"no provided material at {SHARED}")
    return SHARED


class FakeEngine:
    """Fills holes with a constant, so that what travels can be told from what was computed."""

    def __init__(self, fill: float = 0.25) -> None:
        self.fill = fill
        self.hold = threading.Event()
        self.hold.set()
        self.held_at = 0

    def __call__(self, frames, masks, *, cancelled):
        for index in range(len(frames)):
            if index >= self.held_at:
                while not self.hold.wait(0.02):
                    if cancelled():
                        raise CancelledError("cancelled by the caller")
            if cancelled():
                raise CancelledError("cancelled by the caller")
            result = np.array(frames[index])
            result[masks[index]] = self.fill
            yield index, result


@contextmanager
def serving(engine: CompleteClip, **settings: object) -> Iterator[str]:
    """A real server on a free port, in a thread of its own; the value is its address."""
    config = ServerConfig(**{"address": "localhost:0", **settings})  # type: ignore[arg-type]
    ready, address = threading.Event(), []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        async with running(config, engine) as where:
            address.append(where)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()))
    thread.start()
    assert ready.wait(30)
    try:
        yield address[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


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
