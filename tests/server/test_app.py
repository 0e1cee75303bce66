"""What an operator's flags come to."""

import asyncio
import math
import re
import socket
import subprocess
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc._cython import cygrpc

from server.app import serve, torch_models
from server.config import LimitsConfig, ServerConfig, StoreConfig
from server.errors import StartError, status_code
from server.listening import require_free, server_options
from server.models import TorchModels
from server.protocol import inpaint_pb2 as pb
from server.protocol.channel import channel_options
from sttn.errors import CancelledError, DeviceError, OutOfMemoryError
from sttn.model import Generator
from sttn.settings.weights import DEFAULT_WEIGHTS
from tests.conftest import server
from tests.server.engines import FakeEngine, FakeModels


def test_what_a_process_is_made_of_is_what_the_flags_say():
    """The line a server prints is what it computes with."""
    config = ServerConfig(preset="fast", device="cpu", precision="float32", batch=3)

    models = torch_models(config, "cpu")
    models.load("shipped", DEFAULT_WEIGHTS)

    assert (models.device, models.precision) == ("cpu", "float32")
    frames = np.zeros((2, 48, 48, 3), np.float32)
    masks = np.ones((2, 48, 48), np.bool_)
    done = models.completed_frames(
        "shipped",
        frames,
        masks,
        clean=(),
        handles=(),
        windows=pb.Windows(),
        cancelled=lambda: False,
    )
    assert [index for index, _ in done] == [0, 1]


def test_windows_are_computed_as_many_at_once_as_the_flag_says(monkeypatch):
    """What an operator tries on a new GPU; the pixels stay the same."""
    plates = np.random.default_rng(0).random((40, 48, 48, 3), np.float32)
    masks = np.zeros((40, 48, 48), np.bool_)
    masks[:, 10:40, 10:40] = True
    results, together = [], []
    for batch in (1, 3):
        models = TorchModels(ServerConfig(device="cpu", precision="float32", batch=batch), "cpu")
        models.load("shipped", DEFAULT_WEIGHTS)
        sizes = []
        transform = Generator.transform
        monkeypatch.setattr(
            Generator,
            "transform",
            lambda self, features, *rest, to=transform, sizes=sizes: (
                sizes.append(len(features)) or to(self, features, *rest)
            ),
        )
        done = models.completed_frames(
            "shipped",
            plates,
            masks,
            clean=(),
            handles=(),
            windows=pb.Windows(propagate=False),
            cancelled=lambda: False,
        )
        results.append(np.stack([frame for _, frame in done]))
        together.append(max(sizes))
        monkeypatch.undo()

    assert together[0] == 1 < together[1] <= 3
    np.testing.assert_allclose(*results, atol=1e-5)


@pytest.mark.parametrize("cancelled", [False, True])
def test_memory_of_a_gpu_is_given_back_after_every_job(monkeypatch, cancelled):
    """Between jobs an artist's other programs have the GPU that the server is on."""
    given, frame = [], np.zeros((48, 48, 3), np.float32)

    def completed(*_, cancelled, **__):
        yield from ((0, frame), (1, frame))
        if cancelled():
            raise CancelledError("cancelled by the caller")

    monkeypatch.setattr("server.models.completed_frames", completed)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.empty_cache", lambda: given.append(True))
    models = TorchModels(ServerConfig(precision="float32"), "cpu")
    models.load("shipped", DEFAULT_WEIGHTS)
    none, roles = pb.Windows(), {"clean": (), "handles": ()}
    ends = pytest.raises(CancelledError) if cancelled else nullcontext()

    with ends:
        for _ in models.completed_frames(
            "shipped", [frame], [frame], windows=none, cancelled=lambda: cancelled, **roles
        ):
            assert not given

    assert len(given) == 1


def test_a_device_that_is_not_there_is_told_by_its_process():
    """A farm's unit file names the machine's devices."""
    with pytest.raises(DeviceError, match="cuda:63"):
        torch_models(ServerConfig(), "cuda:63")


