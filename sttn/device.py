"""Where the network runs, in which precision, and what its memory and the device itself say."""

import re
import time
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import torch
from torch.nn import functional

from sttn.errors import DeviceError, OutOfMemoryError
from sttn.settings.computing import Precision

WORTH_ROUNDING = 1.2
"""How many times as fast bfloat16 has to be before ``auto`` takes it, with the digits it lacks."""

AMPERE = 8, 0
"""The compute capability from which on NVIDIA's GPUs multiply bfloat16; AMD's say 9 and more."""

PROBE_SHAPE = (1, 96, 30, 54)
"""Features of a quarter of a frame at 432x240, in the shipped network."""
PROBE_ROUNDS = 8

NO_MEMORY = re.compile(
    r"can't allocate memory|(CUDA|HIP) error: out of memory|(BLAS|DNN)_STATUS_ALLOC_FAILED"
)
"""What PyTorch says where memory ran out and it raises a bare RuntimeError or AcceleratorError: of
the CPU, of the device outside its own allocator, and of what cuBLAS and cuDNN allocate."""

DEVICE_ERROR = re.compile(r"(CUDA|HIP) error: ")
"""What PyTorch says where a call to the device failed, in an AcceleratorError or RuntimeError."""

Result = TypeVar("Result")


def choose_device(name: str) -> torch.device:
    """The device a user asked for; ``auto`` takes the GPU where there is one.

    On a GPU this process then computes as exactly as it is told to: float32 is not shortened to
    TF32, nor are sums of bfloat16 rounded on their way.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: no such device on this machine.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"no device is called {name!r}; give auto, cpu or cuda") from None
    if device.type == "cpu":
        return device
    count = torch.cuda.device_count()
    if device.type != "cuda" or (device.index or 0) >= count:
        built = torch.version.cuda or torch.version.hip
        there = (
            f"this machine has {count} CUDA devices"
            if built
            else f"PyTorch {torch.__version__} is built without CUDA"
        )
        advice = "" if built else "; for a GPU install a build as pytorch.org/get-started says"
        raise DeviceError(f"{there}, so not {name}; give auto or cpu{advice}")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    return device


def choose_precision(name: Precision, device: torch.device) -> torch.dtype:
    """The precision a user asked for; ``auto`` takes bfloat16 where that is faster.

    GPUs multiply it fast from Ampere on; those before it emulate it. Of CPUs with the instructions
    some are faster and some are not, so there it is measured.
    """
    if name == "auto":
        fast = (
            torch.cuda.get_device_capability(device) >= AMPERE
            if device.type == "cuda"
            else bfloat16_speed() >= WORTH_ROUNDING
        )
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


@cache
def bfloat16_speed() -> float:
    """How many times as fast this CPU convolves in bfloat16 as in float32.

    Measured once per process, in less than 100 ms, on a 3x3 convolution of the network's kind: one
    thread, by the time that the thread itself ran, the best of several in turns, so that other
    work on the machine shows little. 0 where the CPU has no such instructions.
    """
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return 0.0
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        turns = [
            (_convolution_seconds(torch.float32), _convolution_seconds(torch.bfloat16))
            for _ in range(PROBE_ROUNDS)
        ]
    finally:
        torch.set_num_threads(threads)
    return min(full for full, _ in turns) / min(half for _, half in turns)


@torch.inference_mode()
def _convolution_seconds(dtype: torch.dtype) -> float:
    channels, layout = PROBE_SHAPE[1], torch.channels_last
    images = torch.ones(PROBE_SHAPE, dtype=dtype).to(memory_format=layout)
    weight = torch.ones(channels, channels, 3, 3, dtype=dtype).to(memory_format=layout)
    start = time.thread_time()
    functional.conv2d(images, weight, padding=1)
    return time.thread_time() - start


def in_memory(work: Callable[[], Result], advice: str) -> Result:
    """What work returns; done twice where memory ran out, since others may give theirs back.

    Args:
        work: Changes nothing before it has all the memory that it needs.
        advice: What did not fit, and what would help.

    Raises:
        OutOfMemoryError: memory ran out twice.
    """
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
    give_back_memory()  # outside the except block, whose traceback still holds the tensors
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not ran_out_of_memory(error):
            raise
        raise OutOfMemoryError(advice) from error


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether work failed for want of memory, the CPU's or a GPU's, and smaller work may not."""
    memory = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return memory or (isinstance(error, RuntimeError) and bool(NO_MEMORY.search(str(error))))


def is_lost(error: BaseException) -> bool:
    """Whether a GPU failed in such a way that this process can use it no more.

    After an illegal access, a failed launch or an uncorrectable error every later call fails too.
    """
    failed = isinstance(error, RuntimeError) and bool(DEVICE_ERROR.match(str(error)))
    return failed and not ran_out_of_memory(error)


def give_back_memory() -> None:
    """Let other processes have the memory of GPUs that PyTorch keeps and nothing is in."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
