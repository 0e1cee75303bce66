"""What operators rely on: drain, turns, health, figures, logs, models."""

import asyncio
import contextlib
import errno
import io
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from functools import partial
from pathlib import Path
from threading import Timer
from types import SimpleNamespace
from unittest.mock import Mock

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st

from node.client import InpaintClient, Role, Wishes
from node.errors import JobError, ServerLostError
from server import app, workers
from server.admission import frame_bytes
from server.check import check
from server.command import main
from server.config import LimitsConfig, SecurityConfig, ServerConfig, StoreConfig
from server.errors import ServerError, StoreFullError
from server.jobs import Job
from server.journal import JobJournal
from server.messages import Stop
from server.operate import admin, table
from server.plates import PlateStore
from server.processes import ModelProcess
from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from server.protocol.channel import Access, open_channel
from server.turns import Turns
from tests.conftest import eventually, server, server_of, serving
from tests.node.engines import StandingEngine
from tests.server.credentials import token_file
from tests.server.engines import (
    DeafEngine,
    FakeEngine,
    FakeModels,
    NumberModels,
    RecordingEngine,
)
from tests.server.process import ROOT, server_process, unused_ports
from tests.server.test_service import refusal, upload

PLATE = np.full((48, 48, 3), 0.5, np.float32)
MASK = np.ones((48, 48), np.bool_)
TOKEN = "correct-horse-battery-staple"


def jobs_of(*names):
    return [Job(pb.SubmitRequest(job_id=f"{name}{i}"), name) for i, name in enumerate(names)]


# Drain


def drain(process, address):
    """Have the supervisor stop a server; returns once it has heard."""
    process.send_signal(signal.SIGTERM)
    with grpc.insecure_channel(address) as channel:
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        eventually(lambda: stub.GetStatus(pb.GetStatusRequest(), timeout=30).draining)


def test_a_drain_finishes_what_is_there_and_refuses_what_comes(tmp_path):
    """The supervisor's SIGTERM in the middle of the afternoon: no finished frame is lost."""
    address, log = f"unix:{tmp_path}/s.sock", tmp_path / "log"
    with server_process(address, log, "--seconds", "0.05", "--drain-seconds", "60") as process:
        with InpaintClient(address, patience_seconds=0.2) as client:
            frames = client.inpaint([PLATE] * 20, [MASK] * 20)
            received = [next(frames)[0]]

            drain(process, address)
            with (
                InpaintClient(address, patience_seconds=0.2) as late,
                pytest.raises(ServerLostError, match="takes no new jobs"),
            ):
                next(late.inpaint([PLATE], [MASK]))
            received += [index for index, _ in frames]
        assert process.wait(timeout=20) == 0

    assert received == list(range(20))


@pytest.mark.skipif(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="under nohup")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_drain_waits_for_clients_to_fetch_and_no_longer_than_told(tmp_path, number):
    """A client that is between two frames when the job ends still gets them, also where the
    terminal that the server was started in goes away."""
    address, log = f"unix:{tmp_path}/s.sock", tmp_path / "log"
    with server_process(address, log, "--seconds", "0.01") as process:
        with InpaintClient(address, patience_seconds=5) as client:
            frames = client.inpaint([PLATE * 0.1 * i for i in range(5)], [MASK] * 5)
            next(frames)
            process.send_signal(number)
            time.sleep(1.0)  # all frames are done, one is fetched

            assert process.poll() is None
            assert [index for index, _ in frames] == [1, 2, 3, 4]
        assert process.wait(timeout=20) == 0


def test_a_second_signal_ends_at_once(tmp_path):
    """The operator insists."""
    address = f"unix:{tmp_path}/s.sock"
    with (
        server_process(address, tmp_path / "log", "--seconds", "5") as process,
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        sent = client.send(PLATE, MASK)
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        stub.Submit(pb.SubmitRequest(job_id="long", frames=[sent] * 100))
        drain(process, address)
        assert process.poll() is None

        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=20) == 0


def test_the_first_signal_after_the_administrators_drain_finishes_what_is_there(tmp_path):
    """`admin drain`, then the supervisor's stop: they mean the same."""
    address = f"unix:{tmp_path}/s.sock"
    admins = token_file(tmp_path / "admins", f"boss {TOKEN}")
    access = Access(token_file=token_file(tmp_path / "token", TOKEN))
    options = ("--seconds", "0.05", "--admin-tokens", str(admins))
    with server_process(address, tmp_path / "log", *options) as process:
        with InpaintClient(address, patience_seconds=0.2) as client:
            frames = client.inpaint([PLATE] * 20, [MASK] * 20)
            received = [next(frames)[0]]
            with open_channel(address, access) as channel:
                inpaint_pb2_grpc.AdminStub(channel).Drain(pb.DrainRequest(), timeout=30)
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            received += [index for index, _ in frames]
        assert process.wait(timeout=20) == 0

    assert received == list(range(20))


@pytest.mark.parametrize("ended_by", ["a signal", "the end of standard input"])
def test_a_server_that_hangs_while_it_starts_can_be_stopped(tmp_path, ended_by):
    """Weights on a file server that is gone: no supervisor has to kill it, and no host waits."""
    engine, weights = FakeEngine(), tmp_path / "slow.safetensors"
    engine.loads.clear()
    weights.touch()
    by_signal = ended_by == "a signal"
    config = ServerConfig(
        address=f"unix:{tmp_path}/s.sock",
        device="cpu",
        weights=weights,
        until_stdin_closes=not by_signal,
    )

    async def started_and_stopped():
        serving = asyncio.create_task(app.serve(config, partial(FakeModels, engine)))
        await asyncio.sleep(0.5)
        assert not serving.done()
        if by_signal:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            host.close()
        await asyncio.wait_for(serving, 20)

    others = set(multiprocessing.active_children())  # of tests before
    before = os.dup(0)
    reading, writing = os.pipe()
    with open(writing, "wb") as host:
        os.dup2(reading, 0)
        try:
            asyncio.run(started_and_stopped())
        finally:
            os.dup2(before, 0)
    for descriptor in (before, reading):
        os.close(descriptor)

    assert set(multiprocessing.active_children()) <= others
    assert not (tmp_path / "s.sock").exists()


