"""Puts the server together, and runs it until it is told to stop."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import grpc
import torch

from server.config import ServerConfig
from server.plates import PlateStore
from server.protocol import inpaint_pb2_grpc
from server.scheduler import CompleteClip, Scheduler
from server.service import InpaintService, PlatesService
from sttn.device import choose_device
from sttn.inference import PRESETS, completed_frames
from sttn.model import load_generator


def device_and_precision(config: ServerConfig) -> tuple[torch.device, torch.dtype]:
    """Resolve ``auto``: the GPU where there is one, bfloat16 where hardware multiplies it fast."""
    device = choose_device(config.device)
    if config.precision != "auto":
        return device, {"float32": torch.float32, "bfloat16": torch.bfloat16}[config.precision]
    # On a CPU without AMX bfloat16 convolutions were measured slower than float32.
    fast = device.type == "cuda" or torch.cpu._is_amx_tile_supported()
    return device, torch.bfloat16 if fast else torch.float32


def load_engine(config: ServerConfig) -> tuple[CompleteClip, str]:
    """The network on its device, ready to complete clips, and a line about it.

    Raises:
        CheckpointError: the weights cannot be used.
        DeviceError: this machine has no such device.
    """
    device, precision = device_and_precision(config)
    generator = load_generator(config.weights).to(device, precision)
    name = str(precision).removeprefix("torch.")
    about = f"weights {config.weights.name}, device {device}, precision {name}"
    engine = partial(
        completed_frames,
        generator=generator,
        window=PRESETS[config.preset],
        budget=config.memory,
    )
    return engine, f"{about}, preset {config.preset}"


@contextlib.asynccontextmanager
async def running(config: ServerConfig, engine: CompleteClip) -> AsyncIterator[str]:
    """Serve inside the block; the value is the address to connect to.

    Raises:
        OSError: the address cannot be listened on.
    """
    with tempfile.TemporaryDirectory(prefix="sttn-plates-") as folder:
        store = PlateStore(Path(folder), int(config.store_gigabytes * 1e9))
        scheduler = Scheduler(engine, store, config.queue_length)
        server = grpc.aio.server()
        inpaint_pb2_grpc.add_PlatesServicer_to_server(PlatesService(store), server)
        inpaint_pb2_grpc.add_InpaintServicer_to_server(
            InpaintService(scheduler, config.abandoned_seconds), server
        )
        try:
            port = server.add_insecure_port(config.address)
        except RuntimeError as error:
            raise OSError(
                f"cannot listen on {config.address}; it may be in use, or its folder missing"
            ) from error
        await server.start()
        work = asyncio.create_task(scheduler.run())
        try:
            host = config.address.rpartition(":")[0]
            unix = config.address.startswith("unix:")
            yield config.address if unix else f"{host}:{port}"
        finally:
            await scheduler.stop()
            work.cancel()
            await server.stop(grace=1.0)


async def serve(config: ServerConfig) -> None:
    """Serve until SIGTERM, SIGINT or, if asked, the end of standard input."""
    engine, about = load_engine(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if config.until_stdin_closes:
        loop.add_reader(0, lambda: None if os.read(0, 4096) else stop.set())
    async with running(config, engine) as address:
        print(f"listening on {address}, {about}", flush=True)
        await stop.wait()
