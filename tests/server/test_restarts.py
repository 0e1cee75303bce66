"""Whatever is killed, a client finishes without a person."""

import os
import queue
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import grpc
import numpy as np
import psutil
import pytest

from node.client import SENDERS, InpaintClient
from node.connection import Connection, Patience, never
from node.errors import CancelledError, JobError, ServerLostError
from server import plates as server_plates
from server.config import StoreConfig
from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from tests.conftest import eventually, server, serving
from tests.server.engines import DyingEngine, FakeEngine, LostEngine
from tests.server.process import server_process

FRAMES = 8
SIZE = 384


def clip():
    """Plates large enough that sending and fetching one takes a while."""
    rng = np.random.default_rng(0)
    plates = rng.random((FRAMES, SIZE, SIZE, 3), np.float32)
    masks = np.zeros((FRAMES, SIZE, SIZE), np.bool_)
    masks[:, 100:200, 100:200] = True
    return plates, masks


def require_completed(results, plates, masks):
    assert list(results) == list(range(len(plates)))
    for index, frame in results.items():
        expected = np.where(masks[index, ..., np.newaxis], np.float32(0.25), plates[index])
        np.testing.assert_array_equal(frame, expected)


class Artist(threading.Thread):
    """Completes a clip, and does nothing when something breaks."""

    def __init__(self, address):
        super().__init__()
        self._address = address
        self.results = {}
        self.sent = threading.Event()
        self.error = None

    def run(self):
        plates, masks = clip()
        try:
            with InpaintClient(self._address, connect_seconds=40, patience_seconds=40) as client:
                for index, frame in client.inpaint(plates, masks, progress=self.told):
                    self.results[index] = frame
        except Exception as error:
            self.error = error

    def told(self, stage, done, total):
        self.sent.set()


@pytest.mark.slow
@pytest.mark.parametrize("keeps", [True, False], ids=["lasting store", "temporary store"])
@pytest.mark.parametrize(
    "reached",
    [
        lambda artist: artist.sent.is_set(),
        lambda artist: len(artist.results) >= 3,
    ],
    ids=["sending", "completing"],
)
def test_a_server_killed_and_started_again(tmp_path, keeps, reached):
    """kill -9 at night: the farm's job is there in the morning, whatever the store."""
    address = f"unix:{tmp_path}/s.sock"
    log = tmp_path / "log"
    options = ["--store", str(tmp_path / "store")] if keeps else []
    with server_process(address, log, "--seconds", "0.1", *options) as process:
        artist = Artist(address)
        artist.start()
        while not reached(artist) and artist.is_alive():
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    with server_process(address, log, "--seconds", "0.02", *options):
        artist.join(120)

    assert artist.error is None
    require_completed(artist.results, *clip())


@pytest.mark.slow
def test_a_server_killed_again_and_again_at_any_moment(tmp_path):
    """Uploads, jobs and downloads are cut wherever it falls; no frame is lost or damaged."""
    address, log = f"unix:{tmp_path}/s.sock", tmp_path / "log"
    rng = np.random.default_rng(1)
    artist = Artist(address)
    deaths = 0
    while deaths < 3:
        with server_process(address, log, "--store", str(tmp_path / "store")) as process:
            if not deaths:
                artist.start()
            time.sleep(rng.uniform(0.02, 0.3))
            process.send_signal(signal.SIGKILL)
            deaths += 1
    with server_process(address, log, "--store", str(tmp_path / "store")):
        artist.join(120)

    assert artist.error is None
    require_completed(artist.results, *clip())


def test_patience_begins_when_something_breaks():
    """A job may wait longer than a broken connection may, and break after that."""

    class Broken(grpc.RpcError):
        def code(self):
            return grpc.StatusCode.UNAVAILABLE

        def details(self):
            return "connection reset"

    patience = Patience(SimpleNamespace(patience_seconds=0.3, address="farm:50071"), never)
    time.sleep(0.4)

    patience.after(Broken())
    time.sleep(0.4)
    with pytest.raises(ServerLostError, match="farm:50071"):
        patience.after(Broken())


