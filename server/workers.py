"""The model processes: one per device, started again when they die, and what they hold."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from server.config import ServerConfig
from server.errors import ModelError, RefusedError, StartError
from server.messages import (
    CutsFound,
    Failed,
    FrameDone,
    FromProcess,
    JobDone,
    Load,
    Loaded,
    Ready,
    Run,
    Stop,
    Unload,
)
from server.metrics import Metrics
from server.processes import ModelProcess
from server.protocol import inpaint_pb2 as pb
from server.worker import MakeModels

logger = logging.getLogger(__name__)

MODEL_SUFFIXES = (".safetensors", ".pth")

RESTART_SECONDS = (0.1, 1.0, 5.0, 30.0)
"""How long to wait before a process that died while starting is started again."""


@dataclass(eq=False)
class Worker:
    """One model process, and the ones that follow it on the same device."""

    device: str
    """As it was asked for; what it comes to once the process says so."""
    process: ModelProcess | None = None
    others: tuple[str, ...] = ()
    """Devices that were asked for with its own, in one word."""
    precision: str = ""
    ready: bool = False
    job_id: str | None = None
    restarts: int = 0
    frames_per_second: float = 0.0
    device_memory_bytes: int = 0
    failures: int = 0
    """Starts in a row that came to nothing."""
    loading: dict[str, "asyncio.Future[str | None]"] = field(default_factory=dict)
    _started: float = 0.0
    _frames: int = 0

    def begin(self, job_id: str) -> None:
        """A job was given to it."""
        self.job_id, self._started, self._frames = job_id, time.monotonic(), 0

    def count_frame(self, message: FrameDone) -> None:
        """A frame came out of it."""
        self._frames += 1
        self.frames_per_second = self._frames / max(1e-6, time.monotonic() - self._started)
        self.device_memory_bytes = message.device_memory_bytes

    def described(self) -> pb.Worker:
        """How it is."""
        return pb.Worker(
            device=self.device,
            precision=self.precision,
            alive=self.ready,
            job_id=self.job_id or "",
            frames_per_second=self.frames_per_second,
            restarts=self.restarts,
            memory_bytes=self.process.memory_bytes() if self.process else 0,
            device_memory_bytes=self.device_memory_bytes,
        )


class Workers:
    """All model processes of a server; belongs to the event loop, and never waits for them."""

    def __init__(
        self,
        make_models: MakeModels,
        config: ServerConfig,
        store: Path,
        metrics: Metrics,
    ) -> None:
        """Nothing is started yet.

        Args:
            make_models: Called in the new processes.
            config: Says which devices, and which weights there are.
            store: Folder of contents.
            metrics: Told of deaths.
        """
        self.all = [Worker(device) for device in config.devices]
        self._make_models = make_models
        self._store = store
        self._folder = config.models or config.weights.parent
        self.default = config.weights.stem
        self._loaded: dict[str, Path] = {self.default: config.weights}
        self._stopping = False
        self._metrics = metrics
        self.on_frame: Callable[[FrameDone], None] = lambda message: None
        self.on_cuts: Callable[[CutsFound], None] = lambda message: None
        self.on_done: Callable[[JobDone], None] = lambda message: None
        self.on_death: Callable[[Worker, str | None], None] = lambda worker, job_id: None
        self.on_idle: Callable[[], None] = lambda: None

    @property
    def alive(self) -> bool:
        """Whether any of them can take work."""
        return any(worker.ready for worker in self.all)

    @property
    def loaded(self) -> list[str]:
        """Models that jobs may name."""
        return sorted(self._loaded)

    def available(self) -> dict[str, Path]:
        """Models in the folder, by name."""
        if not self._folder.is_dir():
            return {}
        files = sorted(self._folder.iterdir())
        return {path.stem: path for path in files if path.suffix in MODEL_SUFFIXES}

    def require_model(self, name: str) -> None:
        """Make sure that a model is loaded; the default where empty.

        Raises:
            ModelError: it is not.
        """
        if name and name not in self._loaded:
            raise ModelError(f"model {name[:80]!r} is not loaded; loaded are {_names(self.loaded)}")

    async def start(self) -> None:
        """Start all processes, and wait until each holds the default model.

        Raises:
            StartError: one of them cannot.
        """
        await self._start_all(self.all)
        # Only a process that knows torch knows how many devices there are.
        others = [Worker(device) for worker in self.all for device in worker.others]
        self.all.extend(others)
        await self._start_all(others)

    def stop_all(self) -> None:
        """End all processes at once."""
        self._stopping = True
        for worker in self.all:
            if worker.process is not None:
                worker.process.end()

    def idle(self) -> Worker | None:
        """One that waits for work."""
        free = (worker for worker in self.all if worker.ready and worker.job_id is None)
        return next(free, None)

    def run(self, worker: Worker, order: Run) -> None:
        """Have a job carried out."""
        assert worker.process is not None
        worker.begin(order.job_id)
        worker.process.tell(order)

    def stop(self, job_id: str) -> None:
        """Cancel a job that runs."""
        for worker in self.all:
            if worker.job_id == job_id and worker.process is not None:
                worker.process.tell(Stop(job_id))

    async def load(self, name: str) -> None:
        """Hold one more model, on every device; jobs that run are finished first.

        Raises:
            ModelError: no such file, or not a model; what was loaded before stays.
        """
        path = self.available().get(name)
        if path is None:
            raise ModelError(
                f"no model {name[:80]!r} in the server's folder; there are "
                f"{_names(self.available())}"
            )
        loop = asyncio.get_running_loop()
        waiting = []
        for worker in self.all:
            if worker.process is not None:
                worker.loading[name] = loop.create_future()
                waiting.append(worker.loading[name])
                worker.process.tell(Load(name, path))
        errors = await asyncio.gather(*waiting)
        failed = [error for error in errors if error is not None]
        if failed:
            if name not in self._loaded:
                self._tell_all(Unload(name))
            raise ModelError(failed[0])
        self._loaded[name] = path

    def unload(self, name: str) -> None:
        """Let a model go.

        Raises:
            ModelError: it is not loaded.
            RefusedError: it is the default.
        """
        self.require_model(name or " ")
        if name == self.default:
            raise RefusedError(f"{name} is the default model; choose another default first")
        del self._loaded[name]
        self._tell_all(Unload(name))

    def set_default(self, name: str) -> None:
        """What jobs get that name no model.

        Raises:
            ModelError: it is not loaded.
        """
        self.require_model(name or " ")
        self.default = name

    async def _start_all(self, workers: Sequence[Worker]) -> None:
        loop = asyncio.get_running_loop()
        for worker in workers:
            worker.loading[self.default] = loop.create_future()
            self._start(worker)
        for worker in workers:
            error = await worker.loading[self.default]
            if error is not None:
                raise StartError(error)

    def _tell_all(self, order: Unload) -> None:
        for worker in self.all:
            if worker.process is not None:
                worker.process.tell(order)

    def _start(self, worker: Worker) -> None:
        if self._stopping:
            return

        def heard(message: FromProcess | None) -> None:
            self._hear(worker, message)

        worker.process = ModelProcess(self._make_models, worker.device, self._store, heard)

    def _hear(self, worker: Worker, message: FromProcess | None) -> None:
        if self._stopping:
            return
        if isinstance(message, FrameDone):
            worker.count_frame(message)
            self.on_frame(message)
        elif isinstance(message, CutsFound):
            self.on_cuts(message)
        elif isinstance(message, JobDone):
            worker.job_id = None
            self.on_done(message)
            self.on_idle()
        elif isinstance(message, Loaded):
            self._on_loaded(worker, message)
        elif isinstance(message, Ready):
            self._on_ready(worker, message)
        elif isinstance(message, Failed):
            self._answer(worker, message.error)
        elif message is None:
            self._on_death(worker)

    def _on_ready(self, worker: Worker, message: Ready) -> None:
        worker.device, worker.precision = message.device, message.precision
        worker.others = message.others
        assert worker.process is not None
        # The default comes last: once it is there, all are.
        for name in sorted(self._loaded, key=lambda name: name == self.default):
            worker.process.tell(Load(name, self._loaded[name]))

    def _on_loaded(self, worker: Worker, message: Loaded) -> None:
        waiting = worker.loading.get(message.name)
        if waiting is not None and not waiting.done():
            waiting.set_result(message.error)
        if message.error is not None:
            logger.error("model %s cannot be loaded: %s", message.name, message.error)
        elif message.name == self.default and not worker.ready:
            worker.ready, worker.failures = True, 0
            self.on_idle()

    def _on_death(self, worker: Worker) -> None:
        died_of, worker.job_id = worker.job_id, None
        if worker.ready:
            logger.error("the model process on %s died; it is started again", worker.device)
        assert worker.process is not None
        worker.process.end()
        worker.process = None
        worker.failures += not worker.ready
        worker.ready = False
        worker.restarts += 1
        self._metrics.restarts.inc()
        self._answer(worker, "the model process ended before it was ready; see the log")
        self.on_death(worker, died_of)
        wait = RESTART_SECONDS[min(worker.failures, len(RESTART_SECONDS) - 1)]
        asyncio.get_running_loop().call_later(wait, self._start, worker)

    def _answer(self, worker: Worker, error: str) -> None:
        # Whoever waits for a model on this device hears why it will not come.
        for waiting in worker.loading.values():
            if not waiting.done():
                waiting.set_result(error)


def _names(names: Sequence[str] | dict[str, Path]) -> str:
    return ", ".join(names) or "none"
