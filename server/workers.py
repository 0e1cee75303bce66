"""The model processes: one per device, started again when they die, and what they hold."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
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
    Prepared,
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

MOST_NAMES = 20
"""Models that a message names."""

RESTART_SECONDS = (0.1, 1.0, 5.0, 30.0)
"""How long to wait before a process that died while starting is started again."""


@dataclass(eq=False)
class Model:
    """What a name stands for, on every device."""

    name: str
    path: Path
    key: str
    """Its name in processes: another one for every load, so that the old one stays until the new
    one is there."""
    digest: str = ""
    """Of the file that devices hold; empty until one does."""


@dataclass(eq=False)
class Worker:
    """One model process, and the ones that follow it on the same device."""

    device: str
    """As it was asked for; what it comes to once the process says so."""
    process: ModelProcess | None = None
    others: tuple[str, ...] = ()
    """Devices that were asked for with its own, in one word."""
    precision: str = ""
    up: bool = False
    """Takes orders."""
    ready: bool = False
    """Holds its models, and takes jobs."""
    job_id: str | None = None
    restarts: int = 0
    frames_per_second: float = 0.0
    device_memory_bytes: int = 0
    failures: int = 0
    """Starts in a row that have come to nothing yet."""
    models: dict[str, "asyncio.Future[str | None]"] = field(default_factory=dict)
    """What came of each model that its process was told to load, by key; None where it holds it."""
    error: str = ""
    """Why its process ended, where it can be told."""
    _started: float = 0.0
    _frames: int = 0

    def holds(self, key: str) -> bool:
        """Whether its process has loaded a model."""
        answer = self.models.get(key)
        return answer is not None and answer.done() and answer.result() is None

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
            error="" if self.ready else self.error,
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
        self._keys = count()
        self._loaded = {self.default: self._model(self.default, config.weights)}
        # What is only on its way; a process that starts meanwhile has to hold it too.
        self._coming: dict[str, Model] = {}
        self._loads: dict[str, asyncio.Task[None]] = {}
        self._serving = False
        self._stopping = False
        self._metrics = metrics
        self.on_frame: Callable[[FrameDone], None] = lambda message: None
        self.on_cuts: Callable[[CutsFound], None] = lambda message: None
        self.on_prepared: Callable[[Prepared], None] = lambda message: None
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
        self._serving = True

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

    def key(self, name: str) -> str:
        """What processes call a loaded model."""
        return self._loaded[name].key

    def weights(self, name: str) -> str:
        """Digest of the file that a loaded model was read from."""
        return self._loaded[name].digest

    def stop(self, job_id: str) -> None:
        """Cancel a job that runs."""
        for worker in self.all:
            if worker.job_id == job_id and worker.process is not None:
                worker.process.tell(Stop(job_id))

    def end(self, job_id: str) -> None:
        """End the process that runs a job, and does not hear that it shall stop."""
        for worker in self.all:
            if worker.job_id == job_id and worker.process is not None:
                self._kill(worker, f"the model process did not stop the cancelled job {job_id}")

    async def load(self, name: str) -> None:
        """Hold one more model, on every device; jobs that run are finished first.

        Goes on where whoever asked for it gives up. Who asks for the same meanwhile waits for it.
        What had the name serves until every device holds the new one.

        Raises:
            ModelError: no such file, not a model, or no device is up; what was loaded before stays.
        """
        # Again where it is loaded, though the folder lacks it: its file may have been written over.
        paths = {known: model.path for known, model in self._loaded.items()} | self.available()
        if name not in paths:
            raise ModelError(
                f"no model {name[:80]!r} in the server's folder; there are "
                f"{_names(self.available())}"
            )
        if not any(worker.up for worker in self.all):
            raise ModelError(f"no device is up to load {name}; come back when one is")
        if name not in self._loads:
            task = self._loads[name] = asyncio.create_task(self._load(name, paths[name]))
            task.add_done_callback(lambda _: self._loads.pop(name))
        await asyncio.shield(self._loads[name])

    def unload(self, name: str) -> None:
        """Let a model go.

        Raises:
            ModelError: it is not loaded.
            RefusedError: it is the default, or is being loaded.
        """
        self.require_model(name or " ")
        if name in self._loads:
            raise RefusedError(f"{name} is being loaded; come back when it is")
        if name == self.default:
            raise RefusedError(f"{name} is the default model; choose another default first")
        self._unload(self._loaded.pop(name))

    def set_default(self, name: str) -> None:
        """What jobs get that name no model.

        Raises:
            ModelError: it is not loaded.
        """
        self.require_model(name or " ")
        self.default = name

    async def _load(self, name: str, path: Path) -> None:
        # Known before it is told: a process that starts meanwhile loads it too.
        model = self._coming[name] = self._model(name, path)
        answers = [self._tell_to_load(worker, model) for worker in self.all if worker.up]
        errors = [error for error in await asyncio.gather(*answers) if error is not None]
        del self._coming[name]
        if errors:
            self._unload(model)
            raise ModelError(errors[0])
        before = self._loaded.get(name)
        self._loaded[name] = model
        if before is not None:
            self._unload(before)

    def _model(self, name: str, path: Path) -> Model:
        return Model(name, path, f"{name} {next(self._keys)}")

    def _wanted(self) -> list[Model]:
        return [*self._loaded.values(), *self._coming.values()]

    def _tell_to_load(self, worker: Worker, model: Model) -> "asyncio.Future[str | None]":
        assert worker.process is not None
        if model.key not in worker.models:
            worker.models[model.key] = asyncio.get_running_loop().create_future()
        worker.process.tell(Load(model.key, model.path))
        return worker.models[model.key]

    def _unload(self, model: Model) -> None:
        for worker in self.all:
            if worker.process is not None:
                worker.models.pop(model.key, None)
                worker.process.tell(Unload(model.key))

    async def _start_all(self, workers: Sequence[Worker]) -> None:
        loop = asyncio.get_running_loop()
        answers, key = [], self.key(self.default)
        for worker in workers:
            worker.models[key] = loop.create_future()
            answers.append(worker.models[key])
            self._start(worker)
        for answer in answers:
            error = await answer
            if error is not None:
                raise StartError(error)

    def _start(self, worker: Worker) -> None:
        if self._stopping:
            return

        def heard(message: FromProcess | None) -> None:
            self._hear(worker, message)

        worker.failures += 1
        try:
            worker.process = ModelProcess(self._make_models, worker.device, self._store, heard)
        except (OSError, RuntimeError) as error:  # no memory, files or threads for one more
            worker.error = f"no model process can be started: {error}"
            self._on_death(worker)

    def _hear(self, worker: Worker, message: FromProcess | None) -> None:
        if self._stopping:
            return
        if isinstance(message, FrameDone):
            worker.count_frame(message)
            self.on_frame(message)
        elif isinstance(message, CutsFound):
            self.on_cuts(message)
        elif isinstance(message, Prepared):
            self.on_prepared(message)
        elif isinstance(message, JobDone):
            worker.job_id = None
            self.on_done(message)
            self.on_idle()
        elif isinstance(message, Loaded):
            self._on_loaded(worker, message)
        elif isinstance(message, Ready):
            self._on_ready(worker, message)
        elif isinstance(message, Failed):
            worker.error = message.error
        elif message is None:
            self._on_death(worker)

    def _on_ready(self, worker: Worker, message: Ready) -> None:
        worker.device, worker.precision = message.device, message.precision
        worker.others = message.others
        worker.up = True
        for model in self._wanted():
            self._tell_to_load(worker, model)

    def _on_loaded(self, worker: Worker, message: Loaded) -> None:
        model = next((model for model in self._wanted() if model.key == message.key), None)
        waiting = worker.models.get(message.key)
        if model is not None and waiting is not None and not waiting.done():
            error = message.error or self._difference(model, message.digest)
            if error is not None:
                logger.error("model %s cannot be loaded: %s", model.name, error)
            waiting.set_result(error)
        starting = worker.up and not worker.ready
        if not starting or not all(answer.done() for answer in worker.models.values()):
            return
        errors = [error for answer in worker.models.values() if (error := answer.result())]
        if not errors:
            worker.ready, worker.failures, worker.error = True, 0, ""
            self.on_idle()
        else:
            self._kill(worker, errors[0])  # and started again, until it finds what it needs

    def _difference(self, model: Model, digest: str) -> str | None:
        # Why a file must not be held under a name: other devices hold another one.
        before, name = model.digest, model.name
        if digest != before and any(other.holds(model.key) for other in self.all):
            return (
                f"{model.path} is not the file any more that other devices hold as {name}; load it "
                f"on all (sttn-server admin load {name}), or put the old one back"
            )
        if before and digest != before:
            logger.warning("%s was written over: %s is what is there now", model.path, name)
        model.digest = digest
        return None

    def _kill(self, worker: Worker, error: str) -> None:
        # From here on nobody counts on it: no job, and no load that is asked for before it is dead.
        assert worker.process is not None
        worker.error, worker.up, worker.ready = error, False, False
        worker.process.kill()

    def _on_death(self, worker: Worker) -> None:
        died_of, worker.job_id = worker.job_id, None
        process, worker.process = worker.process, None
        cause = "died" if worker.ready else "ended before it was ready"
        error = worker.error or f"the model process {cause}"
        worker.up = worker.ready = False
        worker.restarts += 1
        self._metrics.restarts.inc()
        wait = RESTART_SECONDS[min(worker.failures, len(RESTART_SECONDS) - 1)]
        if self._serving:
            logger.error("%s: %s; it is started again in %g s", worker.device, error, wait)
        # Whoever waits for a model on this device hears why it will not come.
        for waiting in worker.models.values():
            if not waiting.done():
                waiting.set_result(error)
        worker.models.clear()
        self.on_death(worker, died_of)
        loop = asyncio.get_running_loop()

        def start_again(_: object = None) -> None:
            loop.call_later(wait, self._start, worker)

        if process is None:
            start_again()
        else:
            # Its memory has to be free again, which takes a while on a GPU.
            loop.run_in_executor(None, process.end).add_done_callback(start_again)


def _names(names: Sequence[str] | dict[str, Path]) -> str:
    # No more than fit into a status.
    told = list(names)[:MOST_NAMES]
    more = [f"{len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return ", ".join([*told, *more]) or "none"