def test_patience_begins_anew_once_the_connection_stood_again():
    """A job that waits all night, over a network that blinks twice."""
    engine = FakeEngine()
    engine.hold.clear()
    plates, masks = (each[:1] for each in clip())
    watches = queue.Queue()
    with (
        serving(engine) as address,
        InpaintClient(address, patience_seconds=0.4) as client,
        ThreadPoolExecutor(1) as artist,
    ):
        watch = client._server.inpaint.Watch

        def watching(request):
            watches.put(watch(request))
            return watches.queue[-1]

        client._server.inpaint.Watch = watching
        completed = artist.submit(lambda: dict(client.inpaint(plates, masks)))
        for _ in range(2):
            broken = watches.get(timeout=20)
            broken.initial_metadata()
            time.sleep(0.5)
            broken.cancel()
        watches.get(timeout=20)
        engine.hold.set()

        require_completed(completed.result(), plates, masks)


def test_a_download_that_stalls_is_given_up_at_once():
    """The artist hits Escape while the network is gone: nothing comes, and nothing breaks."""
    plates, masks = (each[:1] for each in clip())
    stopped = threading.Event()
    with serving(FakeEngine()) as address, InpaintClient(address) as client:
        stalled = Stalled()

        def stalling(request):
            stopped.set()
            return stalled

        client._server.plates.Download = stalling
        with pytest.raises(CancelledError):
            dict(client.inpaint(plates, masks, cancelled=stopped.is_set))

    assert stalled.given_up.is_set()


@pytest.mark.parametrize("silent", ["FindMissing", "Take"])
def test_an_interrupt_waits_for_no_frame_that_is_being_sent(tmp_path, silent):
    """Ctrl-C in a script whose server answers no more: three frames are on their way."""
    plates, masks = clip()
    address, calls = f"unix:{tmp_path}/s.sock", []

    def interrupting(*told):
        eventually(lambda: len(calls) == SENDERS - 1)
        raise KeyboardInterrupt

    with (
        serving(FakeEngine(), address=address, shared_memory=True) as address,
        InpaintClient(address, shared_memory=True) as client,
    ):
        stub, there = client._server.plates, client.send(plates[0], masks[0])
        answered = getattr(stub, silent)

        def call(request, timeout):
            if there.plate.digest in str(request):
                return answered.future(request, timeout=timeout)
            calls.append(Unanswered())
            return calls[-1]

        setattr(stub, silent, SimpleNamespace(future=call))
        with pytest.raises(KeyboardInterrupt):
            list(client.inpaint(plates, masks, progress=interrupting))

    assert all(each.given_up for each in calls)


def test_a_job_whose_last_events_a_restart_lost_is_asked_for_again():
    """After a power cut it tells fewer events than its client has heard, and then nothing."""
    plates, masks = (each[:2] for each in clip())
    with serving(FakeEngine()) as address, InpaintClient(address) as client:
        watch, watched = client._server.inpaint.Watch, []

        def watching(request):
            watched.append(request.job_id)
            if len(watched) == 1:
                return Cut(watch(request))
            if len(watched) == 2:
                request.first_event = 1000
            return watch(request)

        client._server.inpaint.Watch = watching
        results = dict(client.inpaint(plates, masks))

    require_completed(results, plates, masks)
    assert [watched.count(job_id) for job_id in dict.fromkeys(watched)] == [2, 1]


def test_a_job_that_is_asked_for_again_does_not_run_twice():
    """A frame that is gone on the disk: the GPU computes the rest of the clip once."""
    engine = FakeEngine()
    engine.held_at = 1
    engine.hold.clear()
    plates, masks = (each[:2] for each in clip())
    with server(engine) as (address, running), InpaintClient(address) as client:
        download, submit, jobs = client._server.plates.Download, client._server.inpaint.Submit, []
        stopped = []

        def losing(request):
            asked = pb.DownloadRequest(digest="0" * 64) if len(jobs) == 1 else request
            return download(asked)

        def submitting(request, **told):
            jobs.append(request.job_id)
            if len(jobs) == 2:
                stopped.append(running.scheduler.job(jobs[0]).cancel_reason)
                engine.hold.set()
            return submit.future(request, **told)

        client._server.plates.Download = losing
        client._server.inpaint.Submit = SimpleNamespace(future=submitting)
        results = dict(client.inpaint(plates, masks))

    require_completed(results, plates, masks)
    assert stopped == ["cancelled"]


