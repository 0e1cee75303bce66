"""Clients that die at every stage of a shot: ``python -m tests.server.killed_clients``.

One process imports gRPC and forks a client per death, before it has opened any channel.
"""

import mmap
import os
import random
import signal
import sys
import threading
import time

import grpc
import numpy as np

from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from tests.server.parts import part

AT_ONCE = 4
SIDE = 336
STEP = 1.05
"""Lives become that much longer after one that saw no whole shot, and shorter by its square after
one that did: so a third do, however fast the machine is at the moment."""


def live(address: str, seed: int) -> None:
    """A whole shot."""
    rng = np.random.default_rng(seed)
    channel = grpc.insecure_channel(address)
    plates = inpaint_pb2_grpc.PlatesStub(channel)
    jobs = inpaint_pb2_grpc.InpaintStub(channel)
    plate = codec.encode_image(rng.random((SIDE, SIDE, 3), np.float32), ("R", "G", "B"))
    mask = codec.encode_image(np.ones((SIDE, SIDE, 1), np.uint8), ("A",))
    for image, content in (plate, mask):
        plates.FindMissing(pb.FindMissingRequest(digests=[image.digest]))
        header = pb.UploadHeader(digest=image.digest, size=len(content))
        requests = [pb.UploadRequest(header=header)]
        requests += [part(chunk) for chunk in codec.chunks(content)]
        plates.Upload(iter([*requests, pb.UploadRequest(finish=pb.UploadFinish())]))
    frame = pb.ClipFrame(plate=plate[0], mask=mask[0])
    jobs.Submit(pb.SubmitRequest(job_id=f"killed-{seed}", frames=[frame], client=str(seed)))
    for event in jobs.Watch(pb.WatchRequest(job_id=f"killed-{seed}")):
        if event.HasField("frame_ready"):
            image = event.frame_ready.image
            for _ in plates.Download(pb.DownloadRequest(digest=image.digest)):
                pass


def die(address: str, seed: int, longest: float, whole: mmap.mmap) -> None:
    """A whole shot; a timer kills it somewhere on the way."""
    threading.Timer(
        random.Random(seed).uniform(0, longest), lambda: os.kill(os.getpid(), signal.SIGKILL)
    ).start()
    try:
        live(address, seed)
        whole[seed] = True
        signal.pause()
    except grpc.RpcError:
        signal.pause()  # another one sends the same mask just now
    finally:
        os._exit(1)  # it should have been killed before


def seconds_alone(address: str, seed: int) -> float:
    """How long a whole shot takes here."""
    start = time.monotonic()
    child = os.fork()
    if child == 0:
        live(address, seed)
        os._exit(0)
    os.waitpid(child, 0)
    return time.monotonic() - start


def main(address: str, deaths: int) -> None:
    """Have so many clients die."""
    living: dict[int, int] = {}
    whole = mmap.mmap(-1, deaths)  # which the clients share
    longest = seconds_alone(address, deaths)
    for seed in range(deaths):
        child = os.fork()
        if child == 0:
            die(address, seed, longest, whole)
        living[child] = seed
        if len(living) >= AT_ONCE:
            longest *= STEP**-2 if whole[living.pop(_buried())] else STEP
    for _ in range(len(living)):
        _buried()


def _buried() -> int:
    pid, status = os.wait()
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        sys.exit(f"client {pid} ended by itself: {status}")
    return pid


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
