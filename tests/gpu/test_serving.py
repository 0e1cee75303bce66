"""A server on a GPU, in a process of its own, and a client of it."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest
import torch

from node.client import InpaintClient, Wishes
from server.protocol import inpaint_pb2 as pb
from server.protocol import inpaint_pb2_grpc
from sttn.inference import complete
from tests.conftest import eventually
from tests.gpu.conftest import NAME
from tests.gpu.footage import apart, clip, window_of

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Serving:
    """What a server says where it listens."""

    address: str
    device: str
    precision: str


@pytest.fixture(scope="module")
def serving(device, tmp_path_factory) -> Iterator[Serving]:
    """A server as operators start it."""
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "server", "--address", "localhost:0", "--device", NAME]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*command, "--until-stdin-closes"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            told = process.stdout.readline()
            assert told.startswith("listening on "), log.read_text()
            words = dict(part.split(" ", 1) for part in told[len("listening ") :].split(", "))
            yield Serving(words["on"], words["device"], words["precision"])
        finally:
            process.terminate()
            process.stdin.close()


def status_of(serving: Serving) -> pb.Status:
    with grpc.insecure_channel(serving.address) as channel:
        return inpaint_pb2_grpc.InpaintStub(channel).GetStatus(pb.GetStatusRequest())


def is_idle(serving: Serving) -> bool:
    return not status_of(serving).workers[0].job_id


@pytest.mark.parametrize("propagate", [False, True])
def test_a_client_gets_what_the_engine_gives(serving, shipped, device, propagate):
    """Hosts see the picture that is measured, in the precision that the server tells."""
    frames, masks = clip(14)
    with InpaintClient(serving.address) as client:
        wishes = Wishes(propagate=propagate)
        served = np.stack([f for _, f in client.inpaint(frames, masks, wishes=wishes)])

    generator = shipped.half if serving.precision == "bfloat16" else shipped.there
    here = complete(frames, masks, generator, window_of("balanced", propagate))

    assert serving.device == str(device)
    assert served.dtype == np.float32
    np.testing.assert_array_equal(served[~masks], frames[~masks])
    assert apart(served, here, masks).mean() < 0.05


def test_auto_serves_in_bfloat16_on_such_a_card(serving, card):
    """Artists get the speed that the card was bought for, without a flag."""
    fast = torch.cuda.get_device_capability(card) >= (8, 0)

    assert serving.precision == ("bfloat16" if fast else "float32")


def test_a_cancelled_job_frees_the_card_for_the_next(serving):
    """Escape, and another try."""
    frames, masks = clip(240)
    before = status_of(serving)
    with InpaintClient(serving.address) as client:
        completing = client.inpaint(frames, masks)
        next(completing)
        completing.close()
        eventually(lambda: is_idle(serving))
        cancelled = status_of(serving)
        following = dict(client.inpaint(frames[:6], masks[:6]))

    assert 0 < cancelled.frames_completed - before.frames_completed < len(frames)
    assert sorted(following) == list(range(6))
    assert cancelled.workers[0].restarts == before.workers[0].restarts


def test_memory_is_given_back_between_jobs(serving, card):
    """An artist's other programs have the card while nobody asks for a completion."""
    frames, masks = clip(120)
    free = [torch.cuda.mem_get_info(card)[0]]
    with InpaintClient(serving.address) as client:
        dict(client.inpaint(frames[:6], masks[:6]))  # what stays is taken: libraries, workspaces
        eventually(lambda: is_idle(serving))
        between = torch.cuda.mem_get_info(card)[0]
        for _ in client.inpaint(frames, masks, wishes=Wishes(propagate=False)):
            free.append(torch.cuda.mem_get_info(card)[0])
    assert status_of(serving).workers[0].device_memory_bytes > 0

    assert min(free[1:]) < between
    eventually(lambda: torch.cuda.mem_get_info(card)[0] >= between - 2**25)
