"""The server against what it cannot beat: a raw socket, and the engine in one's own process.

    python tests/benchmarks/serving.py [--json FILE] [--rounds 5]

Ratios are medians over rounds that take turns in one run. The engine is a stand-in that works
100 ms per frame without taking a core, as a GPU would.
"""

import argparse
import json
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from node.client import InpaintClient
from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from server.protocol.chunks import PlatesStub
from tests.server.engines import WorkingEngine
from tests.server.process import ROOT, server_process, unused_ports

SHAPE = (1104, 1920, 3)  # 1080p, in multiples of 48
WORK_SECONDS = 0.1
MIB = 2**20

_SINK = """
import socket, sys
listener = socket.create_server(("localhost", 0))
print(listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    buffer = memoryview(bytearray(2**20))
    while connection.recv_into(buffer):
        pass
    connection.sendall(b"x")
    connection.close()
"""

_GRPC_SINK = """
import asyncio, grpc
from server.allocator import keep_freed_memory

async def drop(requests, context):
    async for _ in requests:
        pass
    return b"x"

async def serve():
    server = grpc.aio.server()
    handler = grpc.stream_unary_rpc_method_handler(drop)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("sink", {"Drop": handler}),)
    )
    print(server.add_insecure_port("localhost:0"), flush=True)
    await server.start()
    await server.wait_for_termination()

keep_freed_memory()
asyncio.run(serve())
"""


def raw_seconds(port: int, content: bytes) -> float:
    """Send a content through a plain TCP socket to a process that drops it."""
    start = time.perf_counter()
    with socket.create_connection(("localhost", port)) as connection:
        view = memoryview(content)
        for offset in range(0, len(content), MIB):
            connection.sendall(view[offset : offset + MIB])
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
    return time.perf_counter() - start


def bare_seconds(port: int, content: bytes) -> float:
    """Send a content through gRPC in messages of 1 MiB to a process that drops them."""
    view = memoryview(content)
    with grpc.insecure_channel(f"localhost:{port}") as channel:
        send = channel.stream_unary("/sink/Drop")
        start = time.perf_counter()
        send(bytes(view[offset : offset + MIB]) for offset in range(0, len(content), MIB))
        return time.perf_counter() - start


def upload_seconds(channel: grpc.Channel, content: bytes) -> float:
    """Send a content to the server: checksums, digest and disk included."""
    name = codec.digest(content)  # the client's own hashing is its own
    start = time.perf_counter()

    def requests():
        yield pb.UploadRequest(header=pb.UploadHeader(digest=name, size=len(content)))
        yield from codec.chunks(content)
        yield pb.UploadRequest(finish=pb.UploadFinish())

    PlatesStub(channel).Upload(requests())
    return time.perf_counter() - start


def measure_upload(address: str, megabytes: int, rounds: int) -> dict[str, float]:
    rng = np.random.default_rng(0)
    with sink(_SINK) as raw, sink(_GRPC_SINK) as bare, grpc.insecure_channel(address) as channel:
        rates = []
        for number in range(rounds + 1):
            content = rng.bytes(megabytes * MIB)
            seconds = (
                raw_seconds(raw, content),
                bare_seconds(bare, content),
                upload_seconds(channel, content),
            )
            if number:  # the first round warms up
                rates.append([len(content) / 1e9 / each for each in seconds])
    return {
        "raw_gigabytes_per_second": statistics.median(raw for raw, _, _ in rates),
        "bare_grpc_gigabytes_per_second": statistics.median(bare for _, bare, _ in rates),
        "upload_gigabytes_per_second": statistics.median(up for _, _, up in rates),
        "bare_grpc_over_raw": statistics.median(bare / raw for raw, bare, _ in rates),
        "upload_over_raw": statistics.median(up / raw for raw, _, up in rates),
        "upload_over_bare_grpc": statistics.median(up / bare for _, bare, up in rates),
    }


