"""Clients that die, freeze, dawdle or talk nonsense: the others do not notice."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import grpc
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.client import InpaintClient
from node.connection import never
from server import app
from server import plates as server_plates
from server.config import LimitsConfig, SecurityConfig, StoreConfig
from server.plates import Upload
from server.protocol import channel as client_side
from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from server.protocol.channel import Access, open_channel
from tests.conftest import eventually, server, serving
from tests.server.credentials import token_file
from tests.server.engines import FakeEngine, WorkingEngine
from tests.server.parts import part
from tests.server.process import ROOT, server_process
from tests.server.test_service import refusal, upload

DEATHS = 1000
METHODS = {
    "Plates": ("FindMissing", "Upload", "Take", "Download", "Give"),
    "Inpaint": ("Submit", "Watch", "Get", "Cancel", "GetStatus"),
}


def completes(address):
    """Whether somebody else's shot goes through."""
    plate = np.random.default_rng(time.time_ns()).random((48, 48, 3), np.float32)
    with InpaintClient(address) as client:
        return list(dict(client.inpaint([plate], [np.ones((48, 48), np.bool_)]))) == [0]


@pytest.mark.slow
def test_no_truncated_plate_is_ever_committed(tmp_path):
    """A thousand clients are killed at every stage; what the store calls whole is whole."""
    address, store = f"unix:{tmp_path}/s.sock", tmp_path / "store"
    with server_process(
        address, tmp_path / "log", "--store", str(store), "--seconds", "0.005"
    ) as process:
        subprocess.run(
            [sys.executable, "-m", "tests.server.killed_clients", address, str(DEATHS)],
            cwd=ROOT,
            check=True,
            stderr=subprocess.DEVNULL,
        )
        assert completes(address)
        memory = psutil.Process(process.pid).memory_info().rss

    whole = [path for path in store.iterdir() if len(path.name) == 64]
    parts = list(store.glob("*.part"))
    assert len(whole) > DEATHS / 20
    assert len(parts) > DEATHS / 100
    for path in whole:
        assert codec.digest(path.read_bytes()) == path.name
    assert memory < 1e9


def test_a_frozen_client_is_given_up_and_harms_nobody(tmp_path):
    """A host that hangs in the debugger: its upload ends, what it sent is kept."""
    address = f"unix:{tmp_path}/s.sock"
    code = f"""
import time, grpc
from server.protocol import codec, inpaint_pb2_grpc, inpaint_pb2 as pb
from tests.server.parts import part
content = bytes(3 * codec.CHUNK_BYTES)
def requests():
    yield pb.UploadRequest(header=pb.UploadHeader(digest=codec.digest(content), size=len(content)))
    yield part(next(codec.chunks(content)))
    print("sending", flush=True)
    time.sleep(600)
inpaint_pb2_grpc.PlatesStub(grpc.insecure_channel("{address}")).Upload(requests())
"""
    with (
        server_process(address, tmp_path / "log", "--keepalive-seconds", "1"),
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
        ) as client,
        grpc.insecure_channel(address) as channel,
    ):
        assert client.stdout.readline() == "sending\n"
        client.send_signal(signal.SIGSTOP)
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        try:
            assert completes(address)
            eventually(lambda: not stub.GetStatus(pb.GetStatusRequest()).uploads, seconds=30)
        finally:
            client.kill()
        missing = inpaint_pb2_grpc.PlatesStub(channel).FindMissing(
            pb.FindMissingRequest(digests=[codec.digest(bytes(3 * codec.CHUNK_BYTES))])
        )

    assert missing.missing[0].committed == codec.CHUNK_BYTES