def test_a_defect_while_listening_reaches_whoever_waits():
    """A channel that is closed while the artist's host waits: it hears so, and never hangs."""
    stream = Stalled()
    stream.initial_metadata = lambda: 1 / 0

    with pytest.raises(ZeroDivisionError):
        list(Connection.messages(stream, never))


@pytest.mark.parametrize("lost", [1, 2])
def test_a_frame_that_is_not_told_is_asked_for_again(lost):
    """A restart after a full disk: the journal lacks a line, and no clip comes back with a gap."""
    plates, masks = (each[:3] for each in clip())
    with serving(FakeEngine()) as address, InpaintClient(address) as client:
        watch, watched = client._server.inpaint.Watch, []

        def watching(request):
            watched.append(request.job_id)
            return watch(request) if len(watched) > 1 else Lossy(watch(request), lost)

        client._server.inpaint.Watch = watching
        results = dict(client.inpaint(plates, masks))

    require_completed(results, plates, masks)
    assert len(set(watched)) == 2


class Cut:
    """A watch that breaks after the first event."""

    def __init__(self, watch):
        self._watch = watch
        self.initial_metadata, self.cancel = watch.initial_metadata, watch.cancel

    def __iter__(self):
        yield next(iter(self._watch))
        self._watch.cancel()
        yield from self._watch


class Lossy:
    """A watch that says nothing of one frame."""

    def __init__(self, watch, lost):
        self._watch, self._lost = watch, lost
        self.initial_metadata, self.cancel = watch.initial_metadata, watch.cancel

    def __iter__(self):
        for event in self._watch:
            if not (event.HasField("frame_ready") and event.frame_ready.index == self._lost):
                yield event


class Unanswered:
    """A call that a server never answers; by itself it ends when a test has failed."""

    def __init__(self):
        self.given_up, self._until = False, time.monotonic() + 20

    def result(self, timeout):
        time.sleep(timeout)
        assert time.monotonic() < self._until
        raise grpc.FutureTimeoutError

    def cancel(self):
        self.given_up = True


class Stalled:
    """A stream of a server that says nothing more, until it is given up."""

    def __init__(self):
        self.given_up = threading.Event()

    def initial_metadata(self):
        return ()

    def __iter__(self):
        assert self.given_up.wait(60)
        yield from ()

    def cancel(self):
        self.given_up.set()


def test_a_download_goes_on_after_a_restart(tmp_path):
    """From the byte it had come to, against a new process."""
    address, store = f"unix:{tmp_path}/s.sock", tmp_path / "store"
    content = np.random.default_rng(2).bytes(5 * codec.CHUNK_BYTES)
    name = codec.digest(content)
    store.mkdir()
    (store / name).write_bytes(content)
    received = bytearray()

    def fetch(chunks):
        with grpc.insecure_channel(address) as channel:
            stub = inpaint_pb2_grpc.PlatesStub(channel)
            request = pb.DownloadRequest(digest=name, offset=len(received))
            for _, chunk in zip(range(chunks), stub.Download(request), strict=False):
                received.extend(codec.checked(chunk, len(received)))

    with server_process(address, tmp_path / "log", "--store", str(store)) as process:
        fetch(chunks=2)
        process.kill()
    with server_process(address, tmp_path / "log", "--store", str(store)):
        fetch(chunks=10)

    assert bytes(received) == content


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:100], lambda content: content[:100] + bytes(len(content) - 100)],
    ids=["cut short", "zeroed"],
)
def test_what_the_disk_damaged_is_sent_and_made_again(tmp_path, damage):
    """A power cut: names are there, their bytes are not. The artist just runs the shot again."""
    plates, masks = (each[:2] for each in clip())
    store = StoreConfig(folder=tmp_path / "store")
    for _ in range(2):
        with serving(FakeEngine(), store=store) as address, InpaintClient(address) as client:
            results = dict(client.inpaint(plates, masks))
        for path in store.folder.iterdir():
            if len(path.name) == 64:
                path.write_bytes(damage(path.read_bytes()))

    require_completed(results, plates, masks)