@contextmanager
def sink(code: str) -> Iterator[int]:
    """A process that drops what it gets; the value is its port."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


def measure_overhead(
    address: str, frames: int, rounds: int, shared_memory: bool = False
) -> dict[str, float]:
    """A whole clip: sending, work, fetching, against the same work in this process."""
    rng = np.random.default_rng(1)
    masks = np.zeros((frames, *SHAPE[:2]), np.bool_)
    masks[:, 300:700, 600:1100] = True
    engine = WorkingEngine(WORK_SECONDS)
    ratios, firsts = [], []
    with InpaintClient(address, shared_memory=shared_memory) as client:
        for number in range(rounds + 1):
            plates = rng.random((frames, *SHAPE), np.float32).astype(np.float16)
            start = time.perf_counter()
            for _ in engine(list(plates), list(masks), cancelled=lambda: False):
                pass
            alone = time.perf_counter() - start
            told: dict[str, float] = {}

            def progress(stage: str, *_: int, told: dict[str, float] = told) -> None:
                told[stage] = time.perf_counter()

            start = time.perf_counter()
            first = None
            for _ in client.inpaint(plates, masks, progress=progress):
                first = first or time.perf_counter()
            end, sent = time.perf_counter(), told["sending"]
            if number:
                ratios.append(((end - start) / alone, (end - sent) / alone))
                firsts.append(first - sent - WORK_SECONDS)
    return {
        "whole_over_in_process": statistics.median(whole for whole, _ in ratios),
        "after_sending_over_in_process": statistics.median(rest for _, rest in ratios),
        "first_frame_after_compute_seconds": statistics.median(firsts),
    }


def measure_cancel(address: str, rounds: int) -> dict[str, float]:
    """From the call to the event that says it, beyond the frame under way."""
    plate, mask = np.zeros((48, 48, 3), np.float32), np.ones((48, 48), np.bool_)
    late = []
    with InpaintClient(address) as client, grpc.insecure_channel(address) as channel:
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        sent = client.send(plate, mask)
        for number in range(rounds):
            name = f"cancelled-{number}-{time.time_ns()}"
            stub.Submit(pb.SubmitRequest(job_id=name, frames=[sent] * 100))
            events = stub.Watch(pb.WatchRequest(job_id=name))
            for event in events:
                if event.HasField("frame_ready"):
                    break
            start = time.perf_counter()
            stub.Cancel(pb.CancelRequest(job_id=name))
            list(events)
            late.append(time.perf_counter() - start - WORK_SECONDS)
    return {"cancel_beyond_one_frame_seconds": max(late)}


def measure_crowd(address: str, clients: int, seconds: float, pid: int) -> dict[str, float]:
    """Health while many upload: each client a channel and a thread of its own."""
    before = psutil.Process(pid).memory_info().rss
    stop, errors, sent = threading.Event(), [], [0] * clients

    def crowd(number: int) -> None:
        rng = np.random.default_rng(number)
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(address, options=options) as channel:
            while not stop.is_set():
                try:
                    content = rng.bytes(4 * MIB)
                    upload_seconds(channel, content)
                    sent[number] += len(content)
                except grpc.RpcError as error:
                    errors.append(error.details())

    threads = [threading.Thread(target=crowd, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    waits, largest = [], 0
    until = time.monotonic() + seconds
    asked = subprocess.run(
        [sys.executable, __file__, "--health", address, "--seconds", str(seconds)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    waits = json.loads(asked.stdout)
    largest = psutil.Process(pid).memory_info().rss
    stop.set()
    for thread in threads:
        thread.join()
    assert time.monotonic() >= until
    return {
        "clients": clients,
        "health_p95_seconds": float(np.percentile(waits, 95)),
        "health_calls": len(waits),
        "errors": len(errors),
        "uploaded_gigabytes_per_second": sum(sent) / 1e9 / seconds,
        "memory_above_base_megabytes": (largest - before) / 1e6,
    }


def health_waits(address: str, seconds: float) -> list[float]:
    """How long a small call takes, asked ten times a second, from a process of its own."""
    waits = []
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            start = time.perf_counter()
            stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
            waits.append(time.perf_counter() - start)
            time.sleep(0.1)
    return waits


def measure_slow_readers(address: str, readers: int, pid: int) -> dict[str, float]:
    """Memory that a client costs which fetches 64 MiB and does not read on."""
    content = np.random.default_rng(2).bytes(64 * MIB)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address) as channel:
        upload_seconds(channel, content)
    before = psutil.Process(pid).memory_info().rss
    channels = [grpc.insecure_channel(address, options=options) for _ in range(readers)]
    request = pb.DownloadRequest(digest=codec.digest(content))
    streams = [inpaint_pb2_grpc.PlatesStub(channel).Download(request) for channel in channels]
    for stream in streams:
        next(stream)
    time.sleep(2)
    held = (psutil.Process(pid).memory_info().rss - before) / readers / MIB
    for channel in channels:
        channel.close()
    return {"slow_reader_mebibytes": held}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--megabytes", type=int, default=64, help="of an upload; MiB")
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--health", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.health:
        print(json.dumps(health_waits(chosen.health, chosen.seconds)))
        return
    figures: dict[str, object] = {
        "machine": f"{psutil.cpu_count()} cores, {platform.machine()}",
        "grpcio": grpc.__version__,
        "frame": f"{SHAPE[1]}x{SHAPE[0]} half float, {WORK_SECONDS:g} s of work",
    }
    with tempfile.TemporaryDirectory() as folder:
        (port,) = unused_ports(1)
        address = f"localhost:{port}"
        started = Path(folder) / "log", "--seconds", str(WORK_SECONDS)
        own = f"unix:{folder}/s.sock"
        with server_process(own, *started, "--shared-memory"):
            handed_over = measure_overhead(own, chosen.frames, chosen.rounds, True)
            figures |= {f"shared_memory_{name}": each for name, each in handed_over.items()}
        # As full as a store is after a week: what comes in takes the place of something else.
        full = "--store-gigabytes", str(4 * chosen.megabytes * MIB / 1e9)
        with server_process(address, *started, *full):
            figures |= measure_upload(address, chosen.megabytes, chosen.rounds)
        with server_process(address, *started) as process:
            figures |= measure_overhead(address, chosen.frames, chosen.rounds)
            figures |= measure_cancel(address, chosen.rounds)
            figures |= measure_slow_readers(address, 20, process.pid)
            figures |= measure_crowd(address, chosen.clients, chosen.seconds, process.pid)
    for name, value in figures.items():
        print(f"{name:40} {value:.4g}" if isinstance(value, float) else f"{name:40} {value}")
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
