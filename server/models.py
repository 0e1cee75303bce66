"""The networks a model process holds; what of the server knows torch."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from server.config import ServerConfig
from server.errors import InvalidRequestError, ModelError
from server.protocol import inpaint_pb2 as pb
from sttn.device import (
    bfloat16_speed,
    choose_device,
    choose_precision,
    give_back_memory,
    is_lost,
)
from sttn.inference import PRESETS, Origins, WindowConfig, completed_frames
from sttn.model import Generator, load_generator
from sttn.propagation import load_fusion
from sttn.settings.computing import Precision


def choose_devices(name: str) -> list[str]:
    """The devices that get a process each.

    Args:
        name: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: every GPU, else the CPU.

    Raises:
        DeviceError: this machine has no such device.
    """
    if name == "auto" and torch.cuda.is_available():
        return [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return [str(choose_device(name))]


def precision_told(wished: Precision, device: str) -> str:
    """Which precision a device gets, and what speaks for it; for operators."""
    chosen = _name(choose_precision(wished, torch.device(device)))
    if torch.device(device).type != "cpu":
        return f"precision {chosen} ({wished})"
    ratio = bfloat16_speed()
    measured = (
        f"convolutions run {ratio:.2f} times as fast in bfloat16 as in float32"
        if ratio
        else "this CPU has no bfloat16 instructions"
    )
    return f"precision {chosen} ({wished}): {measured}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class TorchModels:
    """Generators by name, on one device and in one precision."""

    def __init__(self, config: ServerConfig, device: str) -> None:
        self._config = config
        self.device, *others = choose_devices(device)
        self.others = tuple(others)
        self._device = choose_device(self.device)
        self._dtype = choose_precision(config.precision, self._device)
        # A file that cannot be used is told at once.
        load_fusion(self._device, self._dtype, config.fusion)
        self._generators: dict[str, Generator] = {}
        self.precision = _name(self._dtype)

    def load(self, name: str, path: Path) -> None:
        """Hold weights under a name; what had the name stays if they cannot be loaded.

        Raises:
            CheckpointError: the file cannot be used.
        """
        self._generators[name] = load_generator(path).to(self._device, self._dtype)

    def unload(self, name: str) -> None:
        """Let weights go."""
        self._generators.pop(name, None)
        give_back_memory()

    def memory_bytes(self) -> int:
        """Memory taken on the GPU; 0 on a CPU."""
        if self._device.type != "cuda":
            return 0
        return torch.cuda.memory_reserved(self._device)

    def is_lost(self, error: Exception) -> bool:
        """Whether the device failed in such a way that only a new process can use it."""
        return is_lost(error)

    def completed_frames(
        self,
        model: str,
        frames: Sequence[NDArray[Any]],
        masks: Sequence[NDArray[np.bool_]],
        *,
        clean: Collection[int],
        handles: Collection[int],
        windows: pb.Windows,
        cancelled: Callable[[], bool],
        origins: Callable[[int, Origins], None] | None = None,
        cuts: Callable[[list[int]], None] | None = None,
        prepared: Callable[[float], None] | None = None,
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Complete a clip with one of the models; see ``sttn.inference.completed_frames``.

        Raises:
            ModelError: no such model.
            InvalidRequestError: windows that would leave gaps.
        """
        if model not in self._generators:
            raise ModelError(f"model {model!r} is not loaded")
        try:
            yield from completed_frames(
                frames,
                masks,
                self._generators[model],
                self._window(windows),
                clean=clean,
                handles=handles,
                batch=self._config.batch,
                budget=self._config.memory,
                fusion=self._config.fusion,
                origins=origins,
                cuts=cuts,
                prepared=prepared,
                cancelled=cancelled,
            )
        finally:
            give_back_memory()  # for what else computes on the GPU between jobs

    def _window(self, wished: pb.Windows) -> WindowConfig:
        changes = {field.name: value for field, value in wished.ListFields()}
        try:
            return replace(PRESETS[self._config.preset], **changes)
        except ValueError as error:
            raise InvalidRequestError(str(error)) from None
