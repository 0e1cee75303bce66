"""The real network behind the real server: what only the two together can show."""

import os
import signal
from functools import partial

import cv2
import grpc
import numpy as np
import pytest

from node.client import InpaintClient, Wishes
from node.errors import JobError
from server.app import torch_models
from server.config import ServerConfig
from server.protocol import inpaint_pb2 as pb
from server.protocol import inpaint_pb2_grpc
from tests.conftest import server_of


@pytest.fixture(scope="module")
def real():
    config = ServerConfig(address="localhost:0", device="cpu", precision="float32")
    with server_of(config, partial(torch_models, config)) as started:
        yield started


def clip(length=24):
    rng = np.random.default_rng(0)
    plates = rng.random((length, 48, 96, 3), np.float32)
    masks = np.zeros((length, 48, 96), np.bool_)
    masks[:, 10:30, 20:60] = True
    return plates, masks


@pytest.fixture(scope="module")
def usual(real):
    """What the clip becomes as it is usually cut, by frame."""
    with InpaintClient(real[0]) as client:
        return dict(client.inpaint(*clip()))


def test_a_process_that_dies_changes_no_pixel(real, usual):
    """Frames after the restart are what they would have been: the rest of the same windows."""
    address, running = real
    plates, masks = clip()
    with InpaintClient(address) as client:
        completed = {}
        for index, frame in client.inpaint(plates, masks):
            completed[index] = frame
            if index == 2:
                os.kill(running.workers.all[0].process.pid, signal.SIGKILL)

    assert running.workers.all[0].restarts == 1
    assert list(completed) == list(range(len(plates)))
    for index, frame in completed.items():
        np.testing.assert_allclose(frame, usual[index], atol=2e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_pixels_that_are_no_numbers_are_an_invalid_argument(real, value):
    """A client in another language forgot to replace them."""
    address, _ = real
    plates, masks = clip(4)
    plates[2, 5, 5] = value

    end = last_event(address, plates, masks)

    assert (end.outcome, end.code) == (pb.Finished.FAILED, "INVALID_ARGUMENT")
    assert "frame 2 holds NaN or inf" in end.message


def test_windows_are_cut_as_the_client_wishes(real, usual):
    """A longer look for a shot that needs it; a gap between windows is refused with the numbers."""
    address, _ = real
    plates, masks = clip()
    with InpaintClient(address) as client:
        wider = dict(client.inpaint(plates, masks, wishes=Wishes(neighbor_radius=8)))
        denser = dict(client.inpaint(plates, masks, wishes=Wishes(reference_stride=2)))
        with pytest.raises(JobError, match="neighbor_radius 1 leaves gaps"):
            dict(client.inpaint(plates, masks, wishes=Wishes(neighbor_radius=1)))

    for other in (wider, denser):
        assert list(other) == list(usual)
        assert any((other[index] != usual[index]).any() for index in usual)


def test_cuts_are_told_before_the_first_frame_unless_a_client_wants_none(real):
    """An artist reads why nothing of what follows is copied, and can say that it is one shot."""
    address, _ = real
    rng = np.random.default_rng(1)
    scenes = [cv2.GaussianBlur(rng.random((48, 120, 3), np.float32), (0, 0), 1.5) for _ in "ab"]
    plates = np.stack([scenes[i >= 7][:, i : i + 96] for i in range(14)])
    masks = np.zeros((14, 48, 96), np.bool_)
    masks[:, 20:28, 40:52] = True
    told: list[object] = []
    with InpaintClient(address) as client:
        sent = [client.send(plate, mask) for plate, mask in zip(plates, masks, strict=True)]
        parted = {}
        for index, frame in client.complete(sent, cuts=told.append):
            told.append(index)
            parted[index] = frame
        one_shot = Wishes(part_at_cuts=False)
        whole = dict(client.complete(sent, wishes=one_shot, cuts=told.append))

    assert told == [[7], *range(14)]
    assert any((parted[index] != whole[index]).any() for index in parted)


def last_event(address, plates, masks):
    with InpaintClient(address) as client, grpc.insecure_channel(address) as channel:
        sent = [client.send(plate, mask) for plate, mask in zip(plates, masks, strict=True)]
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        job_id = os.urandom(8).hex()
        stub.Submit(pb.SubmitRequest(job_id=job_id, frames=sent))
        return list(stub.Watch(pb.WatchRequest(job_id=job_id)))[-1].finished