def test_a_client_whose_job_waits_may_ask_often_whether_the_server_lives(monkeypatch):
    """An hour in the queue: nothing but pings travels, and nobody is sent away for them."""
    monkeypatch.setattr(client_side, "KEEPALIVE_SECONDS", 1)
    for module, name in ((client_side, "channel_options"), (app, "server_options")):
        monkeypatch.setattr(module, name, partial(patient, getattr(module, name)))
    engine = FakeEngine()
    engine.hold.clear()
    plate, mask = np.zeros((48, 48, 3), np.float32), np.ones((48, 48), np.bool_)
    limits = LimitsConfig(keepalive_seconds=1)
    with (
        serving(engine, limits=limits) as address,
        InpaintClient(address, patience_seconds=0) as client,
        ThreadPoolExecutor(1) as artist,
    ):
        completed = artist.submit(lambda: dict(client.inpaint([plate], [mask])))
        time.sleep(7)  # of six pings the fourth would be the last
        engine.hold.set()

        assert list(completed.result()) == [0]


def patient(options, *config):
    """GRPC's settings, but no moment in which this machine is busy ends a connection."""
    return [
        (name, 20_000 if name.endswith("timeout_ms") else value) for name, value in options(*config)
    ]


def test_a_slow_reader_holds_little_memory(tmp_path):
    """Twenty clients that fetch and do not read: less than 8 MiB each."""
    address, store = f"unix:{tmp_path}/s.sock", tmp_path / "store"
    content = np.random.default_rng(0).bytes(64 * codec.CHUNK_BYTES)
    name = codec.digest(content)
    store.mkdir()
    (store / name).write_bytes(content)
    with server_process(address, tmp_path / "log", "--store", str(store)) as process:
        before = psutil.Process(process.pid).memory_info().rss
        channels = [
            grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
            for _ in range(20)
        ]
        streams = [
            inpaint_pb2_grpc.PlatesStub(channel).Download(pb.DownloadRequest(digest=name))
            for channel in channels
        ]
        for stream in streams:
            next(stream)
        time.sleep(2)
        held = psutil.Process(process.pid).memory_info().rss - before
        assert completes(address)
        for stream in streams:
            stream.cancel()

    assert held < 20 * 8 * 2**20


def test_a_download_that_a_client_breaks_off_is_no_error_of_the_servers(tmp_path):
    """Whoever watches the log for defects is not woken by artists who cancel."""
    address, log = f"unix:{tmp_path}/s.sock", tmp_path / "log"
    content = bytes(16 * codec.CHUNK_BYTES)
    with server_process(address, log), grpc.insecure_channel(address) as channel:
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        upload(plates, content)
        for _ in range(5):
            stream = plates.Download(pb.DownloadRequest(digest=codec.digest(content)))
            next(stream)
            time.sleep(0.1)  # until the server waits for a reader
            stream.cancel()
        assert completes(address)

    assert '"error"' not in log.read_text()


@pytest.fixture(scope="module")
def hardened():
    with serving(FakeEngine()) as address:
        yield address


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([(s, m) for s, methods in METHODS.items() for m in methods]),
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
)
def test_garbage_is_refused_and_the_server_lives(hardened, method, messages):
    """Whatever bytes arrive, the answer is a status, never silence."""
    service, name = method
    with grpc.insecure_channel(hardened) as channel:
        call = channel.stream_stream(f"/sttn.inpaint.v1.{service}/{name}")
        answered = call(iter(messages), timeout=20)
        with contextlib.suppress(grpc.RpcError):
            list(answered)
        assert answered.code() is not grpc.StatusCode.DEADLINE_EXCEEDED
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        assert not plates.FindMissing(pb.FindMissingRequest(), timeout=20).missing


