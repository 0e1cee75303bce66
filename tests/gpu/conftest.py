"""What runs on a GPU alone; all of it skips where there is none."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from sttn.device import choose_device, give_back_memory
from sttn.model import Generator, load_generator
from sttn.settings.weights import DEFAULT_WEIGHTS

NAME = os.environ.get("GPU_TESTS_DEVICE", "cuda")
"""``cpu`` runs these tests without a GPU, all but those that look at its memory."""


@pytest.fixture(scope="session", autouse=True)
def device() -> torch.device:
    """Where these tests compute: the one place that decides whether they run."""
    if NAME != "cpu" and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no CUDA device on this machine")
    return choose_device(NAME)


@pytest.fixture
def card(device: torch.device) -> torch.device:
    """A device with memory of its own."""
    if device.type != "cuda":
        pytest.skip("a CPU has no memory of its own to look at")
    return device


@dataclass(frozen=True)
class Shipped:
    """The shipped network, on the device and on the CPU that it is compared with."""

    there: Generator
    half: Generator
    here: Generator


@pytest.fixture(scope="session")
def shipped(device: torch.device) -> Shipped:
    def on(where: torch.device, precision: torch.dtype = torch.float32) -> Generator:
        return load_generator(DEFAULT_WEIGHTS).to(where, precision)

    return Shipped(on(device), on(device, torch.bfloat16), on(torch.device("cpu")))


@pytest.fixture
def taken(card: torch.device) -> Callable[[Callable[[], object]], int]:
    """Memory of the device, in bytes, that work takes at most beside what is taken already."""

    def most(work: Callable[[], object]) -> int:
        give_back_memory()
        before = torch.cuda.memory_allocated(card)
        torch.cuda.reset_peak_memory_stats(card)
        work()
        return torch.cuda.max_memory_allocated(card) - before

    return most