def test_a_cancel_that_came_too_late_cancels_nothing_later(fake_engine):
    """The artist hits Escape as the last frame comes, and submits the shot under its name again."""
    limits = LimitsConfig(kept_jobs=1)
    with (
        server(fake_engine, limits=limits) as (address, running),
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        sent, stub = client.send(PLATE, MASK), inpaint_pb2_grpc.InpaintStub(channel)
        ends = []
        for name in ("shot", "other", "shot"):
            stub.Submit(pb.SubmitRequest(job_id=name, frames=[sent]))
            ends.append(list(stub.Watch(pb.WatchRequest(job_id=name)))[-1].finished.outcome)
            running.workers.all[0].process.tell(Stop("shot"))

    assert ends == [pb.Finished.COMPLETED] * 3


# Turns


def test_a_farm_delays_an_artist_by_one_shot():
    """Owners take turns, whatever they queue."""
    turns = Turns()
    farm = jobs_of(*["farm"] * 5)
    (artist,) = jobs_of("artist")
    for job in [*farm, artist]:
        turns.add(job)

    order = [turns.next() for _ in range(6)]

    assert order == [farm[0], artist, *farm[1:]]


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_the_order_that_is_told_is_the_order_that_comes(owners):
    """Queue positions are honest; each owner's jobs keep their order."""
    turns = Turns()
    jobs = jobs_of(*owners)
    for job in jobs:
        turns.add(job)

    told = list(turns)
    came = [turns.next() for _ in range(len(turns))]

    assert told == came
    for owner in set(owners):
        assert [j for j in came if j.owner == owner] == [j for j in jobs if j.owner == owner]


def test_a_job_put_back_is_next():
    """What a dying process interrupted goes before everything else."""
    turns = Turns()
    first, second, other = jobs_of("a", "a", "b")
    for job in (first, second, other):
        turns.add(job)
    turns.put_back(turns.next())

    assert turns.next() is first


def test_several_devices_work_at_once():
    """Two workers, two jobs, neither waits."""
    engine = FakeEngine()
    engine.hold.clear()
    with server(engine, workers=2) as (address, running), InpaintClient(address) as client:
        sent = client.send(PLATE, MASK)
        with grpc.insecure_channel(address) as channel:
            stub = inpaint_pb2_grpc.InpaintStub(channel)
            for name in "ab":
                stub.Submit(pb.SubmitRequest(job_id=name, frames=[sent] * 3))
            status = stub.GetStatus(pb.GetStatusRequest(), timeout=30)

    assert [worker.job_id for worker in status.workers] == ["a", "b"]
    assert len(running.workers.all) == 2


# Roles


def test_handles_and_clean_frames_are_context_only(tmp_path):
    """An artist's painted frame is copied from and never comes back."""
    engine = RecordingEngine(tmp_path / "seen")
    roles = [Role.HANDLE, Role.PLATE, Role.CLEAN, Role.PLATE]
    masks = [MASK, MASK, ~MASK, MASK]
    with serving(engine) as address, InpaintClient(address) as client:
        completed = dict(client.inpaint([PLATE] * 4, masks, roles=roles))

    seen = json.loads(engine.path.read_text())
    assert list(completed) == [1, 3]
    assert (seen["handles"], seen["clean"]) == ([0], [2])


def test_where_pixels_come_from_is_told_to_whoever_asks():
    """A node fetches fine detail there; a script that does not ask pays nothing."""
    engine, told = StandingEngine(), {}
    masks = [MASK, np.zeros_like(MASK)]
    with serving(engine) as address, InpaintClient(address) as client:
        sent = [client.send(PLATE, mask) for mask in masks]
        for index, _ in client.complete(sent, origins=told.__setitem__):
            assert index in told  # told first
        with grpc.insecure_channel(address) as channel:
            stub = inpaint_pb2_grpc.InpaintStub(channel)
            stub.Submit(pb.SubmitRequest(job_id="silent", frames=sent))
            silent = list(stub.Watch(pb.WatchRequest(job_id="silent")))

    assert not any(event.frame_ready.HasField("origins") for event in silent)
    y, x = np.nonzero(MASK)
    ones = np.ones_like(x)
    np.testing.assert_array_equal(told[0][MASK], np.stack([ones, x, y, ones, ones], axis=-1))
    assert (told[0][~MASK][:, 0] == -1).all()
    assert (told[1][..., 0] == -1).all()


def test_what_tells_the_origins_is_kept_as_long_as_the_frame():
    """Neither eviction nor a drain takes it away before it was fetched; room is kept for it."""
    images = [pb.Image(digest=name, width=48, height=48) for name in ("frame", "origins")]
    [job] = jobs_of("a")
    ready = pb.FrameReady(index=0, image=images[0], origins=images[1])
    job.tell(pb.JobEvent(frame_ready=ready))

    assert job.contents() == ["frame", "origins"]
    job.fetched("frame")
    assert list(job.unfetched) == ["origins"]
    plate, mask = (
        pb.Image(width=48, height=48, channels=channels, type=kind)
        for channels, kind in (("RGB", pb.FLOAT32), ("A", pb.UINT8))
    )
    frames = [pb.ClipFrame(plate=plate, mask=mask)] * 2
    room = [frame_bytes(pb.SubmitRequest(frames=frames, origins=asked)) for asked in (False, True)]
    assert room == [48 * 48 * 12, 48 * 48 * (12 + 20)]


@pytest.mark.parametrize(
    ("kind", "compression", "dtype"),
    [
        (pb.FLOAT16, pb.NONE, np.float16),
        (pb.FLOAT32, pb.SHUFFLED_ZLIB, np.float32),
        (pb.FLOAT16, pb.SHUFFLED_ZLIB, np.float16),
    ],
)
def test_results_come_as_they_were_asked_for(address, kind, compression, dtype):
    """Scripts on a slow network ask for half floats, compressed."""
    with InpaintClient(address, compress=True) as client, grpc.insecure_channel(address) as channel:
        sent = client.send(PLATE, MASK)
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        stub.Submit(
            pb.SubmitRequest(
                job_id="shot", frames=[sent], result_type=kind, result_compression=compression
            )
        )
        events = list(stub.Watch(pb.WatchRequest(job_id="shot")))
        image = next(e.frame_ready.image for e in events if e.HasField("frame_ready"))
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        content = b"".join(c.data for c in plates.Download(pb.DownloadRequest(digest=image.digest)))

    pixels = codec.decode_image(image, content)
    assert pixels.dtype == dtype
    np.testing.assert_array_equal(pixels, dtype(0.25))


# Get, status, health, reflection, figures


def test_a_job_outlives_its_connection_and_tells_where_it_stands(address):
    """An artist's laptop sleeps; the frames are there when it wakes."""
    with InpaintClient(address) as client:
        sent = client.send(PLATE, MASK)
    with grpc.insecure_channel(address) as channel:
        inpaint_pb2_grpc.InpaintStub(channel).Submit(
            pb.SubmitRequest(job_id="shot", frames=[sent] * 3)
        )
    with grpc.insecure_channel(address) as channel:
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        list(stub.Watch(pb.WatchRequest(job_id="shot")))
        job = stub.Get(pb.GetRequest(job_id="shot"))
        code, _ = refusal(lambda: stub.Get(pb.GetRequest(job_id="other")))

    assert job.state == pb.ENDED
    assert (job.progress.frames_done, job.progress.frames) == (3, 3)
    assert job.finished.outcome == pb.Finished.COMPLETED
    assert code is grpc.StatusCode.NOT_FOUND


def test_a_job_that_was_never_watched_is_cancelled_in_time(fake_engine):
    """A script that died between Submit and Watch holds nothing for ever."""
    fake_engine.hold.clear()
    limits = LimitsConfig(abandoned_seconds=0.2)
    with serving(fake_engine, limits=limits) as address, InpaintClient(address) as client:
        sent = client.send(PLATE, MASK)
        with grpc.insecure_channel(address) as channel:
            stub = inpaint_pb2_grpc.InpaintStub(channel)
            stub.Submit(pb.SubmitRequest(job_id="shot", frames=[sent]))
            until = time.monotonic() + 10
            while stub.Get(pb.GetRequest(job_id="shot")).state != pb.ENDED:
                assert time.monotonic() < until
                time.sleep(0.05)
            end = stub.Get(pb.GetRequest(job_id="shot")).finished

    assert end.outcome == pb.Finished.CANCELLED


def test_a_defect_reaches_the_client_as_unknown_and_the_log_with_its_trace(caplog):
    """The artist reads a reason; the developer finds the line."""
    from tests.server.engines import BrokenEngine

    with serving(BrokenEngine()) as address, InpaintClient(address) as client:
        sent = client.send(PLATE, MASK)
        with grpc.insecure_channel(address) as channel:
            stub = inpaint_pb2_grpc.InpaintStub(channel)
            stub.Submit(pb.SubmitRequest(job_id="shot", frames=[sent]))
            end = list(stub.Watch(pb.WatchRequest(job_id="shot")))[-1].finished

    assert (end.code, end.message) == ("UNKNOWN", "the network exploded")
    traces = [getattr(record, "fields", {}).get("trace") for record in caplog.records]
    assert any(trace and "ZeroDivisionError" in trace for trace in traces)


def test_status_is_read_by_people():
    """Queue, jobs, memory and frames per second, on one screen."""
    told = table(
        pb.Status(
            workers=[
                pb.Worker(
                    device="cuda:0",
                    precision="bfloat16",
                    alive=True,
                    frames_per_second=31.4,
                    memory_bytes=2 * 10**9,
                    device_memory_bytes=5 * 10**9,
                    restarts=1,
                ),
                pb.Worker(device="cuda:1", error="CUDA error: device is lost"),
            ],
            jobs=[
                pb.Job(job_id="shot_010", state=pb.RUNNING, progress=pb.Progress(frames_done=3)),
                pb.Job(job_id="shot_020", state=pb.WAITING),
            ],
            queue_limit=64,
            uptime_seconds=3700,
        )
    )

    for word in (
        "DOWN (CUDA error: device is lost)",
        "cuda:0",
        "31.40 frames/s",
        "5.00 GB on the device",
        "1 of 64",
        "shot_010",
        "1 h",
    ):
        assert word in told


def test_status_shows_names_of_jobs_and_obeys_none(fake_engine):
    """A client's codes do not reach the operator's terminal; an ASCII one shows them all."""
    fake_engine.hold.clear()
    with serving(fake_engine) as address, InpaintClient(address) as client:
        sent = client.send(PLATE, MASK)
        with grpc.insecure_channel(address) as channel:
            inpaint_pb2_grpc.InpaintStub(channel).Submit(
                pb.SubmitRequest(job_id="plån\x1b[2J\n", frames=[sent])
            )
        done = subprocess.run(
            [sys.executable, "-m", "server", "status", address],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            timeout=60,
        )
        fake_engine.hold.set()

    assert done.returncode == 0, done.stderr
    assert rb"pl\xe5n\x1b[2J\n " in done.stdout


@pytest.mark.parametrize("command", [["status", "localhost:1"], ["admin", "drain"]])
def test_a_server_that_is_not_there_or_refuses_is_one_line(command, address):
    """The operator reads which address, and why."""
    if command[0] == "admin":
        command = [*command, "--address", address]

    done = subprocess.run(
        [sys.executable, "-m", "server", *command], capture_output=True, text=True, timeout=60
    )

    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith(
        (
            "sttn-server: no server answers at localhost:1; ",
            f"sttn-server: the server at {address} says: this server has no administrator",
        )
    )


def test_health_says_whether_work_is_taken(address):
    """Load balancers ask for the empty name, supervisors for a service."""
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        until = time.monotonic() + 10
        while (
            stub.Check(health_pb2.HealthCheckRequest(), timeout=30).status
            != health_pb2.HealthCheckResponse.SERVING
        ):
            assert time.monotonic() < until
        named = stub.Check(health_pb2.HealthCheckRequest(service="sttn.inpaint.v1.Inpaint"))

    assert named.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("reflecting", [True, False])
def test_reflection_can_be_switched_off(reflecting):
    """grpcurl lists the services, unless a facility does not want that."""
    with (
        serving(FakeEngine(), reflection=reflecting) as address,
        grpc.insecure_channel(address) as channel,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        answers = stub.ServerReflectionInfo(iter([request]))
        names = set()
        with contextlib.suppress(grpc.RpcError):
            for answer in answers:
                names |= {service.name for service in answer.list_services_response.service}
        code = answers.code()

    assert ("sttn.inpaint.v1.Inpaint" in names) == reflecting
    assert code is (grpc.StatusCode.OK if reflecting else grpc.StatusCode.UNIMPLEMENTED)


def test_prometheus_finds_its_figures():
    """Jobs by outcome, frames, disk, refusals."""
    (port,) = unused_ports(1)
    where = f"localhost:{port}"
    with (
        serving(FakeEngine(), metrics_address=where) as address,
        InpaintClient(address) as client,
    ):
        dict(client.inpaint([PLATE], [MASK]))
        with urllib.request.urlopen(f"http://{where}/metrics") as page:
            text = page.read().decode()

    assert 'sttn_jobs_total{outcome="completed"} 1.0' in text
    assert "sttn_frames_total 1.0" in text
    assert "sttn_store_bytes" in text


# Logs and journal


def test_the_log_has_one_json_line_per_state_and_no_token(tmp_path):
    """Machines read it, and nobody learns a secret from it."""
    address, log = f"unix:{tmp_path}/s.sock", tmp_path / "log"
    tokens = tmp_path / "tokens"
    tokens.write_text(f"artist {TOKEN}\n")
    tokens.chmod(0o600)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with (
        server_process(address, log, "--tokens", str(tokens)),
        InpaintClient(address, access=Access(token_file=token)) as client,
    ):
        dict(client.inpaint([PLATE] * 2, [MASK] * 2))

    lines = [json.loads(line) for line in log.read_text().splitlines()]
    states = [line["message"] for line in lines if "job" in line]
    assert states == ["job queued", "job started", "job completed"]
    assert {line["client"] for line in lines if "job" in line} == {"token artist"}
    assert TOKEN not in log.read_text()


def journaled(folder):
    """A journal of one job, and what happened to it."""
    journal = JobJournal(folder)
    journal.begin(pb.SubmitRequest(job_id="shot", client="artist", frames=[pb.ClipFrame()]))
    events = [
        pb.JobEvent(number=0, queued=pb.Queued()),
        pb.JobEvent(number=1, frame_ready=pb.FrameReady(index=0, image=pb.Image(width=48))),
        pb.JobEvent(number=2, finished=pb.Finished(outcome=pb.Finished.COMPLETED)),
    ]
    for event in events:
        journal.add("shot", event)
    return events


@given(st.data())
def test_a_journal_cut_anywhere_goes_on_behind_what_is_whole(tmp_path_factory, data):
    """A server killed while it writes a line, or a machine that loses its power, twice."""
    folder = tmp_path_factory.mktemp("journal")
    events = journaled(folder)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    zeros = data.draw(st.integers(0, 20))
    file.write_bytes(whole[:cut] + bytes(zeros))

    journal = JobJournal(folder)
    jobs = list(journal.read())
    for job in jobs:
        kept = len(job.events)
        for event in events[kept:]:
            journal.add("shot", event)
    again = list(JobJournal(folder).read())

    for job in jobs:
        assert (job.job_id, job.owner) == ("shot", "artist")
        assert job.events == events[:kept]
    assert [job.events for job in again] == [events] * len(jobs)


def test_half_a_record_on_a_full_disk_does_not_spoil_the_next(tmp_path):
    """The disk is full for a moment: what is written down after it can be read."""
    code = """
import resource, signal, sys
from pathlib import Path
from server.journal import JobJournal
from server.protocol import inpaint_pb2 as pb
journal = JobJournal(Path(sys.argv[1]))
journal.begin(pb.SubmitRequest(job_id="shot", frames=[pb.ClipFrame()]))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for number, limit in enumerate((resource.RLIM_INFINITY, 60, resource.RLIM_INFINITY)):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    notice = pb.Notice(message=str(number) * 20)
    journal.add("shot", pb.JobEvent(number=number, notice=notice))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, check=True)

    (job,) = JobJournal(tmp_path).read()

    assert [event.number for event in job.events] == [0, 2]


def test_a_watcher_misses_nothing_where_a_restart_has_lost_an_event():
    """Numbers stay what they were: a client that has heard up to 3 goes on with 4."""
    told = [pb.JobEvent(number=number, notice=pb.Notice()) for number in (0, 1, 3)]
    job = Job.restored(pb.SubmitRequest(job_id="shot"), told, 0.0)
    job.tell(pb.JobEvent(frame_ready=pb.FrameReady(index=7)))
    job.tell(pb.JobEvent(finished=pb.Finished()))

    async def heard(first):
        return [event.number async for event in job.watch(first)]

    assert asyncio.run(heard(4)) == [4, 5]
    assert asyncio.run(heard(2)) == [3, 4, 5]
    assert job.described().events == 6


def test_a_drain_does_not_wait_for_jobs_that_ended_before_a_restart():
    """Whoever still wants their frames comes back and says so."""
    ready = pb.JobEvent(frame_ready=pb.FrameReady(image=pb.Image(digest="a")))
    end = pb.JobEvent(number=1, finished=pb.Finished())
    ended, running = (
        Job.restored(pb.SubmitRequest(job_id="shot"), events, 5.0)
        for events in ([ready, end], [ready])
    )

    assert ended.unwatched_seconds() == float("inf")
    assert ended.ended_at == 5.0
    assert running.unwatched_seconds() < 60


def test_damaged_journals_do_not_keep_a_server_from_starting(tmp_path, caplog):
    """One line each; the other jobs and the next shot go on."""
    store, jobs = StoreConfig(folder=tmp_path), tmp_path / "jobs"
    journal = JobJournal(jobs)
    frame = pb.ClipFrame(plate=pb.Image(digest="not a digest"))
    journal.begin(pb.SubmitRequest(job_id="spoiled", frames=[frame]))
    (jobs / "7").write_bytes(bytes(4096))

    with (
        serving(FakeEngine(), store=store) as address,
        InpaintClient(address) as client,
    ):
        left = list(jobs.iterdir())
        assert list(dict(client.inpaint([PLATE], [MASK]))) == [0]

    assert not left
    assert "job spoiled was damaged on disk and is forgotten: 'not a digest'" in caplog.text
    assert f"no job can be read from {jobs / '7'}" in caplog.text


def test_a_restart_keeps_a_jobs_turn_and_its_room(tmp_path):
    """What had begun goes on first, and the store stays under its limit."""
    rng = np.random.default_rng(0)
    store = StoreConfig(folder=tmp_path, gigabytes=1.3e-3)
    engine = FakeEngine()
    engine.hold.clear()
    with (
        serving(engine, store=store) as address,
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        sent = [
            client.send(rng.random((96, 96, 3), np.float32), np.ones((96, 96), np.bool_))
            for _ in range(4)
        ]
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        for name in ("first", "second"):
            frames = sent if name == "first" else sent[:1]
            stub.Submit(pb.SubmitRequest(job_id=name, frames=frames, client="artist"))
        engine.held_at = 1  # the first goes on after the second has come
        watch = stub.Watch(pb.WatchRequest(job_id="first"))
        next(event for event in watch if event.HasField("frame_ready"))
    with (
        serving(engine, store=store) as address,
        grpc.insecure_channel(address) as channel,
    ):
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        jobs = stub.GetStatus(pb.GetStatusRequest()).jobs
        # Of 1.3 MB: 0.44 plates, 0.11 the frame that is done, 0.44 what is still to come.
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        code, _ = refusal(lambda: upload(plates, bytes(500_000)))

    assert [(job.job_id, job.progress.frames_done) for job in jobs] == [("first", 1), ("second", 0)]
    assert jobs[0].state == pb.RUNNING
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("told_since", [False, True])
def test_a_job_that_was_cancelled_stays_so_whatever_happens_to_the_server(tmp_path, told_since):
    """It is killed before the job has stopped: no GPU works on what an artist has given up."""
    store, engine = StoreConfig(folder=tmp_path), DeafEngine()
    engine.hold.clear()
    with (
        server(engine, store=store) as (address, running),
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        stub, sent = inpaint_pb2_grpc.InpaintStub(channel), client.send(PLATE, MASK)
        stub.Submit(pb.SubmitRequest(job_id="shot", frames=[sent]))
        stub.Cancel(pb.CancelRequest(job_id="shot"))
        assert running.workers.all[0].job_id == "shot"
    if told_since:
        journal = JobJournal(tmp_path / "jobs")
        assert [job.job_id for job in journal.read()] == ["shot"]
        journal.add("shot", pb.JobEvent(number=1, notice=pb.Notice(message="still at it")))

    with serving(engine, store=store) as address, grpc.insecure_channel(address) as channel:
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        events = list(stub.Watch(pb.WatchRequest(job_id="shot"), timeout=20))

    kinds = ["queued", *(["notice"] if told_since else []), "finished"]
    assert [event.WhichOneof("event") for event in events] == kinds
    assert [event.number for event in events] == list(range(len(kinds)))
    assert events[-1].finished.outcome == pb.Finished.CANCELLED


def test_ended_jobs_expire_with_their_frames(tmp_path):
    """What nobody has asked for in three days is not kept, be the disk as large as it may."""
    store = StoreConfig(folder=tmp_path, expire_hours=72)
    with serving(FakeEngine(), store=store) as address, InpaintClient(address) as client:
        dict(client.inpaint([PLATE], [MASK]))
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"]
    for path in kept:
        os.utime(path, (time.time() - 73 * 3600,) * 2)

    with serving(FakeEngine(), store=store):
        eventually(lambda: not any(path.exists() for path in kept))
    assert len(kept) == 4


def test_a_disk_that_deletes_nothing_for_a_moment_ends_neither_housekeeping_nor_jobs(
    tmp_path, monkeypatch, caplog
):
    """It is read-only for a minute: the log says so, jobs go on, what expires later goes."""
    monkeypatch.setattr(app, "HOUSEKEEPING_SECONDS", 0.05)
    read_only, unlink = threading.Event(), Path.unlink

    def unlinking(path, missing_ok=False):
        if read_only.is_set() and path.is_relative_to(tmp_path):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlinking)
    store, now = StoreConfig(folder=tmp_path, expire_hours=72), time.time
    limits = LimitsConfig(kept_jobs=1)
    with (
        serving(FakeEngine(), store=store, limits=limits) as address,
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        stub, sent = inpaint_pb2_grpc.InpaintStub(channel), client.send(PLATE, MASK)
        read_only.set()
        for name in "abc":
            stub.Submit(pb.SubmitRequest(job_id=name, frames=[sent]))
        list(stub.Watch(pb.WatchRequest(job_id="c"), timeout=30))
        monkeypatch.setattr(time, "time", lambda: now() + 73 * 3600)
        told = "what nobody needs cannot be deleted now: [Errno 30] Read-only file system"
        eventually(lambda: caplog.text.count(told) > 3)  # a few rounds
        read_only.clear()

        eventually(lambda: not [path for path in tmp_path.iterdir() if len(path.name) == 64])


@pytest.mark.parametrize("told_by", ["the clock", "a frame"])
def test_a_disk_that_others_fill_while_a_job_runs_is_made_room_on(tmp_path, monkeypatch, told_by):
    """What nobody needs goes before a frame of the job that runs cannot be written."""
    engine, usage = FakeEngine(), shutil.disk_usage
    engine.held_at = 1
    engine.hold.clear()
    monkeypatch.setattr(app, "HOUSEKEEPING_SECONDS", 0.05 if told_by == "the clock" else 600)
    with (
        server(engine, store=StoreConfig(folder=tmp_path)) as (address, running),
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        stub, idle = inpaint_pb2_grpc.InpaintStub(channel), client.send(PLATE / 4, MASK)
        sent = client.send(PLATE, MASK)
        stub.Submit(pb.SubmitRequest(job_id="shot", frames=[sent] * 3))
        eventually(lambda: running.scheduler.frames_completed)
        full = usage(tmp_path)._replace(free=0)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: full)

        if told_by == "a frame":
            engine.hold.set()
        eventually(lambda: not (tmp_path / idle.plate.digest).exists())

        engine.hold.set()
        end = list(stub.Watch(pb.WatchRequest(job_id="shot"), timeout=30))[-1]
    assert end.finished.outcome == pb.Finished.COMPLETED


def test_what_cannot_be_deleted_refuses_an_upload_and_keeps_the_account(tmp_path, monkeypatch):
    """A full store on such a disk: the client hears why, and nothing is counted twice."""
    name = codec.digest(b"idle")
    (tmp_path / name).write_bytes(bytes(100))
    store = PlateStore(tmp_path, limit_bytes=100, expire_seconds=1e9)

    def unlinking(path, missing_ok=False):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlinking)
        with pytest.raises(StoreFullError, match="no room in its store: Read-only"):
            store.reserve(100)
    store.reserve(100)

    assert store.used_bytes == 0


# Models and the administrator


@contextlib.contextmanager
def administered(tmp_path, engine=None, **settings):
    models = tmp_path / "models"
    models.mkdir(exist_ok=True)
    for name in ("sharp", "broken"):
        (models / f"{name}.safetensors").touch()
    settings["models"] = models
    tokens = tmp_path / "admins"
    tokens.write_text(f"# who may\nboss {TOKEN}\n")
    tokens.chmod(0o600)
    token = tmp_path / "token"
    token.write_text(TOKEN)
    with (
        server(
            engine or FakeEngine(), security=SecurityConfig(admin_tokens=tokens), **settings
        ) as (address, running),
        open_channel(address, Access(token_file=token)) as channel,
    ):
        yield inpaint_pb2_grpc.AdminStub(channel), address, running


def test_models_are_loaded_chosen_and_let_go(tmp_path):
    """An operator changes weights without a restart."""
    with administered(tmp_path) as (admin, address, _):
        default = admin.ListModels(pb.ListModelsRequest(), timeout=30).default
        loaded = admin.LoadModel(pb.LoadModelRequest(name="sharp"), timeout=30)
        chosen = admin.SetDefaultModel(pb.SetDefaultModelRequest(name="sharp"), timeout=30)
        left = admin.UnloadModel(pb.UnloadModelRequest(name=default), timeout=30)
        with InpaintClient(address) as client:
            sharp = Wishes(model="sharp")
            assert list(dict(client.inpaint([PLATE], [MASK], wishes=sharp))) == [0]
        with InpaintClient(address) as client, pytest.raises(JobError) as refused:
            dict(client.inpaint([PLATE], [MASK], wishes=Wishes(model=default)))

    assert sorted(loaded.loaded) == sorted([default, "sharp"])
    assert sorted(loaded.available) == ["broken", "sharp"]
    assert chosen.default == "sharp"
    assert list(left.loaded) == ["sharp"]
    assert "is not loaded; loaded are sharp" in str(refused.value)


def test_a_load_that_fails_changes_nothing(tmp_path):
    """What was served before goes on."""
    with administered(tmp_path) as (admin, address, _):
        before = admin.ListModels(pb.ListModelsRequest(), timeout=30)
        for name in ("broken", "missing", "../tokens", ""):
            code, _ = refusal(
                lambda name=name: admin.LoadModel(pb.LoadModelRequest(name=name), timeout=30)
            )
            assert code is grpc.StatusCode.FAILED_PRECONDITION
        after = admin.ListModels(pb.ListModelsRequest(), timeout=30)
        with InpaintClient(address) as client:
            assert list(dict(client.inpaint([PLATE], [MASK]))) == [0]

    assert before == after


def test_what_there_is_of_many_models_is_told_briefly(tmp_path):
    """A folder of weights adapted to shots: a list of them all is more than gRPC delivers."""
    with administered(tmp_path) as (admin, _, _):
        for number in range(600):
            (tmp_path / "models" / f"show_sh{number:04}_adapted.safetensors").touch()

        code, told = refusal(lambda: admin.LoadModel(pb.LoadModelRequest(name="typo"), timeout=30))

    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "no model 'typo' in the server's folder; there are broken, sharp, show_sh0000" in told
    assert told.endswith(", 582 more")


def test_the_default_model_cannot_be_let_go(tmp_path):
    """Jobs that name none would fail."""
    with administered(tmp_path) as (admin, _, _):
        default = admin.ListModels(pb.ListModelsRequest(), timeout=30).default

        code, told = refusal(
            lambda: admin.UnloadModel(pb.UnloadModelRequest(name=default), timeout=30)
        )

    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "choose another default first" in told


def test_models_are_there_again_after_a_process_died(tmp_path):
    """A restart holds what was loaded before it."""
    with administered(tmp_path) as (admin, address, running):
        admin.LoadModel(pb.LoadModelRequest(name="sharp"), timeout=30)
        kill(running.workers.all[0])
        with InpaintClient(address) as client:
            completed = dict(client.inpaint([PLATE], [MASK], wishes=Wishes(model="sharp")))

    assert list(completed) == [0]


@pytest.fixture
def soon(monkeypatch):
    """Processes are started again without patience."""
    monkeypatch.setattr(workers, "RESTART_SECONDS", (0.02,))


def load_of(worker, name):
    """What came of a model that a process was told to load, or will; None where it was not."""
    return next((answer for key, answer in worker.models.items() if key.startswith(name)), None)


def kill(worker):
    os.kill(worker.process.pid, signal.SIGKILL)


def test_a_device_comes_back_when_its_weights_can_be_read_again(tmp_path, soon):
    """A file server that was away for a minute does not cost a GPU until the next restart."""
    weights, away = tmp_path / "base.safetensors", tmp_path / "away"
    weights.touch()
    with server(FakeEngine(), weights=weights) as (_, running):
        (worker,) = running.workers.all
        weights.rename(away)
        kill(worker)
        eventually(lambda: worker.restarts > 1)
        away.rename(weights)

        eventually(lambda: worker.ready)


def test_a_device_does_not_come_back_without_a_model_that_jobs_name(tmp_path, soon):
    """They were accepted, and would fail: they wait until its file can be read again."""
    with administered(tmp_path) as (admin, address, running), InpaintClient(address) as client:
        (worker,) = running.workers.all
        admin.LoadModel(pb.LoadModelRequest(name="sharp"), timeout=30)
        sharp, away = tmp_path / "models" / "sharp.safetensors", tmp_path / "away"
        sharp.rename(away)
        kill(worker)
        eventually(lambda: worker.restarts > 1)
        told = worker.error
        away.rename(sharp)

        assert list(dict(client.inpaint([PLATE], [MASK], wishes=Wishes(model="sharp")))) == [0]
    assert told == f"{sharp} is not a checkpoint"


def test_a_device_whose_process_cannot_be_started_is_tried_again(monkeypatch, soon):
    """The machine is out of memory for a minute."""
    with server(FakeEngine()) as (_, running):
        (worker,) = running.workers.all
        told = []

        def spawning(*arguments):
            if len(told) == 2:
                return ModelProcess(*arguments)
            told.append(worker.error)
            raise OSError(errno.ENOMEM, "Cannot allocate memory")

        monkeypatch.setattr(workers, "ModelProcess", spawning)
        kill(worker)

        eventually(lambda: worker.restarts == 3 and worker.ready)
    assert told[1] == "no model process can be started: [Errno 12] Cannot allocate memory"


def test_another_default_chosen_while_a_device_starts_does_not_lose_it(tmp_path, soon):
    """It takes jobs once it holds all it was told to, whichever of them is the default."""
    engine = FakeEngine()
    with administered(tmp_path, engine) as (admin, _, running):
        (worker,) = running.workers.all
        (tmp_path / "models" / "slow.safetensors").touch()
        first = admin.LoadModel(pb.LoadModelRequest(name="slow"), timeout=30).default
        admin.SetDefaultModel(pb.SetDefaultModelRequest(name="slow"), timeout=30)
        engine.loads.clear()
        kill(worker)
        eventually(lambda: worker.restarts and load_of(worker, first))
        eventually(load_of(worker, first).done)
        admin.SetDefaultModel(pb.SetDefaultModelRequest(name=first), timeout=30)
        engine.loads.set()

        eventually(lambda: worker.ready)


def test_a_device_that_cannot_start_says_why(caplog, soon):
    """The operator reads that a GPU fell off its bus, and not only that it is down."""
    engine = FakeEngine()
    with server(engine) as (_, running):
        (worker,) = running.workers.all
        engine.device.clear()
        kill(worker)
        eventually(lambda: worker.restarts > 1)
        told = worker.described().error
        engine.device.set()
        eventually(lambda: worker.ready)

    assert told == "CUDA error: device is lost"
    assert worker.described().error == ""
    assert "fake: CUDA error: device is lost; it is started again" in caplog.text


def test_what_a_killed_process_was_writing_is_deleted(tmp_path, soon):
    """It is in nobody's account, and would fill the disk death by death."""
    with server(FakeEngine(), store=StoreConfig(folder=tmp_path)) as (_, running):
        (worker,) = running.workers.all
        half = tmp_path / f"{'0' * 64}.{worker.process.pid}.3.new"
        half.write_bytes(b"half a frame")
        kill(worker)
        eventually(lambda: worker.restarts and worker.ready)

        assert not half.exists()


def test_a_process_that_does_not_go_holds_nobody_up(monkeypatch, soon):
    """A driver may keep a killed process for seconds; artists are answered meanwhile."""
    gone, end = threading.Event(), ModelProcess.end
    with server(FakeEngine()) as (address, running), grpc.insecure_channel(address) as channel:
        (worker,) = running.workers.all
        monkeypatch.setattr(ModelProcess, "end", lambda self: (gone.wait(20), end(self)))
        kill(worker)
        eventually(lambda: worker.restarts)

        status = inpaint_pb2_grpc.InpaintStub(channel).GetStatus(pb.GetStatusRequest(), timeout=10)

        gone.set()
        eventually(lambda: worker.ready)
    assert not status.workers[0].alive


def test_a_process_that_is_being_ended_is_given_no_job(monkeypatch, soon):
    """Its last word may come first; whoever is next would die with it. Nor is it called up."""
    engine, limits, end = DeafEngine(), LimitsConfig(stop_seconds=0.1), ModelProcess.kill
    monkeypatch.setattr(ModelProcess, "kill", lambda self: None)  # a driver keeps it
    engine.hold.clear()
    with (
        server(engine, limits=limits) as (address, running),
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        stub, sent = inpaint_pb2_grpc.InpaintStub(channel), client.send(PLATE, MASK)
        for name in ("deaf", "next"):
            stub.Submit(pb.SubmitRequest(job_id=name, frames=[sent]))
        stub.Cancel(pb.CancelRequest(job_id="deaf"))
        (worker,) = running.workers.all
        eventually(lambda: not worker.up)
        engine.hold.set()
        list(stub.Watch(pb.WatchRequest(job_id="deaf"), timeout=30))
        health = health_pb2_grpc.HealthStub(channel)
        not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
        eventually(lambda: health.Check(health_pb2.HealthCheckRequest()).status == not_serving)
        status = stub.GetStatus(pb.GetStatusRequest())
        end(worker.process)
        events = list(stub.Watch(pb.WatchRequest(job_id="next"), timeout=30))

    assert [(job.job_id, job.state) for job in status.jobs] == [("next", pb.WAITING)]
    assert not status.workers[0].alive
    assert "did not stop the cancelled job deaf" in status.workers[0].error
    assert not any(event.HasField("notice") for event in events)
    assert events[-1].finished.outcome == pb.Finished.COMPLETED


@contextlib.contextmanager
def busy(address, engine):
    """A job holds one device while the block lasts; how to submit more."""
    engine.hold.clear()
    with InpaintClient(address) as client, grpc.insecure_channel(address) as channel:
        sent = client.send(PLATE, MASK)
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        stub.Submit(pb.SubmitRequest(job_id="busy", frames=[sent]))
        yield stub, sent
        engine.hold.set()


def test_two_who_load_one_model_are_both_answered(tmp_path):
    """Two operators, or one who asks again."""
    engine = FakeEngine()
    with administered(tmp_path, engine) as (admin, address, running):
        load, heard = running.workers.load, []
        running.workers.load = lambda name: heard.append(name) or load(name)
        with busy(address, engine):
            asked = pb.LoadModelRequest(name="sharp")
            calls = [admin.LoadModel.future(asked, timeout=30) for _ in "ab"]
            eventually(lambda: heard == ["sharp"] * 2)

        assert ["sharp" in call.result().loaded for call in calls] == [True, True]


def test_a_load_whose_caller_gave_up_is_known_when_it_is_there(tmp_path):
    """What takes memory can be seen and let go."""
    engine = FakeEngine()
    with administered(tmp_path, engine) as (admin, address, running):
        (worker,) = running.workers.all
        with busy(address, engine):
            call = admin.LoadModel.future(pb.LoadModelRequest(name="sharp"), timeout=30)
            eventually(lambda: load_of(worker, "sharp"))
            call.cancel()

        eventually(lambda: "sharp" in admin.ListModels(pb.ListModelsRequest(), timeout=30).loaded)
        left = admin.UnloadModel(pb.UnloadModelRequest(name="sharp"), timeout=30)
    assert call.cancelled()
    assert "sharp" not in left.loaded


def test_all_devices_hold_the_same_weights_under_a_name(tmp_path, soon, monkeypatch):
    """A reload that only one GPU has room for, a file written over: no shot gets two looks."""
    at_once = ModelProcess.kill

    def slowly(process):
        os.kill(process.pid, signal.SIGSTOP)
        Timer(0.5, at_once, [process]).start()

    weights, name = tmp_path / "sharp.safetensors", pb.LoadModelRequest(name="sharp")
    weights.write_text("0.1")
    security = SecurityConfig(admin_tokens=token_file(tmp_path / "admins", f"boss {TOKEN}"))
    config = ServerConfig(
        address="localhost:0",
        device="auto",
        weights=weights,
        models=tmp_path / "models",  # which the default need not lie in
        security=security,
    )
    access = Access(token_file=token_file(tmp_path / "token", TOKEN))
    with (
        server_of(config, NumberModels) as (address, running),
        open_channel(address, access) as channel,
        InpaintClient(address) as client,
    ):
        sent, stub = client.send(PLATE, MASK), inpaint_pb2_grpc.InpaintStub(channel)
        admin, second = inpaint_pb2_grpc.AdminStub(channel), running.workers.all[1]
        jobs = itertools.count()

        def made_by_both(number):
            names = [f"{number} {next(jobs)}" for _ in "ab"]
            for job_id in names:
                stub.Submit(pb.SubmitRequest(job_id=job_id, frames=[sent]))
            events = [
                event for job_id in names for event in stub.Watch(pb.WatchRequest(job_id=job_id))
            ]
            made = [each.frame_ready.image for each in events if each.HasField("frame_ready")]
            image, _ = codec.encode_image(np.full_like(PLATE, number), ("R", "G", "B"))
            return made == [image] * 2

        assert made_by_both(0.1)
        weights.write_text("0.95")
        code, told = refusal(lambda: admin.LoadModel(name, timeout=30))
        assert (code, told) == (grpc.StatusCode.FAILED_PRECONDITION, "CUDA out of memory")
        assert made_by_both(0.1)

        weights.write_text("0.5")
        monkeypatch.setattr(ModelProcess, "kill", slowly)  # it answers no more, and is not gone yet
        kill(second)
        eventually(lambda: "is not the file any more that other devices hold" in second.error)
        admin.LoadModel(name, timeout=30)
        eventually(lambda: second.ready)
        assert made_by_both(0.5)


def test_the_only_device_takes_what_is_there_of_a_file_that_was_written_over(
    tmp_path, soon, caplog
):
    """Nothing else holds the old weights: it serves, and the log says with what."""
    weights = tmp_path / "sharp.safetensors"
    weights.write_text("0.1")
    config = ServerConfig(address="localhost:0", device="cpu", weights=weights)
    with server_of(config, NumberModels) as (
        _,
        running,
    ):
        (worker,) = running.workers.all
        weights.write_text("0.5")
        kill(worker)
        eventually(lambda: worker.restarts and worker.ready)

    assert worker.restarts == 1
    assert f"{weights} was written over: sharp is what is there now" in caplog.text


def test_a_model_that_does_not_fit_leaves_the_process_alive(tmp_path):
    """A GPU that runs out of memory fails the load, not the device."""
    with administered(tmp_path) as (admin, _, running):
        (tmp_path / "models" / "large.safetensors").touch()

        code, told = refusal(lambda: admin.LoadModel(pb.LoadModelRequest(name="large"), timeout=30))

        assert (code, told) == (grpc.StatusCode.FAILED_PRECONDITION, "CUDA out of memory")
        assert running.workers.all[0].restarts == 0


def test_a_device_that_restarts_during_a_load_gets_the_model_too(tmp_path, soon):
    """Whichever device takes a job holds what was loaded."""
    engine = FakeEngine()
    with administered(tmp_path, engine, device="cpu,cpu") as (admin, address, running):
        with busy(address, engine) as (stub, sent):
            eventually(lambda: any(worker.job_id for worker in running.workers.all))
            (idle,) = [worker for worker in running.workers.all if worker.job_id is None]
            load = admin.LoadModel.future(pb.LoadModelRequest(name="sharp"), timeout=30)
            eventually(lambda: load_of(idle, "sharp"))
            eventually(load_of(idle, "sharp").done)
            kill(idle)
            eventually(lambda: idle.restarts and idle.ready)
        assert "sharp" in load.result().loaded

        with busy(address, engine) as (stub, sent):
            for name in "ab":
                stub.Submit(pb.SubmitRequest(job_id=name, frames=[sent], model="sharp"))
            eventually(lambda: all(worker.job_id for worker in running.workers.all))
            engine.hold.set()
            ends = [list(stub.Watch(pb.WatchRequest(job_id=name)))[-1].finished for name in "ab"]

    assert [end.outcome for end in ends] == [pb.Finished.COMPLETED] * 2


def test_a_model_that_jobs_name_is_not_let_go(tmp_path):
    """They were accepted, and would fail."""
    engine = FakeEngine()
    with administered(tmp_path, engine) as (admin, address, _):
        admin.LoadModel(pb.LoadModelRequest(name="sharp"), timeout=30)
        with busy(address, engine) as (stub, sent):
            stub.Submit(pb.SubmitRequest(job_id="waits", frames=[sent], model="sharp"))
            let_go = pb.UnloadModelRequest(name="sharp")
            code, told = refusal(lambda: admin.UnloadModel(let_go, timeout=30))
            engine.hold.set()
            end = list(stub.Watch(pb.WatchRequest(job_id="waits")))[-1].finished
        left = admin.UnloadModel(let_go, timeout=30)

    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "sharp is named by jobs that run or wait (1, such as waits)" in told
    assert end.outcome == pb.Finished.COMPLETED
    assert "sharp" not in left.loaded


@pytest.mark.parametrize(
    ("models_are", "outcome", "told"),
    [
        ("there", pb.Finished.COMPLETED, ""),
        ("gone", pb.Finished.FAILED, "no model 'sharp' in the server's folder"),
        ("on a share that fails", pb.Finished.FAILED, "Stale file handle"),
    ],
)
def test_a_restarted_server_loads_what_waiting_jobs_name(
    tmp_path, monkeypatch, models_are, outcome, told
):
    """A job that was accepted is carried out, or ends with a reason where the file is gone."""
    engine = FakeEngine()
    store = StoreConfig(folder=tmp_path / "store")
    with administered(tmp_path, engine, store=store) as (admin, address, _):
        admin.LoadModel(pb.LoadModelRequest(name="sharp"), timeout=30)
        engine.hold.clear()
        with InpaintClient(address) as client, grpc.insecure_channel(address) as channel:
            frames = [client.send(PLATE, MASK)]
            stub = inpaint_pb2_grpc.InpaintStub(channel)
            stub.Submit(pb.SubmitRequest(job_id="shot", frames=frames, model="sharp"))
    engine.hold.set()
    models = tmp_path / "models"
    if models_are == "gone":
        (models / "sharp.safetensors").unlink()
    elif models_are != "there":
        stale = OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        monkeypatch.setattr(workers.Workers, "available", Mock(side_effect=stale))
    with (
        server(engine, store=store, models=models) as (address, _),
        grpc.insecure_channel(address) as channel,
    ):
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        end = list(stub.Watch(pb.WatchRequest(job_id="shot")))[-1].finished

    assert end.outcome == outcome
    assert told in end.message


def test_a_restarted_server_answers_while_it_loads_what_waiting_jobs_name(tmp_path, soon):
    """Weights on a slow disk, and a device that falls meanwhile: clients hear that their job waits,
    and it is carried out in the end."""
    engine, store, models = FakeEngine(), tmp_path / "store", tmp_path / "models"
    for folder in (store, models):
        folder.mkdir()
    (models / "slow.safetensors").touch()
    JobJournal(store / "jobs").begin(
        pb.SubmitRequest(job_id="shot", model="slow", frames=[uploaded(store)])
    )
    engine.loads.clear()
    with (
        server(engine, store=StoreConfig(folder=store), models=models) as (address, running),
        grpc.insecure_channel(address) as channel,
    ):
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        (worker,) = running.workers.all
        state = stub.Get(pb.GetRequest(job_id="shot"), timeout=30).state
        eventually(lambda: load_of(worker, "slow"))
        kill(worker)
        eventually(lambda: worker.restarts)
        engine.loads.set()
        end = list(stub.Watch(pb.WatchRequest(job_id="shot"), timeout=30))[-1].finished

    assert state == pb.WAITING
    assert end.outcome == pb.Finished.COMPLETED


def uploaded(folder):
    """A frame whose contents lie in a store's folder."""
    images = []
    for pixels, channels in (
        (PLATE, ("R", "G", "B")),
        (MASK[..., np.newaxis].astype(np.uint8), ("A",)),
    ):
        image, content = codec.encode_image(pixels, channels)
        (folder / image.digest).write_bytes(content)
        images.append(image)
    return pb.ClipFrame(plate=images[0], mask=images[1])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("drain", "unix:other.sock"), "drain takes no name, got unix:other.sock; write --address"),
        (("unload",), "unload wants the name of a model"),
        (("cancel",), "cancel wants the name of a job"),
    ],
)
def test_the_admin_command_does_nothing_where_a_name_is_missing_or_too_many(
    tmp_path, arguments, told
):
    """Operators who write an address where `status` takes one: it drained the server that listens
    at the default address."""
    with administered(tmp_path) as (_, default, running):
        with pytest.raises(ServerError, match=told):
            admin(*arguments, address=default, access=Access(token_file=tmp_path / "token"))

        assert not running.asked_to_drain.is_set()