sizes = st.one_of(st.integers(0, 200), st.integers(0, 2**32 - 1))
images = st.builds(
    pb.Image,
    digest=st.sampled_from(["", "0" * 64, "../../etc/passwd", "x" * 300]),
    width=sizes,
    height=sizes,
    channels=st.lists(st.sampled_from(["R", "G", "B", "A"]), max_size=5),
    type=st.integers(0, 4),
    compression=st.integers(0, 2),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.builds(
        pb.SubmitRequest,
        job_id=st.text(max_size=300),
        frames=st.lists(
            st.builds(pb.ClipFrame, plate=images, mask=images, role=st.integers(0, 4)),
            max_size=3,
        ),
        model=st.sampled_from(["", "nothing", "../secret"]),
        result_type=st.integers(0, 5),
    )
)
def test_jobs_of_any_shape_are_refused_with_a_reason(hardened, request):
    """Sizes that overflow, roles and types that do not exist, names that are paths."""
    with grpc.insecure_channel(hardened) as channel:
        code, details = refusal(
            lambda: inpaint_pb2_grpc.InpaintStub(channel).Submit(request, timeout=20)
        )

    assert code in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND)
    assert details


def test_an_oversize_message_is_refused_and_the_channel_survives(hardened):
    """A client that puts a whole frame into one message."""
    with grpc.insecure_channel(hardened) as channel:
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        chunk = pb.UploadRequest(chunk=pb.Chunk(data=bytes(5 * 2**20)))

        code, _ = refusal(lambda: plates.Upload(iter([chunk])))

        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        upload(plates, b"small")


@pytest.mark.parametrize(("way", "size"), [("upload", 2**63), ("take", 110_000_000)])
def test_a_content_larger_than_any_plate_is_refused_before_room_is_made(tmp_path, way, size):
    """A header without a pixel would evict what everybody has sent."""
    address, content = f"unix:{tmp_path}/s.sock", bytes(1000)
    with (
        serving(FakeEngine(), address=address, shared_memory=True) as address,
        grpc.insecure_channel(address) as channel,
        handed_over(bytes(6)) as memory,
    ):
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        upload(plates, content)
        memory.size = size
        take = way == "take"

        code, details = refusal(
            lambda: plates.Take(memory) if take else upload(plates, b"abc", size=size)
        )

        assert not plates.FindMissing(
            pb.FindMissingRequest(digests=[codec.digest(content)])
        ).missing
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.endswith(
        "larger than any plate; this server takes 9 megapixels, 108108064 bytes"
    )


def test_a_plate_as_large_as_may_be_is_taken_though_nothing_of_it_can_be_compressed():
    """Noise, sent by a client on a slow network."""
    noise = np.random.default_rng(8).integers(0, 256, (96, 96, 12), np.uint8).view(np.float32)
    limits = LimitsConfig(megapixels=96 * 96 / 1e6)
    with (
        serving(FakeEngine(), limits=limits) as address,
        InpaintClient(address, compress=True) as client,
    ):
        sent = client.send(noise, np.ones((96, 96), np.bool_))

    assert sent.plate.size > noise.nbytes


def test_a_full_disk_is_told_and_what_was_committed_stays(tmp_path):
    """The system's own refusal to write, not our limit."""
    address = f"unix:{tmp_path}/s.sock"
    content = np.random.default_rng(1).bytes(4 * codec.CHUNK_BYTES)
    with (
        server_process(address, tmp_path / "log", "--file-bytes", str(2 * codec.CHUNK_BYTES)),
        grpc.insecure_channel(address) as channel,
    ):
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        code, details = refusal(lambda: upload(plates, content))
        missing = plates.FindMissing(pb.FindMissingRequest(digests=[codec.digest(content)]))
        assert completes(address)

    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "File too large" in details
    assert missing.missing[0].committed == 2 * codec.CHUNK_BYTES


@pytest.mark.parametrize("lies_there", ["{}.part", "{}"])
def test_a_disk_that_refuses_is_told_without_its_paths_and_when_to_come_back(tmp_path, lies_there):
    """No inodes, too many files, read-only for a moment: no defect of the server's, it may pass.
    A folder in the file's place stands for them."""
    content = b"abc"
    name = codec.digest(content)
    with (
        serving(FakeEngine(), store=StoreConfig(folder=tmp_path)) as address,
        grpc.insecure_channel(address) as channel,
    ):
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        (tmp_path / lies_there.format(name)).mkdir()
        calls = [lambda: upload(plates, content)]
        if lies_there == "{}":
            calls.insert(0, lambda: list(plates.Download(pb.DownloadRequest(digest=name))))
        for call in calls:
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert refused.value.details().endswith(" its store: Is a directory")
            assert dict(refused.value.trailing_metadata())["retry-after-seconds"] == "5"


