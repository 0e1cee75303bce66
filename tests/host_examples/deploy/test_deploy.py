"""Deployment examples: what can be said of them without running them (test_envoy.py runs one)."""

import json
import re
import shlex
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
import tyro
import yaml

from server.config import ServerConfig
from server.security import Tokens

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "host_examples" / "deploy"


def settings(arguments):
    return tyro.cli(ServerConfig, args=arguments)


def exec_start():
    unit = (DEPLOY / "sttn-server.service").read_text().replace("\\\n", " ")
    return shlex.split(re.search(r"^ExecStart=(.*)$", unit, re.MULTILINE)[1])


def test_the_units_command_is_one_the_server_takes():
    """A renamed flag would stop a facility's server at its next boot."""
    program, *arguments = exec_start()

    chosen = settings(arguments)

    assert Path(program).name == "sttn-server"
    assert chosen.security.closed
    assert chosen.store.folder == Path("/var/lib/sttn")


def test_a_drained_server_stays_stopped():
    """`admin drain` ends with exit code 0; what crashed or was killed is started again."""
    unit = (DEPLOY / "sttn-server.service").read_text()

    assert re.findall(r"^Restart=(.*)$", unit, re.MULTILINE) == ["on-failure"]


def test_a_model_process_that_takes_all_memory_does_not_end_the_service():
    """By default systemd stops all of it, and every job, when the kernel ends one process."""
    unit = (DEPLOY / "sttn-server.service").read_text()

    assert re.findall(r"^OOMPolicy=(.*)$", unit, re.MULTILINE) == ["continue"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    """Unknown keys, bad values; what is missing here is only the program itself."""
    unit = (DEPLOY / "sttn-server.service").read_text()
    (tmp_path / "sttn-server.service").write_text(
        unit.replace("/opt/sttn/bin/sttn-server", "/bin/true")
    )

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "sttn-server.service")],
        capture_output=True,
        text=True,
    )

    complaints = [line for line in done.stderr.splitlines() if "sttn-server" in line]
    assert not complaints


def test_the_readmes_token_is_one_the_server_takes(tmp_path):
    """Two commands, typed as they stand there, make a file that nobody else reads."""
    readme = (ROOT / "README.md").read_text()
    made, closed = (
        re.search(rf"^    .*({start}.*)$", readme, re.MULTILINE)[1].replace("/etc/sttn", ".")
        for start in ("python3 -c", "chmod 600")
    )

    subprocess.run(f"{made} && {closed}", shell=True, cwd=tmp_path, check=True)

    name, token = (tmp_path / "tokens").read_text().split()
    owner = Tokens(tmp_path / "tokens").owner([("authorization", f"Bearer {token}")])
    assert owner == name == "ann"


def test_envoy_keeps_long_streams_open_and_asks_for_health():
    """What was measured to break: streams cut at 15 s, and clients sent to a server that drains."""
    config = yaml.safe_load((DEPLOY / "envoy.yaml").read_text())
    (listener,), (cluster,) = (config["static_resources"][k] for k in ("listeners", "clusters"))
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (route,) = manager["route_config"]["virtual_hosts"][0]["routes"]

    assert route["route"]["timeout"] == "0s"
    assert manager["stream_idle_timeout"] == "0s"
    assert route["route"]["hash_policy"]
    assert cluster["lb_policy"] == "RING_HASH"
    service = cluster["health_checks"][0]["grpc_health_check"]["service_name"]
    assert service == "sttn.inpaint.v1.Inpaint"


def test_the_containers_files_and_command_exist():
    """What it copies is there; what it starts is a command the server takes."""
    lines = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    copied = [part for line in lines if line.startswith("COPY") for part in line.split()[1:-1]]
    (command,) = [line.removeprefix("CMD ") for line in lines if line.startswith("CMD")]

    assert all((ROOT / part).exists() for part in copied)
    assert settings(json.loads(command)).security.closed


def test_a_machine_without_a_desktop_can_load_opencv():
    """Containers and render nodes lack a desktop's libraries; opencv-python does not load there."""
    (distribution,) = metadata.packages_distributions()["cv2"]

    assert distribution == "opencv-python-headless"