def test_capabilities_and_drain_are_the_administrators(tmp_path):
    """What a monitoring script reads, and the polite way to stop."""
    with administered(tmp_path) as (admin, _, running):
        told = admin.GetCapabilities(pb.GetCapabilitiesRequest(), timeout=30)
        drained = admin.Drain(pb.DrainRequest(), timeout=30)

    assert (told.chunk_bytes, told.raster_multiple) == (2**20, 48)
    assert drained.jobs == 0
    assert running.asked_to_drain.is_set()


def test_check_tells_a_fit_machine_from_another(capsys, tmp_path):
    """Before the unit file is written."""
    fit = check(
        ServerConfig(
            address=f"unix:{tmp_path}/s.sock", device="cpu", store=StoreConfig(gigabytes=1e-3)
        )
    )
    told = capsys.readouterr().out
    unfit = check(
        ServerConfig(
            address=f"unix:{tmp_path}/nowhere/s.sock",
            device="cuda:63",
            store=StoreConfig(gigabytes=1e9),
        )
    )
    complaints = capsys.readouterr().out

    assert fit == 0
    assert "frames/s at 432x240" in told
    (precision,) = (line for line in told.splitlines() if "precision" in line)
    assert precision.startswith("ok    precision ")
    assert f"device cpu, {precision.split()[2]}, weights" in told
    assert "in bfloat16 as in float32" in precision or "no bfloat16 instructions" in precision
    assert unfit == 1
    assert complaints.count("FAIL") == 3
    assert io.StringIO(complaints).readlines()[-1] == "not fit to serve\n"