def test_too_many_uploads_at_once_are_sent_away_with_a_time_to_come_back():
    """The limit harms no upload that runs; the client comes back by itself."""
    with (
        serving(FakeEngine(), limits=LimitsConfig(uploads=1)) as address,
        grpc.insecure_channel(address) as channel,
    ):
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        running, release = slow_upload(channel)
        with pytest.raises(grpc.RpcError) as refused:
            upload(plates, b"abc")
        release()
        assert running.result().committed == 2 * codec.CHUNK_BYTES
        upload(plates, b"abc")

    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(refused.value.trailing_metadata())["retry-after-seconds"] == "1"


@pytest.mark.parametrize("kind", ["uploads", "downloads"])
def test_who_opens_many_calls_and_ends_none_leaves_places_to_others(tmp_path, kind):
    """A quarter of them is one owner's; beyond that even a client of theirs waits, and goes on."""
    token_file(
        tmp_path / "tokens", "ann anns-horse-battery-staple", "bob bobs-horse-battery-staple"
    )
    security, limits = SecurityConfig(tokens=tmp_path / "tokens"), LimitsConfig(**{kind: 4})
    ann, bob = (
        Access(token_file=token_file(tmp_path / name, f"{name}s-horse-battery-staple"))
        for name in ("ann", "bob")
    )
    content = np.random.default_rng(9).bytes(16 * codec.CHUNK_BYTES)
    image = pb.Image(
        digest=codec.digest(content), width=2048, height=2048, channels="A", type=pb.FLOAT32
    )
    with (
        server(FakeEngine(), security=security, limits=limits) as (address, running),
        open_channel(address, bob) as channel,
        InpaintClient(address, access=ann) as anns,
        InpaintClient(address, access=bob) as bobs,
        ThreadPoolExecutor(1) as waiting,
    ):
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        upload(plates, content)
        if kind == "uploads":
            stalled, end = slow_upload(channel)
        else:
            stalled = plates.Download(pb.DownloadRequest(digest=image.digest))
            end = stalled.cancel
            next(stalled)

        def go_on(client):
            if kind == "downloads":
                return client._download(image, never).nbytes
            plate = np.random.default_rng(time.time_ns()).random((48, 48, 3), np.float32)
            return client.send(plate, np.ones((48, 48), np.bool_)).plate.size

        assert go_on(anns)
        refused = "sttn_refused_calls_total", {"code": "RESOURCE_EXHAUSTED"}
        assert not running.metrics.registry.get_sample_value(*refused)
        done = waiting.submit(go_on, bobs)
        eventually(lambda: running.metrics.registry.get_sample_value(*refused))
        end()
        assert done.result()


@pytest.mark.parametrize("size", [1000, 50_000])
def test_what_another_upload_left_of_a_plate_harms_nobody(hardened, size):
    """Garbage under the name of an artist's plate, from a crash or a client that errs."""
    plate = np.random.default_rng(size).random((48, 48, 3), np.float32)
    image, _ = codec.encode_image(plate, ("R", "G", "B"))
    with grpc.insecure_channel(hardened) as channel:
        refusal(
            lambda: upload(
                inpaint_pb2_grpc.PlatesStub(channel), bytes(size), image.digest, 10**6, True
            )
        )

    with InpaintClient(hardened, patience_seconds=5) as client:
        completed = dict(client.inpaint([plate], [np.zeros((48, 48), np.bool_)]))

    np.testing.assert_array_equal(completed[0], plate)