def test_what_somebody_deleted_from_the_store_is_sent_and_made_again(tmp_path):
    """An operator makes room by hand: until the next restart every shot whose plates had been there
    ended with "upload it first", however often it was started."""
    plates, masks = (each[:2] for each in clip())
    store = StoreConfig(folder=tmp_path / "store")
    with serving(FakeEngine(), store=store) as address, InpaintClient(address) as client:
        for _ in range(2):
            results = dict(client.inpaint(plates, masks))
            gone = [path for path in store.folder.iterdir() if path.is_file()]
            for path in gone:
                path.unlink()

    assert len(gone) > 4
    require_completed(results, plates, masks)


@pytest.mark.parametrize(
    "damage",
    [lambda content: content[:100], lambda content: bytes(len(content))],
    ids=["cut short", "zeroed"],
)
def test_a_waiting_job_whose_plates_the_disk_damaged_is_asked_for_again(
    tmp_path, monkeypatch, damage
):
    """It does not run on rotten pixels, and nobody waits until a night's jobs are read."""
    engine, store = FakeEngine(), StoreConfig(folder=tmp_path)
    engine.hold.clear()
    plates, masks = (each[0] for each in clip())
    with serving(engine, store=store) as address, InpaintClient(address) as client:
        sent = client.send(plates, masks)
        with grpc.insecure_channel(address) as channel:
            stub = inpaint_pb2_grpc.InpaintStub(channel)
            stub.Submit(pb.SubmitRequest(job_id="shot", frames=[sent]))
    engine.hold.set()
    plate = tmp_path / sent.plate.digest
    plate.write_bytes(damage(plate.read_bytes()))
    read, is_whole = [], server_plates.is_whole
    monkeypatch.setattr(
        server_plates, "is_whole", lambda *told: read.append(told) or is_whole(*told)
    )
    with (
        serving(engine, store=store) as address,
        grpc.insecure_channel(address) as channel,
        InpaintClient(address) as client,
    ):
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        stub.Submit(pb.SubmitRequest(job_id="another", frames=[sent]))
        ends = [list(stub.Watch(pb.WatchRequest(job_id=name)))[-1] for name in ("shot", "another")]
        read_before = list(read)
        again = list(client.complete([client.send(plates, masks)]))

    assert [end.finished.code for end in ends] == ["NOT_FOUND"] * 2
    assert not read_before
    assert len(again) == 1


def test_a_completed_frame_that_is_damaged_is_made_again(tmp_path):
    """Bits that rot while a job runs: no wrong pixel reaches the artist, and no person is asked."""
    plates, masks = (each[:2] for each in clip())
    store = StoreConfig(folder=tmp_path / "store")
    with serving(FakeEngine(), store=store) as address, InpaintClient(address) as client:
        download = client._server.plates.Download
        spoilt = []

        def spoiling(request):
            if not spoilt:
                spoilt.append(request.digest)
                path = store.folder / request.digest
                path.write_bytes(bytes(path.stat().st_size))
            return download(request)

        client._server.plates.Download = spoiling
        results = dict(client.inpaint(plates, masks))

    assert spoilt
    require_completed(results, plates, masks)


def test_a_model_process_that_is_killed_is_started_again(caplog):
    """The kernel's memory killer takes it: the job is told, goes on, and no frame comes twice."""
    engine = FakeEngine()
    engine.held_at = 3
    engine.hold.clear()
    plates, masks = clip()
    results, seen = {}, []
    with server(engine) as (address, running), InpaintClient(address) as client:
        for index, frame in client.inpaint(plates, masks):
            results[index] = frame
            seen.append(index)
            if index == 2:
                os.kill(running.workers.all[0].process.pid, signal.SIGKILL)
                engine.hold.set()
        with grpc.insecure_channel(address) as channel:
            status = inpaint_pb2_grpc.InpaintStub(channel).GetStatus(pb.GetStatusRequest())

    require_completed(results, plates, masks)
    assert seen == list(range(FRAMES))
    assert status.workers[0].restarts == 1
    assert status.workers[0].alive
    told = f"the server at {address}: the model process died (fake) and is started again"
    assert told in caplog.messages


