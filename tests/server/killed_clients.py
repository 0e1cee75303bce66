"""Clients that die at every stage of a shot: ``python -m tests.server.killed_clients``.

One process imports gRPC and forks a client per death, before it has opened any channel.
"""

import os
import random
import signal
import sys
import threading

import grpc
import numpy as np

from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb

AT_ONCE = 4
SIDE = 480
LONGEST_LIFE_SECONDS = 0.25


def live(address: str, seed: int) -> None:
    """A whole shot; a timer kills it somewhere on the way."""
    rng = np.random.default_rng(seed)
    threading.Timer(
        random.Random(seed).uniform(0, LONGEST_LIFE_SECONDS),
        lambda: os.kill(os.getpid(), signal.SIGKILL),
    ).start()
    channel = grpc.insecure_channel(address)
    plates = inpaint_pb2_grpc.PlatesStub(channel)
    jobs = inpaint_pb2_grpc.InpaintStub(channel)
    plate = codec.encode_image(rng.random((SIDE, SIDE, 3), np.float32), ("R", "G", "B"))
    mask = codec.encode_image(np.ones((SIDE, SIDE, 1), np.uint8), ("A",))
    for image, content in (plate, mask):
        plates.FindMissing(pb.FindMissingRequest(digests=[image.digest]))
        header = pb.UploadHeader(digest=image.digest, size=len(content))
        requests = [pb.UploadRequest(header=header)]
        requests += [pb.UploadRequest(chunk=chunk) for chunk in codec.chunks(content)]
        plates.Upload(iter([*requests, pb.UploadRequest(finish=pb.UploadFinish())]))
    frame = pb.ClipFrame(plate=plate[0], mask=mask[0])
    jobs.Submit(pb.SubmitRequest(job_id=f"killed-{seed}", frames=[frame], client=str(seed)))
    for event in jobs.Watch(pb.WatchRequest(job_id=f"killed-{seed}")):
        if event.HasField("frame_ready"):
            image = event.frame_ready.image
            for _ in plates.Download(pb.DownloadRequest(digest=image.digest)):
                pass
    signal.pause()


def main(address: str, deaths: int) -> None:
    """Have so many clients die."""
    living = set()
    for seed in range(deaths):
        child = os.fork()
        if child == 0:
            try:
                live(address, seed)
            except grpc.RpcError:
                signal.pause()  # another one sends the same mask just now
            finally:
                os._exit(1)  # it should have been killed before
        living.add(child)
        if len(living) >= AT_ONCE:
            living.discard(_buried())
    for _ in range(len(living)):
        _buried()


def _buried() -> int:
    pid, status = os.wait()
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        sys.exit(f"client {pid} ended by itself: {status}")
    return pid


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