def test_an_upload_that_sends_nothing_loses_its_place_and_keeps_its_bytes():
    """A script stopped in the debugger: its host lives, so that no keepalive ends it."""
    limits = LimitsConfig(upload_seconds=1)
    with (
        serving(FakeEngine(), limits=limits) as address,
        grpc.insecure_channel(address) as channel,
    ):
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        idle, release = slow_upload(channel)

        code, details = refusal(idle.result)

        release()
        name = codec.digest(bytes(2 * codec.CHUNK_BYTES))
        missing = plates.FindMissing(pb.FindMissingRequest(digests=[name])).missing
    assert code is grpc.StatusCode.DATA_LOSS
    assert details == "the upload sent nothing for 1 s"
    assert missing[0].committed == codec.CHUNK_BYTES


def test_a_client_waits_while_the_store_is_full_for_a_moment(monkeypatch):
    """Others' uploads and jobs make room when they end; nobody starts the shot again by hand."""
    monkeypatch.setattr(server_plates, "ROOM_SECONDS", 1.0)
    store = StoreConfig(gigabytes=3 * codec.CHUNK_BYTES / 1e9)
    frame = np.zeros((432, 432, 3), np.float32), np.ones((432, 432), np.bool_)
    with (
        server(FakeEngine(), store=store) as (address, running),
        grpc.insecure_channel(address) as channel,
        InpaintClient(address, patience_seconds=20) as client,
        ThreadPoolExecutor(1) as artist,
    ):
        other, release = slow_upload(channel)
        sent = artist.submit(client.send, *frame)
        refused = "sttn_refused_calls_total", {"code": "RESOURCE_EXHAUSTED"}
        eventually(lambda: running.metrics.registry.get_sample_value(*refused))
        release()
        other.result()

        assert sent.result().plate.width == 432


def test_two_clients_with_the_same_plate_do_not_mix_their_bytes():
    """The second is told to ask again, and finds it there."""
    with serving(FakeEngine()) as address, grpc.insecure_channel(address) as channel:
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        running, release = slow_upload(channel)

        code, _ = refusal(lambda: upload(plates, bytes(2 * codec.CHUNK_BYTES)))

        release()
        running.result()
        missing = plates.FindMissing(
            pb.FindMissingRequest(digests=[codec.digest(bytes(2 * codec.CHUNK_BYTES))])
        )
    assert code is grpc.StatusCode.ABORTED
    assert not missing.missing


def slow_upload(channel):
    """An upload that stays open until it is released."""
    content = bytes(2 * codec.CHUNK_BYTES)
    begun, go_on = os.pipe(), os.pipe()

    def requests():
        header = pb.UploadHeader(digest=codec.digest(content), size=len(content))
        yield pb.UploadRequest(header=header)
        first, second = codec.chunks(content)
        yield part(first)
        os.write(begun[1], b"x")
        os.read(go_on[0], 1)
        yield part(second)
        yield pb.UploadRequest(finish=pb.UploadFinish())

    running = inpaint_pb2_grpc.PlatesStub(channel).Upload.future(requests())
    os.read(begun[0], 1)
    status = inpaint_pb2_grpc.InpaintStub(channel).GetStatus
    eventually(lambda: status(pb.GetStatusRequest()).uploads)
    return running, lambda: os.write(go_on[1], b"x")


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (LimitsConfig(frames_per_job=1), "takes 1 in a job"),
        (LimitsConfig(megapixels=0.002), "takes 0.002 megapixels"),
    ],
)
def test_jobs_beyond_a_limit_are_refused_with_the_limit(limits, told):
    """A shot that would take the memory of everybody's."""
    frame = np.zeros((48, 48, 3), np.float16), np.ones((48, 48), np.bool_)
    with serving(FakeEngine(), limits=limits) as address, InpaintClient(address) as client:
        sent = [client.send(*frame), client.send(*frame)]
        with grpc.insecure_channel(address) as channel:
            stub = inpaint_pb2_grpc.InpaintStub(channel)

            code, details = refusal(
                lambda: stub.Submit(pb.SubmitRequest(job_id="shot", frames=sent))
            )

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert told in details