def test_what_answers_needs_no_torch():
    """A server listens, and --help teaches, seconds sooner, and takes 200 MB less."""
    script = "import sys, server.command; print('torch' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize(
    ("device", "names"), [("auto", ["fake", "fake:1"]), ("cpu,cpu,cpu", ["fake"] * 3)]
)
def test_a_process_per_device(device, names):
    """What stands for every GPU is found out by the first process."""
    with server(FakeEngine(), device=device) as (_, running):
        assert [worker.device for worker in running.workers.all] == names
        assert all(worker.ready for worker in running.workers.all)


def test_running_out_of_memory_is_told_apart_from_bugs():
    """A client may come back with a smaller raster."""
    assert status_code(OutOfMemoryError("too large")) is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"address": "0.0.0.0:50071"}, "address 0.0.0.0:50071 can be reached"),
        ({"address": "render01:50071"}, "address render01:50071 can be reached"),
        ({"precision": "int8"}, "precision must be"),
        ({"address": "localhost:http"}, "address must be HOST:PORT"),
        ({"metrics_address": "localhost:99999"}, "metrics_address must be HOST:PORT"),
        ({"device": "tpu"}, "device must be"),
        ({"batch": 0}, "batch must be at least 1"),
        ({"preset": "quick"}, "preset must be one of thorough, balanced, fast"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong, told):
    """Above all an address that other machines could reach."""
    with pytest.raises(ValueError, match=told):
        ServerConfig(**wrong)


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [(StoreConfig, "gigabytes"), (StoreConfig, "expire_hours"), (LimitsConfig, "queue_length")],
)
def test_limits_of_nothing_are_refused(kind, wrong):
    """A limit of 0 would refuse everything."""
    with pytest.raises(ValueError, match=f"{wrong} must be above 0, got 0"):
        kind(**{wrong: 0})


@pytest.mark.parametrize(
    ("kind", "wrong", "told"),
    [
        (StoreConfig, {"gigabytes": math.inf}, "gigabytes must be at most 1e+09, got inf"),
        (LimitsConfig, {"megapixels": math.inf}, "megapixels must be at most 1e+06, got inf"),
        (LimitsConfig, {"keepalive_seconds": 1e9}, "keepalive_seconds must be at most 1e+06"),
        (LimitsConfig, {"stop_seconds": math.nan}, "stop_seconds must be above 0, got nan"),
    ],
)
def test_limits_that_no_number_can_hold_are_refused(kind, wrong, told):
    """An operator who wants no limit hears it at the start, not with every upload."""
    with pytest.raises(ValueError, match=re.escape(told)):
        kind(**wrong)


@pytest.mark.parametrize("taken", ["127.0.0.1", "::1"])
def test_a_port_that_is_taken_at_one_of_two_addresses_is_not_listened_on(taken):
    """Clients that ask for localhost would reach another program, or not, by chance."""
    family = socket.AF_INET6 if ":" in taken else socket.AF_INET
    try:
        other = socket.create_server((taken, 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with other:
        address = f"localhost:{other.getsockname()[1]}"
        starting = serve(ServerConfig(address=address), partial(FakeModels, FakeEngine()))
        with pytest.raises(StartError, match=f"cannot listen on {address}: Address already in use"):
            asyncio.run(starting)
        if taken != "::1":
            require_free(address.replace("localhost", "[::1]"))


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("unix:{}/file", "what lies there is no socket"),
        ("unix:{}/file/s.sock", "is no folder"),
        ("unix:{}/nowhere/s.sock", "No such file or directory"),
        ("a..b:50071", "no host is called so"),
    ],
)
def test_an_address_that_cannot_be_listened_on_is_told(tmp_path, address, told):
    """With its own reason, by --check and at the start."""
    (tmp_path / "file").touch()

    with pytest.raises(StartError, match=told):
        require_free(address.format(tmp_path))


def test_grpc_knows_every_option_that_it_is_given():
    """It says nothing of those that it does not: one misspelled name sent waiting clients away."""
    known = Path(cygrpc.__file__).read_bytes()

    for name, _ in [*server_options(ServerConfig()), *channel_options()]:
        assert name.encode() in known, name
