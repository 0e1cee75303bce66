"""The operator's commands: what a server is doing, and what it shall hold."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Literal

import grpc
import tyro

from server.config import DEFAULT_ADDRESS
from server.errors import ServerError
from server.protocol import inpaint_pb2 as pb
from server.protocol import inpaint_pb2_grpc
from server.protocol.channel import Access, open_channel
from sttn.command_line import run_command

ANSWER_SECONDS = 10.0
"""How long a server may take to answer."""

_NAMED = {"load": "a model", "unload": "a model", "default": "a model", "cancel": "a job"}
"""What the admin command's NAME is the name of; other actions have none."""


def status(
    address: Annotated[str, tyro.conf.Positional] = DEFAULT_ADDRESS,
    follow: bool = False,
    access: Access = Access.from_environment(),  # noqa: B008 (read once, when the command starts)
) -> int:
    """Show queue, jobs, memory and frames per second of a running server.

    Args:
        address: HOST:PORT or unix:/PATH.
        follow: Show it again every second, until Ctrl-C.
        access: What is shown to the server, and whom is believed.
    """
    with _connected(address, access) as channel:
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        while True:
            answer = stub.GetStatus(pb.GetStatusRequest(), timeout=ANSWER_SECONDS)
            clear = "\x1b[H\x1b[2J" if follow and sys.stdout.isatty() else ""
            sys.stdout.write(clear + table(answer) + "\n")
            sys.stdout.flush()
            if not follow:
                return 0
            time.sleep(1)


def table(answer: pb.Status) -> str:
    """A status as people read it."""
    hours, rest = divmod(int(answer.uptime_seconds), 3600)
    lines = [
        f"up {hours} h {rest // 60} min, {answer.frames_completed} frames completed"
        + (", DRAINING" if answer.draining else ""),
        f"front end   {_size(answer.memory_bytes)} memory, {answer.uploads} uploads open",
        f"store       {_size(answer.store_bytes)} of {_size(answer.store_limit_bytes)}",
    ]
    for worker in answer.workers:
        device_memory = worker.device_memory_bytes
        on_device = f", {_size(device_memory)} on the device" if device_memory else ""
        lines.append(
            f"{worker.device or 'device':<11} "
            + ("" if worker.alive else f"DOWN ({_shown(worker.error) or 'it is started again'}), ")
            + f"{worker.precision}, {_size(worker.memory_bytes)} memory{on_device}, "
            f"{worker.frames_per_second:.2f} frames/s, died {worker.restarts} times"
        )
    waiting = sum(job.state == pb.WAITING for job in answer.jobs)
    lines.append(f"queue       {waiting} of {answer.queue_limit} places taken")
    for job in answer.jobs:
        progress = job.progress
        lines.append(
            f"  {pb.JobState.Name(job.state).lower():<8} {_shown(job.job_id):<40} "
            f"{progress.frames_done}/{progress.frames} frames"
        )
    return "\n".join(lines)


def admin(
    action: Annotated[
        Literal["models", "load", "unload", "default", "cancel", "drain", "capabilities"],
        tyro.conf.Positional,
    ],
    name: Annotated[str, tyro.conf.Positional] = "",
    address: str = DEFAULT_ADDRESS,
    access: Access = Access.from_environment(),  # noqa: B008
) -> int:
    """Load and unload models, choose the default one, cancel anybody's job, drain.

    The server has to be started with --security.admin-tokens; show one of these tokens by
    --access.token-file or STTN_TOKEN_FILE.

    Args:
        action: models lists them; load, unload and default want NAME, cancel that of a job; drain
            finishes what is there and stops the server; capabilities tells what it takes.
        name: A model: its file's name without ending. Or a job, as status shows it.
        address: HOST:PORT or unix:/PATH.
        access: What is shown to the server, and whom is believed.
    """
    if action in _NAMED and not name:
        raise ServerError(f"{action} wants the name of {_NAMED[action]}")
    if name and action not in _NAMED:
        # Often an address, as `status` takes it: what is meant is not the server at the default.
        raise ServerError(f"{action} takes no name, got {name}; write --address before an address")
    with _connected(address, access) as channel:
        stub, inpaint = inpaint_pb2_grpc.AdminStub(channel), inpaint_pb2_grpc.InpaintStub(channel)
        calls = {
            "models": lambda: stub.ListModels(pb.ListModelsRequest()),
            "load": lambda: stub.LoadModel(pb.LoadModelRequest(name=name)),
            "unload": lambda: stub.UnloadModel(pb.UnloadModelRequest(name=name)),
            "default": lambda: stub.SetDefaultModel(pb.SetDefaultModelRequest(name=name)),
            "cancel": lambda: inpaint.Cancel(pb.CancelRequest(job_id=name)),
            "drain": lambda: stub.Drain(pb.DrainRequest()),
            "capabilities": lambda: stub.GetCapabilities(pb.GetCapabilitiesRequest()),
        }
        sys.stdout.write(str(calls[action]()))
    return 0


def _shown(text: str) -> str:
    # Clients choose names, and a terminal obeys what it is shown.
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def status_command(arguments: list[str]) -> int:
    """``sttn-server status``."""
    return run_command(status, "sttn-server status", arguments)


def admin_command(arguments: list[str]) -> int:
    """``sttn-server admin``."""
    return run_command(admin, "sttn-server admin", arguments)


@contextmanager
def _connected(address: str, access: Access) -> Iterator[grpc.Channel]:
    # What a call fails with is one line, and Ctrl-C is how one stops to look.
    try:
        with open_channel(address, access) as channel:
            yield channel
    except KeyboardInterrupt:
        sys.exit(0)
    except grpc.RpcError as error:
        raise ServerError(
            f"the server at {address} says: {_shown(error.details() or '')} ({error.code().name})"
            if error.code() is not grpc.StatusCode.UNAVAILABLE
            else f"no server answers at {address}; give its address ({error.details()})"
        ) from None