def test_a_job_whose_results_do_not_fit_is_refused_before_it_runs():
    """Rather than failing at its last frame."""
    frame = np.zeros((96, 96, 3), np.float16), np.ones((96, 96), np.bool_)
    with (
        serving(FakeEngine(), store=StoreConfig(gigabytes=200e-6)) as address,
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        sent = client.send(*frame)
        stub = inpaint_pb2_grpc.InpaintStub(channel)

        code, _ = refusal(lambda: stub.Submit(pb.SubmitRequest(job_id="two", frames=[sent] * 2)))
        stub.Submit(pb.SubmitRequest(job_id="one", frames=[sent]))
        end = list(stub.Watch(pb.WatchRequest(job_id="one")))[-1]

    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert end.finished.outcome == pb.Finished.COMPLETED


def test_a_shot_fits_beside_one_that_has_ended():
    """A store as large as one shot and a half: none of the second is sent twice."""
    rng = np.random.default_rng(6)
    masks = np.zeros((3, 96, 96), np.bool_)
    masks[:, :48] = True
    with (
        server(FakeEngine(), store=StoreConfig(gigabytes=900e-6)) as (address, running),
        InpaintClient(address) as client,
    ):
        counted = []
        for _ in range(2):
            completed = dict(client.inpaint(rng.random((3, 96, 96, 3), np.float32), masks))
            counted.append(received(running))

    assert list(completed) == [0, 1, 2]
    assert counted[1] <= 2 * counted[0]


def test_a_job_that_never_fits_costs_nobody_a_frame():
    """Its plates and its results together are more than the store: it is told so for good."""
    rng = np.random.default_rng(7)
    plates, mask = rng.random((4, 96, 96, 3), np.float32), np.ones((96, 96), np.bool_)
    with (
        serving(FakeEngine(), store=StoreConfig(gigabytes=900e-6)) as address,
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        stub = inpaint_pb2_grpc.InpaintStub(channel)
        stub.Submit(pb.SubmitRequest(job_id="small", frames=[client.send(plates[3], mask)]))
        for event in stub.Watch(pb.WatchRequest(job_id="small")):
            if event.HasField("frame_ready"):
                client._download(event.frame_ready.image, never)
        sent = [client.send(plate, mask) for plate in plates[:3]]
        request = pb.SubmitRequest(job_id="large", frames=sent, origins=True)

        code, details = refusal(lambda: stub.Submit(request))

        assert stub.Get(pb.GetRequest(job_id="small")).finished.outcome == pb.Finished.COMPLETED
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "never holds" in details


def test_a_changed_matte_resends_two_percent_at_most():
    """The rerun of a shot costs its mattes."""
    rng = np.random.default_rng(3)
    plates = rng.random((4, 240, 432, 3), np.float32)
    masks = np.zeros((4, 240, 432), np.bool_)
    with server(FakeEngine()) as (address, running), InpaintClient(address) as client:
        counted = []
        for top in (40, 60):
            masks[:, top : top + 90, 100:200] = True
            dict(client.inpaint(plates, masks))
            counted.append(received(running))

    first, second = counted[0], counted[1] - counted[0]
    assert first >= plates.nbytes
    assert 0 < second <= 0.02 * first


def test_a_broken_connection_resends_eight_mebibytes_at_most():
    """Artists on trains."""
    content = np.random.default_rng(4).bytes(20 * codec.CHUNK_BYTES)
    name = codec.digest(content)
    with server(FakeEngine()) as (address, running), grpc.insecure_channel(address) as channel:
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        broken = plates.Upload.future(pausing(content, after=15))
        eventually(lambda: received(running) >= 12 * codec.CHUNK_BYTES)
        broken.cancel()

        def is_sent():
            missing = plates.FindMissing(pb.FindMissingRequest(digests=[name])).missing
            for each in missing:
                # ABORTED until the server has noticed that the first one is gone.
                with contextlib.suppress(grpc.RpcError):
                    upload_rest(plates, content, codec.chunks(content, each.committed))
            return not missing

        eventually(is_sent)
        total = received(running)

    assert total - len(content) <= 8 * codec.CHUNK_BYTES


@pytest.mark.parametrize("way", ["upload", "take"])
def test_an_upload_that_is_cut_ends_only_when_its_bytes_are_written(tmp_path, monkeypatch, way):
    """An artist whose network blinks while the server's disk stalls: nobody else writes between."""
    content = np.random.default_rng(5).bytes(2 * codec.CHUNK_BYTES)
    stalled, go_on = threading.Event(), threading.Event()
    extend = Upload.extend

    def stalling(upload, data):
        if not stalled.is_set():
            stalled.set()
            go_on.wait(20)
        extend(upload, data)

    monkeypatch.setattr(Upload, "extend", stalling)
    with (
        server(FakeEngine(), address=f"unix:{tmp_path}/s.sock", shared_memory=True) as (address, _),
        grpc.insecure_channel(address) as channel,
        handed_over(content) as memory,
    ):
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        status = inpaint_pb2_grpc.InpaintStub(channel).GetStatus
        if way == "upload":
            cut = plates.Upload.future(pausing(content, after=2))
        else:
            cut = plates.Take.future(memory)
        assert stalled.wait(20)
        time.sleep(0.1)  # the next bytes are there, and wait for the first
        cut.cancel()
        time.sleep(0.1)

        code, _ = refusal(lambda: upload(plates, content))
        go_on.set()
        eventually(lambda: not status(pb.GetStatusRequest()).uploads)
        missing = plates.FindMissing(pb.FindMissingRequest(digests=[memory.digest])).missing
        for each in missing:
            upload_rest(plates, content, codec.chunks(content, each.committed))
        chunks = plates.Download(pb.DownloadRequest(digest=memory.digest))
        stored = b"".join(chunk.data for chunk in chunks)

    assert code is grpc.StatusCode.ABORTED
    assert stored == content


@contextlib.contextmanager
def handed_over(content):
    """A content in this process' memory, as a request that has the server take it."""
    memory = os.memfd_create("sttn-plate")
    os.write(memory, content)
    yield pb.TakeRequest(
        digest=codec.digest(content), size=len(content), process=os.getpid(), descriptor=memory
    )
    os.close(memory)


def pausing(content, after):
    header = pb.UploadHeader(digest=codec.digest(content), size=len(content))
    yield pb.UploadRequest(header=header)
    for number, chunk in enumerate(codec.chunks(content)):
        if number == after:
            time.sleep(600)
        yield part(chunk)


def upload_rest(plates, content, rest):
    header = pb.UploadHeader(digest=codec.digest(content), size=len(content))
    parts = [pb.UploadRequest(header=header), *(part(c) for c in rest)]
    plates.Upload(iter([*parts, pb.UploadRequest(finish=pb.UploadFinish())]))


def received(running):
    """Bytes of contents that came in."""
    return running.metrics.registry.get_sample_value("sttn_received_bytes_total")


def test_cancelling_a_long_job_takes_one_step():
    """The GPU is free for the next artist after the frame under way."""
    plates = np.zeros((200, 48, 48, 3), np.float32)
    masks = np.ones((200, 48, 48), np.bool_)
    with serving(WorkingEngine(0.2)) as address, InpaintClient(address) as client:
        frames = client.inpaint(plates, masks)
        next(frames)

        frames.close()

        with grpc.insecure_channel(address) as channel:
            stub = inpaint_pb2_grpc.InpaintStub(channel)
            eventually(lambda: not stub.GetStatus(pb.GetStatusRequest()).jobs)
            assert stub.GetStatus(pb.GetStatusRequest()).frames_completed < 100
