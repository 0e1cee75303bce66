"""Puts the server together, and runs it until it is told to stop."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass

import grpc
from grpc_reflection.v1alpha import reflection

from server.admin import AdminService
from server.allocator import keep_freed_memory
from server.config import ServerConfig
from server.errors import StoreFullError
from server.folders import store_folder
from server.health import Health
from server.listening import leave, listen, server_options
from server.metrics import Metrics
from server.plates import PlateStore
from server.protocol import inpaint_pb2, inpaint_pb2_grpc
from server.protocol.chunks import add_plates
from server.scheduler import Scheduler
from server.security import Gate
from server.service import InpaintService, PlatesService
from server.worker import MakeModels, Models
from server.workers import Workers
from sttn.command_line import stopping_signals

logger = logging.getLogger(__name__)

HOUSEKEEPING_SECONDS = 30.0
"""Time between two looks at what has expired."""


def torch_models(config: ServerConfig, device: str) -> Models:
    """What a model process holds; only there is torch imported.

    Raises:
        DeviceError: this machine has no such device.
        CheckpointError: a file of weights cannot be used.
    """
    from server.models import TorchModels

    return TorchModels(config, device)


@dataclass(frozen=True)
class Running:
    """A server at work."""

    address: str
    """Where clients reach it."""
    workers: Workers
    scheduler: Scheduler
    metrics: Metrics
    asked_to_drain: asyncio.Event
    """Set when the administrator wants it to stop."""


@contextlib.asynccontextmanager
async def running(config: ServerConfig, make_models: MakeModels) -> AsyncIterator[Running]:
    """Serve inside the block; whatever still runs at its end is ended.

    Args:
        config: What is served, to whom, within which limits.
        make_models: What each model process shall hold.

    Raises:
        StartError: it cannot start; the message says why.
    """
    async with contextlib.AsyncExitStack() as stack:
        folder = stack.enter_context(store_folder(config.store.folder))
        expire_seconds = config.store.expire_hours * 3600
        store = PlateStore(folder, int(config.store.gigabytes * 1e9), expire_seconds)
        metrics = Metrics(store)
        gate = Gate(config.security, metrics)
        workers = Workers(make_models, config, folder, metrics)
        server = grpc.aio.server(interceptors=[gate], options=server_options(config))
        address = listen(server, config)
        not_serving = stack.enter_context(contextlib.ExitStack())
        not_serving.callback(leave, address)
        if config.metrics_address is not None:
            metrics.serve(config.metrics_address)
        stack.callback(workers.stop_all)
        await workers.start()
        scheduler = Scheduler(workers, store, config.limits, metrics)
        scheduler.restore()
        asked = asyncio.Event()
        limits, shares_memory = config.limits, config.shared_memory
        add_plates(PlatesService(store, scheduler, limits, metrics, gate, shares_memory), server)
        inpaint_pb2_grpc.add_InpaintServicer_to_server(
            InpaintService(scheduler, workers, store, limits, metrics, gate), server
        )
        inpaint_pb2_grpc.add_AdminServicer_to_server(
            AdminService(scheduler, workers, limits, metrics, shares_memory, asked.set), server
        )
        names = [service.full_name for service in inpaint_pb2.DESCRIPTOR.services_by_name.values()]
        health = Health(server, names)
        if config.reflection:
            names += ["grpc.health.v1.Health", reflection.SERVICE_NAME]
            reflection.enable_server_reflection(names, server)
        await server.start()
        not_serving.pop_all()
        stack.push_async_callback(server.stop, 0.5)
        for chore in (
            scheduler.load_missing(),
            health.keep(workers, scheduler),
            _keep_house(scheduler, store, expire_seconds),
        ):
            stack.callback(asyncio.create_task(chore).cancel)
        yield Running(address, workers, scheduler, metrics, asked)


async def serve(config: ServerConfig, make_models: MakeModels) -> None:
    """Serve until told to stop.

    SIGTERM, SIGINT, SIGHUP and the administrator's Drain: no new work, what is there is finished,
    and clients fetch it. A second signal ends at once, as does the end of standard input where the
    server was started to end with it; while it starts, the first one does.

    Raises:
        StartError: it cannot start; the message says why.
    """
    keep_freed_memory()
    signalled, end = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop() -> None:
        (end if signalled.is_set() else signalled).set()

    def stdin_said_something() -> None:
        if not os.read(0, 4096):
            signalled.set()
            end.set()

    for number in stopping_signals():
        loop.add_signal_handler(number, stop)
    if config.until_stdin_closes:
        loop.add_reader(0, stdin_said_something)
    async with contextlib.AsyncExitStack() as stack:
        start = asyncio.create_task(stack.enter_async_context(running(config, make_models)))
        await _first(start, signalled.wait())
        await asyncio.wait([start])
        if start.cancelled():
            return
        server = start.result()
        devices = ", ".join(worker.device for worker in server.workers.all)
        print(
            f"listening on {server.address}, weights {config.weights.name}, device {devices}, "
            f"precision {server.workers.all[0].precision}, preset {config.preset}",
            flush=True,
        )
        await _first(signalled.wait(), server.asked_to_drain.wait())
        jobs = len(server.scheduler.active())
        logger.info("draining", extra={"fields": {"jobs": jobs}})
        await _first(server.scheduler.drained(), end.wait())


async def _keep_house(scheduler: Scheduler, store: PlateStore, expire_seconds: float) -> None:
    while True:
        try:
            scheduler.expire(expire_seconds)
            store.expire()
            store.keep_room()
        except (OSError, StoreFullError) as error:  # such as a disk that is read-only for a moment
            logger.warning("what nobody needs cannot be deleted now: %s", error)
        await asyncio.sleep(HOUSEKEEPING_SECONDS)


async def _first(*waits: Awaitable[object]) -> None:
    # Cancels the others.
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
