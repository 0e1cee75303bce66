"""Devices and precisions as users name them."""

import itertools
import time

import pytest
import torch

from sttn.device import (
    PROBE_ROUNDS,
    _convolution_seconds,
    bfloat16_speed,
    choose_device,
    choose_precision,
    in_memory,
    is_lost,
    ran_out_of_memory,
)
from sttn.errors import DeviceError, OutOfMemoryError


def test_auto_and_cpu_always_work():
    """The same command runs on a laptop and on a GPU server."""
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize(
    ("name", "told"), [("cuda:99", "not cuda:99; give auto or cpu"), ("gpu", "no device is called")]
)
def test_a_device_that_is_not_there_is_refused(name, told):
    """One line that says what to give instead."""
    with pytest.raises(DeviceError, match=told):
        choose_device(name)


@pytest.mark.parametrize(
    ("cuda", "told"),
    [(None, r"built without CUDA, so not cuda; .* install"), ("13.0", "has 0 CUDA")],
)
def test_a_build_without_cuda_is_not_told_as_a_machine_without_a_gpu(monkeypatch, cuda, told):
    """The operator of a machine with a GPU reads what is to be installed."""
    monkeypatch.setattr("torch.version.cuda", cuda)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)

    with pytest.raises(DeviceError, match=told):
        choose_device("cuda")


@pytest.fixture
def exactness():
    """Puts back how exactly GPUs compute."""
    places = (
        (torch.backends.cudnn, "allow_tf32"),
        (torch.backends.cuda.matmul, "allow_tf32"),
        (torch.backends.cuda.matmul, "allow_bf16_reduced_precision_reduction"),
    )
    before = [getattr(*place) for place in places]
    yield lambda: [getattr(*place) for place in places]
    for place, value in zip(places, before, strict=True):
        setattr(*place, value)


@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:1"])
def test_a_gpu_computes_in_float32_what_is_to_be_computed_in_it(monkeypatch, exactness, name):
    """Figures of an evaluation do not depend on the machine."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)

    assert choose_device(name).type == "cuda"

    assert exactness() == [False] * 3


@pytest.mark.parametrize(("capability", "chosen"), [((7, 5), "float32"), ((8, 0), "bfloat16")])
def test_auto_takes_bfloat16_on_gpus_that_multiply_it(monkeypatch, capability, chosen):
    """One before Ampere would emulate it, slower than float32 and with fewer digits."""
    monkeypatch.setattr("torch.cuda.get_device_capability", lambda device: capability)

    assert choose_precision("auto", torch.device("cuda:1")) is getattr(torch, chosen)


@pytest.mark.parametrize(
    ("ratio", "chosen"), [(0.0, "float32"), (1.1, "float32"), (2.1, "bfloat16")]
)
def test_auto_takes_bfloat16_where_it_was_measured_to_be_faster(monkeypatch, ratio, chosen):
    """Of two CPUs with the instructions one was twice as fast with them and one slower."""
    monkeypatch.setattr("sttn.device.bfloat16_speed", lambda: ratio)

    dtype = choose_precision("auto", torch.device("cpu"))

    assert dtype is getattr(torch, chosen)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_a_precision_that_is_named_is_taken_unmeasured(monkeypatch, name):
    """Whoever compares figures wants the same everywhere."""
    monkeypatch.setattr("sttn.device.bfloat16_speed", lambda: pytest.fail("measured"))

    assert choose_precision(name, torch.device("cpu")) is getattr(torch, name)


def test_the_probe_is_a_ratio_of_best_times_measured_once(monkeypatch):
    """A moment of other work on the machine decides nothing, and nobody waits twice."""
    needs_bfloat16()
    seconds = {torch.float32: itertools.cycle([9.0, 4.0, 5.0]), torch.bfloat16: itertools.count(2)}
    asked = []

    def convolution_seconds(dtype):
        asked.append(dtype)
        return float(next(seconds[dtype]))

    monkeypatch.setattr("sttn.device._convolution_seconds", convolution_seconds)
    threads = torch.get_num_threads()
    bfloat16_speed.cache_clear()
    try:
        ratios = [bfloat16_speed(), bfloat16_speed()]
    finally:
        bfloat16_speed.cache_clear()

    assert ratios == [2.0, 2.0]
    assert len(asked) == 2 * PROBE_ROUNDS
    assert torch.get_num_threads() == threads


@pytest.mark.alone
def test_the_probe_ends_soon_and_agrees_with_longer_looks():
    """A server must not start on a wrong guess, nor be held up by it.

    What else runs on the machine changes from second to second, so one looks before and after.
    """
    needs_bfloat16()
    before = longer_look()
    bfloat16_speed.cache_clear()
    started = time.thread_time()

    ratio = bfloat16_speed()

    assert time.thread_time() - started < 1
    looks = before, longer_look()
    assert 0.5 * min(looks) <= ratio <= 1.5 * max(looks)


def test_a_cpu_without_the_instructions_gets_float32(monkeypatch):
    """Nothing is measured where it could only be emulated."""
    monkeypatch.setattr("torch.backends.mkldnn.is_available", lambda: False)
    bfloat16_speed.cache_clear()
    try:
        assert bfloat16_speed() == 0
        assert choose_precision("auto", torch.device("cpu")) is torch.float32
    finally:
        bfloat16_speed.cache_clear()


@pytest.mark.parametrize(
    ("error", "memory", "lost"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), True, False),
        (torch.AcceleratorError("CUDA error: out of memory"), True, False),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `x`"), True, False),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True, False),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True, False),
        (OutOfMemoryError("not enough memory for one frame"), True, False),
        (torch.AcceleratorError("CUDA error: an illegal memory access"), False, True),
        (RuntimeError("CUDA error: uncorrectable ECC error encountered"), False, True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False, False),
        (ValueError("out of memory"), False, False),
    ],
)
def test_what_errors_say_of_memory_and_of_the_device(error, memory, lost):
    """A job that is too large gets smaller pieces; a GPU that is lost gets a new process."""
    assert (ran_out_of_memory(error), is_lost(error)) == (memory, lost)


def test_what_found_no_memory_is_done_once_more():
    """Beside others, who give theirs back; never more often, and never where it is a defect."""
    failures = [torch.OutOfMemoryError("CUDA out of memory")] * 3 + [RuntimeError("a defect")]

    def work():
        if failures:
            raise failures.pop(0)
        return "done"

    with pytest.raises(OutOfMemoryError, match="take a smaller one"):
        in_memory(work, "take a smaller one")
    with pytest.raises(RuntimeError, match="a defect"):
        in_memory(work, "take a smaller one")
    assert in_memory(work, "take a smaller one") == "done"


def needs_bfloat16() -> None:
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this CPU has no bfloat16 instructions")


def longer_look() -> float:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    turns = [
        (_convolution_seconds(torch.float32), _convolution_seconds(torch.bfloat16))
        for _ in range(40)
    ]
    torch.set_num_threads(threads)
    full, half = map(min, zip(*turns, strict=True))
    return full / half