def test_a_death_is_told_to_whoever_watches():
    """The server says so."""
    plates, masks = clip()
    with serving(DyingEngine()) as address, InpaintClient(address) as client:
        frames = [client.send(plates[0], masks[0]), client.send(plates[1], masks[1])]
        with grpc.insecure_channel(address) as channel:
            stub = inpaint_pb2_grpc.InpaintStub(channel)
            stub.Submit(pb.SubmitRequest(job_id="shot", frames=frames))
            events = list(stub.Watch(pb.WatchRequest(job_id="shot")))

    notices = [event.notice.message for event in events if event.WhichOneof("event") == "notice"]
    ready = [event.frame_ready.index for event in events if event.HasField("frame_ready")]
    assert notices == ["the model process died (fake) and is started again"]
    assert ready == [0, 1]
    assert events[-1].finished.outcome == pb.Finished.COMPLETED


def test_weights_that_were_replaced_under_a_job_are_told(tmp_path):
    """A farm that updates overnight: a shot half by either weights is seen before it is shown."""
    engine, weights = FakeEngine(), tmp_path / "sharp.safetensors"
    settings = {"store": StoreConfig(folder=tmp_path / "store"), "weights": weights}
    engine.held_at = 1
    engine.hold.clear()
    plates, masks = (each[:2] for each in clip())
    weights.write_bytes(b"old")
    with (
        serving(engine, **settings) as address,
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        frames = [client.send(plate, mask) for plate, mask in zip(plates, masks, strict=True)]
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        stub.Submit(pb.SubmitRequest(job_id="shot", frames=frames))
        events = stub.Watch(pb.WatchRequest(job_id="shot"))
        assert any(event.HasField("frame_ready") for event in events)

    weights.write_bytes(b"new")
    engine.hold.set()
    with serving(engine, **settings) as address, grpc.insecure_channel(address) as channel:
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        events = list(stub.Watch(pb.WatchRequest(job_id="shot")))

    notices = [event.notice.message for event in events if event.HasField("notice")]
    assert notices == ["sharp is other weights now than 1 of the frames were completed with"]
    ready = [event.frame_ready for event in events if event.HasField("frame_ready")]
    assert [(each.index, each.weights) for each in ready] == [
        (0, codec.digest(b"old")),
        (1, codec.digest(b"new")),
    ]


def test_another_device_takes_over_what_one_died_of():
    """Nobody waits for the restart while a GPU is free."""
    engine = FakeEngine()
    engine.held_at = 3
    engine.hold.clear()
    plates, masks = clip()
    results = {}
    with server(engine, workers=2) as (address, running), InpaintClient(address) as client:
        for index, frame in client.inpaint(plates, masks):
            results[index] = frame
            if index == 2:
                os.kill(running.workers.all[0].process.pid, signal.SIGKILL)
                engine.hold.set()
        frames_by_device = [worker.frames_per_second > 0 for worker in running.workers.all]

    require_completed(results, plates, masks)
    assert frames_by_device == [True, True]


def test_a_job_that_kills_every_process_is_given_up():
    """It fails with a reason, and the next artist's job runs."""
    plates, masks = clip()
    engine = DyingEngine()
    engine.deaths.value = 3
    with serving(engine) as address, InpaintClient(address) as client:
        with pytest.raises(JobError, match="died 3 times of this job"):
            dict(client.inpaint(plates, masks))

        results = dict(client.inpaint(plates, masks))

    require_completed(results, plates, masks)


def test_a_gpu_that_is_lost_to_its_process_costs_a_restart_and_no_job(caplog):
    """An illegal memory access at night: in the morning the queue is done, and has not failed."""
    plates, masks = clip()
    with server(LostEngine()) as (address, running), InpaintClient(address) as client:
        for _ in range(2):
            require_completed(dict(client.inpaint(plates[:2], masks[:2])), plates[:2], masks[:2])
        restarts = [worker.restarts for worker in running.workers.all]

    assert restarts == [1]
    assert "fake: CUDA error: an illegal memory access was encountered; it is" in caplog.text


def test_a_model_process_ends_with_its_server(tmp_path):
    """kill -9 on the server leaves no orphan on the GPU."""
    with server_process(f"unix:{tmp_path}/s.sock", tmp_path / "log") as process:
        (model,) = [
            child
            for child in psutil.Process(process.pid).children()
            if "spawn_main" in " ".join(child.cmdline())
        ]
        process.kill()

        model.wait(timeout=20)

    assert not model.is_running()
