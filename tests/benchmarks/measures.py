"""What benchmarks measure: time, memory, the device's matrix peak, what the machine is, looks."""

import ctypes
import gc
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from sttn.evaluation.metrics.temporal import flicker
from sttn.model import Generator, ModelConfig, load_generator
from sttn.training.state import initialize

Result = TypeVar("Result")


def timed(work: Callable[[], Result], device: torch.device) -> tuple[Result, float]:
    """What work returns, and how long it took."""
    started = time.perf_counter()
    result = work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return result, time.perf_counter() - started


def seconds(work: Callable[[], object], device: torch.device) -> float:
    return timed(work, device)[1]


def matrix_peak(device: torch.device) -> tuple[str, float]:
    """Operations per second of a large matrix product, best of several, and in which type.

    In bfloat16, but on CPUs without instructions for it, which take a minute where float32 takes a
    third of a second.
    """
    size = 8192 if device.type == "cuda" else 2048
    has_bfloat16 = device.type == "cuda" or torch.ops.mkldnn._is_mkldnn_bf16_supported()
    name = "bfloat16" if has_bfloat16 else "float32"
    a = torch.randn(size, size, device=device, dtype=getattr(torch, name))
    return name, max(2 * size**3 / seconds(lambda: a @ a, device) for _ in range(5))


class PeakMemory:
    """Bytes above the start that were in use at most inside the block."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bytes = 0

    def __enter__(self) -> "PeakMemory":
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self.start = torch.cuda.memory_allocated(self.device)
        else:
            # What earlier work freed but the allocator kept would hide what this work takes.
            gc.collect()
            self.start, self.highest, self.done = in_use(), 0, threading.Event()
            self.watch = threading.Thread(target=self._watch, daemon=True)
            self.watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device) - self.start
        else:
            self.done.set()
            self.watch.join()
            self.bytes = self.highest - self.start

    def _watch(self) -> None:
        while not self.done.wait(0.01):
            self.highest = max(self.highest, resident())


def resident() -> int:
    """Bytes of physical memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def in_use() -> int:
    """Bytes of physical memory without what was freed but is kept for later."""
    ctypes.CDLL(None).malloc_trim(0)
    return resident()


def network(name: str) -> Generator:
    """``shipped``; ``paper`` or ``tiny``: that size with random weights, for timing only."""
    if name == "shipped":
        return load_generator()
    torch.manual_seed(0)
    generator = Generator(ModelConfig(channels=16, blocks=1) if name == "tiny" else ModelConfig())
    initialize(generator)
    return generator.eval()


NETWORKS = ("shipped", "paper", "tiny")


def machine(device: torch.device) -> dict[str, str]:
    """What the figures were measured on."""
    return {
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else _processor(),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "amx": str(torch.cpu._is_amx_tile_supported()),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(":")[2].strip() for x in lines if x.startswith("model name")), "CPU")


def sharpness(result: np.ndarray, truth: np.ndarray, masks: np.ndarray) -> float:
    """Mean step from a pixel to the next one inside the hole, as a share of the truth's."""
    inside = masks[:, :, 1:] & masks[:, :, :-1]
    steps = [
        np.abs(np.diff(frames.mean(axis=-1), axis=2))[inside].mean() for frames in (result, truth)
    ]
    return float(steps[0] / steps[1])


def unsteadiness(result: np.ndarray, truth: np.ndarray, masks: np.ndarray) -> float:
    """Flicker, mean over pairs of frames."""
    pairs = [slice(first, first + 2) for first in range(len(result) - 1)]
    return float(np.mean([flicker(result[p], truth[p], masks[p]) for p in pairs]))