def test_ctrl_c_during_a_check_is_one_line(capsys, monkeypatch):
    """An administrator who forgot a flag."""
    monkeypatch.setattr("sys.argv", ["sttn-server", "--check"])
    monkeypatch.setattr("server.check.check", lambda _: signal.raise_signal(signal.SIGINT))

    with pytest.raises(SystemExit) as ended:
        main()

    assert (ended.value.code, capsys.readouterr().err) == (130, "sttn-server: interrupted\n")


def test_check_tells_a_gpu_that_others_fill(capsys, tmp_path, monkeypatch):
    """Another program holds its memory: a line, like all the rest, and none of a debugger's."""

    def full(*_):
        raise RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`")

    monkeypatch.setattr("server.models.load_generator", full)

    check(ServerConfig(address=f"unix:{tmp_path}/s.sock", store=StoreConfig(gigabytes=1e-3)))

    assert capsys.readouterr().out.splitlines()[-2:] == [
        "FAIL  CUDA error: out of memory",
        "not fit to serve",
    ]


def test_check_counts_what_the_store_holds_already(capsys, tmp_path, monkeypatch):
    """A server that has run for months is as fit as on its first day."""
    (tmp_path / ("0" * 64)).write_bytes(bytes(2000))
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))

    for gigabytes in (1e-6, 1e-3):
        store = StoreConfig(folder=tmp_path, gigabytes=gigabytes)
        check(ServerConfig(address=f"unix:{tmp_path}/s.sock", store=store, device="cuda:63"))

    lines = [line for line in capsys.readouterr().out.splitlines() if "store" in line]
    assert [line.split()[0] for line in lines] == ["ok", "FAIL"]


def test_check_looks_at_the_port_of_the_metrics(capsys, tmp_path):
    """What else would be noticed at the start, in the middle of the night."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics = f"127.0.0.1:{taken.getsockname()[1]}"
        check(
            ServerConfig(
                address=f"unix:{tmp_path}/s.sock", metrics_address=metrics, device="cuda:63"
            )
        )

    assert f"FAIL  cannot listen on {metrics}: Address already in use" in capsys.readouterr().out
