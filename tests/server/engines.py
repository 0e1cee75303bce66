"""Engines that compute nothing worth looking at, for servers in tests; they cross processes."""

import json
import multiprocessing
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from server.errors import ModelError
from sttn.errors import CancelledError, CheckpointError

_SPAWNED = multiprocessing.get_context("spawn")


class Gate:
    """Open or closed, across processes; has no lock that a killed process could keep."""

    def __init__(self) -> None:
        self._open = _SPAWNED.Value("i", 1, lock=False)

    def set(self) -> None:
        self._open.value = 1

    def clear(self) -> None:
        self._open.value = 0

    def wait(self, seconds: float) -> bool:
        if not self._open.value:
            time.sleep(seconds)
        return bool(self._open.value)


class FakeEngine:
    """Fills holes with a constant, so that what travels can be told from what was computed.

    While ``hold`` is cleared no frame from ``held_at`` on is completed.
    """

    def __init__(self, fill: float = 0.25) -> None:
        self.fill = fill
        self.hold, self.loads, self.device = Gate(), Gate(), Gate()
        self._held_at = _SPAWNED.Value("i", 0, lock=False)

    @property
    def held_at(self) -> int:
        return self._held_at.value

    @held_at.setter
    def held_at(self, index: int) -> None:
        self._held_at.value = index

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled, origins=None):
        for index in range(len(frames)):
            if index in clean or index in handles:
                continue
            while index >= self.held_at and not self.hold.wait(0.02):
                if cancelled():
                    raise CancelledError("cancelled by the caller")
            if cancelled():
                raise CancelledError("cancelled by the caller")
            result = np.array(frames[index])
            result[masks[index]] = self.fill
            yield index, result


@dataclass
class DyingEngine:
    """Ends its process, as a driver or the kernel's memory killer would."""

    deaths: Any = field(default_factory=lambda: _SPAWNED.Value("i", 1, lock=False))
    """How many times."""
    at: int = 1
    """Before which frame."""

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled, origins=None):
        for index, frame in FakeEngine()(
            frames, masks, clean=clean, handles=handles, cancelled=cancelled
        ):
            if index >= self.at and self.deaths.value > 0:
                self.deaths.value -= 1
                time.sleep(0.1)  # what was said before is heard
                os._exit(9)
            yield index, frame


class LostEngine(FakeEngine):
    """Loses its GPU in the first process, where every call fails from then on."""

    def __init__(self):
        super().__init__()
        self._first = _SPAWNED.Value("i", 0, lock=False)

    def __call__(self, frames, masks, **told):
        self._first.value = self._first.value or os.getpid()
        if self._first.value == os.getpid():
            raise RuntimeError("CUDA error: an illegal memory access was encountered")
        yield from super().__call__(frames, masks, **told)


class ScenesEngine(FakeEngine):
    """Finds a cut before the third frame, and says twice how far it is before the first."""

    cuts = (2,)
    prepared = (0.25, 0.5)


class BrokenEngine:
    """Has a defect."""

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled, origins=None):
        raise ZeroDivisionError("the network exploded")
        yield


@dataclass
class RecordingEngine:
    """Writes down what it is given, for tests of what leaves the host."""

    path: Path

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled, origins=None):
        seen = {
            "dtype": str(frames[0].dtype),
            "lowest": float(frames[0].min()),
            "highest": float(frames[0].max()),
            "frames": len(frames),
            "clean": sorted(clean),
            "handles": sorted(handles),
        }
        self.path.write_text(json.dumps(seen))
        yield from FakeEngine()(frames, masks, clean=clean, handles=handles, cancelled=cancelled)


@dataclass
class WorkingEngine:
    """Takes its time over every frame, without taking a core."""

    seconds: float = 0.1

    def __call__(self, frames, masks, *, clean=(), handles=(), cancelled, origins=None):
        for index in range(len(frames)):
            if index in clean or index in handles:
                continue
            until = time.monotonic() + self.seconds
            result = np.array(frames[index])
            result[masks[index]] = 0.25
            time.sleep(max(0.0, until - time.monotonic()))
            if cancelled():
                raise CancelledError("cancelled by the caller")
            yield index, result


class HangingEngine(FakeEngine):
    """Gets lost in its first job, and hears nothing."""

    def __init__(self):
        super().__init__()
        self.hung = Gate()
        self.hung.clear()

    def __call__(self, frames, masks, **told):
        if not self.hung.wait(0):
            self.hung.set()
            time.sleep(600)
        yield from super().__call__(frames, masks, **told)


class DeafEngine(FakeEngine):
    """Hears nothing while it is held, not even that its job is cancelled."""

    def __call__(self, frames, masks, **told):
        while not self.hold.wait(0.02):
            pass
        yield from super().__call__(frames, masks, **{**told, "cancelled": lambda: False})


class FakeModels:
    """Every file is a model, but for those whose names hold the words broken or large.

    While the engine's ``device`` is cleared none starts; while its ``loads`` is, those called slow
    are not loaded.
    """

    precision = "float32"

    def __init__(self, engine: Any, device: str) -> None:
        # As if this machine had two of what stands for all of them.
        self.others = ("fake:1",) if device == "auto" else ()
        self.device = device if device == "fake:1" else "fake"
        self._engine = engine
        self._held = set()
        if isinstance(engine, FakeEngine) and not engine.device.wait(0):
            raise RuntimeError("CUDA error: device is lost")

    def load(self, name, path):
        if "broken" in name or not path.exists():
            raise CheckpointError(f"{path} is not a checkpoint")
        if "large" in name:
            raise RuntimeError("CUDA out of memory")
        while "slow" in name and not self._engine.loads.wait(0.02):
            pass
        self._held.add(name)

    def unload(self, name):
        self._held.discard(name)

    def memory_bytes(self):
        return 0

    def is_lost(self, error):
        return str(error).startswith("CUDA error: ")

    def completed_frames(
        self,
        model,
        frames,
        masks,
        *,
        clean,
        handles,
        windows,
        cancelled,
        origins=None,
        cuts=None,
        prepared=None,
    ):
        if model not in self._held:
            raise ModelError(f"model {model!r} is not loaded")
        told = {} if origins is None else {"origins": origins}
        if cuts is not None and hasattr(self._engine, "cuts"):
            cuts(list(self._engine.cuts))
        for share in getattr(self._engine, "prepared", ()):
            prepared(share)
        return self._engine(
            frames, masks, clean=clean, handles=handles, cancelled=cancelled, **told
        )


class NumberModels(FakeModels):
    """Models are the numbers in their files, which they fill with; above 0.9 only one device has
    room for them."""

    def __init__(self, device: str) -> None:
        super().__init__(WorkingEngine(0.3), device)
        self._numbers: dict[str, float] = {}

    def load(self, name, path):
        number = float(path.read_text())
        if number > 0.9 and self.device == "fake:1":
            raise RuntimeError("CUDA out of memory")
        self._numbers[name] = number
        super().load(name, path)

    def completed_frames(self, model, frames, masks, **told):
        for index, frame in super().completed_frames(model, frames, masks, **told):
            frame[masks[index]] = self._numbers[model]
            yield index, frame
