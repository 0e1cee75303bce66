"""The RPCs, spoken by hand to a real server, as a client in another language would."""

import zlib
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from node.client import InpaintClient
from server.config import LimitsConfig, StoreConfig
from server.jobs import Job
from server.protocol import chunks, codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from tests.conftest import eventually, server, serving
from tests.server.engines import BrokenEngine, FakeEngine, HangingEngine, ScenesEngine
from tests.server.parts import part

PLATE = np.full((48, 48, 3), 0.5, np.float16)
MASK = np.zeros((48, 48, 1), np.uint8)
MASK[10:20, 10:20] = 1


@pytest.fixture
def channel(address):
    with grpc.insecure_channel(address) as opened:
        yield opened


@pytest.fixture
def plates(channel):
    return inpaint_pb2_grpc.PlatesStub(channel)


@pytest.fixture
def inpaint(channel):
    return inpaint_pb2_grpc.InpaintStub(channel)


def upload(plates, content, name=None, size=None, skip_finish=False):
    """Send a content the way the contract says, or spoiled on purpose."""
    size = len(content) if size is None else size
    header = pb.UploadHeader(digest=name or codec.digest(content), size=size)
    parts = [pb.UploadRequest(header=header)]
    parts += [part(chunk) for chunk in codec.chunks(content)]
    if not skip_finish:
        parts.append(pb.UploadRequest(finish=pb.UploadFinish()))
    return plates.Upload(iter(parts))


def spoiled_chunk(plates, chunk):
    header = pb.UploadHeader(digest=codec.digest(b"abc"), size=2**21)
    plates.Upload(iter([pb.UploadRequest(header=header), pb.UploadRequest(chunk=chunk)]))


def uploaded_frame(plates):
    (plate, plate_bytes), (mask, mask_bytes) = (
        codec.encode_image(PLATE, ("R", "G", "B")),
        codec.encode_image(MASK, ("A",)),
    )
    upload(plates, plate_bytes)
    upload(plates, mask_bytes)
    return pb.ClipFrame(plate=plate, mask=mask)


def refusal(call):
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return refused.value.code(), refused.value.details()


def test_an_upload_is_found_and_downloaded_from_any_offset(plates):
    """A script that lost its connection asks for the rest only."""
    content = np.random.default_rng(0).bytes(codec.CHUNK_BYTES + 1000)
    name = codec.digest(content)
    assert [
        each.digest for each in plates.FindMissing(pb.FindMissingRequest(digests=[name])).missing
    ] == [name]

    upload(plates, content)

    assert not plates.FindMissing(pb.FindMissingRequest(digests=[name])).missing
    rest = b"".join(
        chunk.data for chunk in plates.Download(pb.DownloadRequest(digest=name, offset=77))
    )
    assert rest == content[77:]


def test_both_ends_take_chunks_as_they_came(monkeypatch):
    """What makes an upload fast: no copy of its bytes by protobuf, in the server or the client."""
    seen = {"read_request": [], "read_chunk": []}
    for name, came in seen.items():
        read = getattr(chunks, name)

        def noting(wire, read=read, came=came):
            came.append(read(wire))
            return came[-1]

        monkeypatch.setattr(chunks, name, noting)

    with serving(FakeEngine()) as address, InpaintClient(address) as client:
        dict(client.inpaint([PLATE], [MASK[..., 0]]))

    assert [type(part) for part in seen["read_request"]].count(chunks.Chunk) == 2
    assert seen["read_chunk"]
    assert all(type(part.data) is memoryview for part in seen["read_chunk"])


def test_a_download_from_beyond_the_end_is_out_of_range(plates):
    """A client that lost count hears so; one that has everything already gets nothing more."""
    upload(plates, b"pixels")

    def download(offset):
        request = pb.DownloadRequest(digest=codec.digest(b"pixels"), offset=offset)
        return b"".join(chunk.data for chunk in plates.Download(request))

    assert download(6) == b""
    for offset in (7, 2**64 - 1):
        code, details = refusal(lambda offset=offset: download(offset))
        assert code is grpc.StatusCode.OUT_OF_RANGE
        assert details == f"offset {offset} is beyond the 6 bytes there are"


def test_an_upload_without_finish_is_not_complete_and_is_gone_on_with(plates):
    """End of stream never means complete; what arrived is not sent again."""
    content = np.random.default_rng(1).bytes(3 * codec.CHUNK_BYTES)
    name = codec.digest(content)

    code, _ = refusal(
        lambda: upload(plates, content[: codec.CHUNK_BYTES], name, len(content), True)
    )

    assert code is grpc.StatusCode.DATA_LOSS
    missing = plates.FindMissing(pb.FindMissingRequest(digests=[name])).missing
    assert missing[0].committed == codec.CHUNK_BYTES
    header = pb.UploadRequest(header=pb.UploadHeader(digest=name, size=len(content)))
    rest = [part(c) for c in codec.chunks(content, missing[0].committed)]
    plates.Upload(iter([header, *rest, pb.UploadRequest(finish=pb.UploadFinish())]))
    assert not plates.FindMissing(pb.FindMissingRequest(digests=[name])).missing


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda plates: upload(plates, b"abc", name="0" * 64), "another digest"),
        (lambda plates: upload(plates, b"abc", name="../../etc/passwd"), "not a digest"),
        (lambda plates: upload(plates, b"abc", size=5), "3 bytes, not 5"),
        (lambda plates: upload(plates, b"abc", size=2), "more than the 2 bytes"),
        (
            lambda plates: plates.Upload(iter([pb.UploadRequest(finish=pb.UploadFinish())])),
            "starts with its header",
        ),
        (lambda plates: spoiled_chunk(plates, pb.Chunk(data=b"abc", crc32=1)), "checksum"),
        (lambda plates: spoiled_chunk(plates, pb.Chunk(data=bytes(2**20 + 1))), "at most 1048576"),
    ],
)
def test_spoiled_uploads_are_invalid_arguments(plates, spoil, told):
    """Nothing damaged is ever kept, and the channel survives."""
    code, details = refusal(lambda: spoil(plates))

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert told in details
    upload(plates, b"abc")


def test_a_gap_is_answered_with_where_to_go_on(plates):
    """A client that lost count asks FindMissing again; nothing has holes."""
    code, details = refusal(
        lambda: spoiled_chunk(plates, pb.Chunk(offset=1, data=b"bc", crc32=zlib.crc32(b"bc")))
    )

    assert code is grpc.StatusCode.ABORTED
    assert "offset 1, expected 0" in details


def test_a_job_is_completed_and_told_event_by_event(plates, inpaint):
    """Queue position, frames as they are done, progress, and an end."""
    frame = uploaded_frame(plates)

    inpaint.Submit(pb.SubmitRequest(job_id="shot", frames=[frame, frame]))
    events = list(inpaint.Watch(pb.WatchRequest(job_id="shot")))

    kinds = [event.WhichOneof("event") for event in events]
    assert kinds == ["queued", *["frame_ready", "progress"] * 2, "finished"]
    assert [event.number for event in events] == list(range(6))
    assert events[-1].finished.outcome == pb.Finished.COMPLETED
    image = events[1].frame_ready.image
    content = b"".join(
        chunk.data for chunk in plates.Download(pb.DownloadRequest(digest=image.digest))
    )
    completed = codec.decode_image(image, content)
    expected = np.where(MASK > 0, np.float32(0.25), PLATE.astype(np.float32))
    np.testing.assert_array_equal(completed, expected)
    later = list(inpaint.Watch(pb.WatchRequest(job_id="shot", first_event=4)))
    assert [event.number for event in later] == [4, 5]


def test_submitting_twice_is_one_job(plates, inpaint):
    """A client that did not hear the answer may ask again; names are in any language."""
    request = pb.SubmitRequest(job_id="Aufnahme für 仕上げ", frames=[uploaded_frame(plates)])

    inpaint.Submit(request)
    inpaint.Submit(request)

    assert len(list(inpaint.Watch(pb.WatchRequest(job_id=request.job_id)))) == 4


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (lambda r: r.ClearField("job_id"), grpc.StatusCode.INVALID_ARGUMENT, "job_id"),
        (lambda r: r.ClearField("frames"), grpc.StatusCode.INVALID_ARGUMENT, "no frames"),
        (
            lambda r: setattr(r.frames[0].mask, "width", 24),
            grpc.StatusCode.INVALID_ARGUMENT,
            "mask of frame 0 is 24x48",
        ),
        (
            lambda r: [
                setattr(image, "width", 49) for image in (r.frames[0].plate, r.frames[0].mask)
            ],
            grpc.StatusCode.INVALID_ARGUMENT,
            "frames are 49x48; resample them to multiples of 48",
        ),
        (
            lambda r: r.frames[0].plate.channels.append("A"),
            grpc.StatusCode.INVALID_ARGUMENT,
            "plate of frame 0 has the channels R, G, B, A, not R, G, B",
        ),
        (
            lambda r: r.frames[0].plate.channels.reverse(),
            grpc.StatusCode.INVALID_ARGUMENT,
            "plate of frame 0 has the channels B, G, R, not R, G, B",
        ),
        (
            lambda r: r.frames[0].ClearField("mask"),
            grpc.StatusCode.INVALID_ARGUMENT,
            "frame 0 has no mask",
        ),
        (
            lambda r: setattr(r.frames[0].mask, "type", 9),
            grpc.StatusCode.INVALID_ARGUMENT,
            "mask of frame 0: unknown pixel type 9",
        ),
        (
            lambda r: setattr(r.frames[0].plate, "type", pb.UINT8),
            grpc.StatusCode.INVALID_ARGUMENT,
            "plate of frame 0 is UINT8; send FLOAT16 or FLOAT32",
        ),
        (
            lambda r: r.frames.add(plate=r.frames[0].plate, mask=r.frames[0].mask, role=7),
            grpc.StatusCode.INVALID_ARGUMENT,
            "frame 1 has the role 7; this server knows PLATE, HANDLE, CLEAN",
        ),
        (
            lambda r: setattr(r, "result_compression", 9),
            grpc.StatusCode.INVALID_ARGUMENT,
            "result_compression is 9; this server knows NONE, SHUFFLED_ZLIB",
        ),
        (
            lambda r: setattr(r.frames[0].plate, "digest", "0" * 64),
            grpc.StatusCode.NOT_FOUND,
            "was not uploaded",
        ),
        (
            lambda r: setattr(r.windows, "neighbor_radius", 101),
            grpc.StatusCode.INVALID_ARGUMENT,
            "neighbor_radius is 101; this server takes 100 at most",
        ),
        (
            lambda r: setattr(r.windows, "reference_stride", 1001),
            grpc.StatusCode.INVALID_ARGUMENT,
            "reference_stride is 1001; this server takes 1000 at most",
        ),
    ],
)
def test_jobs_that_cannot_run_are_refused(plates, inpaint, change, code, told):
    """The message names the frame and the value; who writes a client from the contract alone
    learns of a slip before a shot is computed from it."""
    request = pb.SubmitRequest(job_id="shot", frames=[uploaded_frame(plates)])
    change(request)

    refused = refusal(lambda: inpaint.Submit(request))

    assert refused[0] is code
    assert told in refused[1]


@pytest.mark.parametrize("kind", ["plate", "mask"])
def test_a_content_that_is_no_image_is_told_by_its_frame(plates, inpaint, kind):
    """A farm with thousands of frames looks for the one that its exporter cut short."""
    request = pb.SubmitRequest(job_id="shot", frames=[uploaded_frame(plates)] * 3)
    upload(plates, b"cut short")
    getattr(request.frames[2], kind).digest = codec.digest(b"cut short")

    inpaint.Submit(request)
    *_, last = inpaint.Watch(pb.WatchRequest(job_id="shot"))

    assert (last.finished.outcome, last.finished.code) == (pb.Finished.FAILED, "INVALID_ARGUMENT")
    assert last.finished.message.startswith(f"the {kind} of frame 2: an image of 48x48x")


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.frames.append(r.frames[0]),
        lambda r: setattr(r, "origins", True),
        lambda r: setattr(r.windows, "texture", False),
    ],
)
def test_another_job_under_the_name_of_one_is_refused(plates, inpaint, fake_engine, change):
    """Farms that name jobs after shots: they got the frames of an earlier version as if made now,
    while that one ran and once it had ended."""
    fake_engine.hold.clear()
    request = pb.SubmitRequest(job_id="shot", frames=[uploaded_frame(plates)], client="farm")
    inpaint.Submit(request)
    change(request)

    refused = [refusal(lambda: inpaint.Submit(request))]
    fake_engine.hold.set()
    list(inpaint.Watch(pb.WatchRequest(job_id="shot")))
    refused.append(refusal(lambda: inpaint.Submit(request)))

    for code, told in refused:
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert told.startswith("job 'shot' is here already, with other frames or settings; give")


def test_an_unknown_job_is_not_found(inpaint):
    """Watching what was never submitted says so."""
    code, _ = refusal(lambda: list(inpaint.Watch(pb.WatchRequest(job_id="nothing"))))

    assert code is grpc.StatusCode.NOT_FOUND


def test_cancelling_ends_a_running_and_a_waiting_job(plates, inpaint, fake_engine):
    """The GPU is free for the next artist."""
    fake_engine.hold.clear()
    frame = uploaded_frame(plates)
    for job in ("running", "waiting"):
        inpaint.Submit(pb.SubmitRequest(job_id=job, frames=[frame]))

    for job in ("waiting", "running"):
        inpaint.Cancel(pb.CancelRequest(job_id=job))

    for job in ("running", "waiting"):
        last = list(inpaint.Watch(pb.WatchRequest(job_id=job)))[-1]
        assert last.finished.outcome == pb.Finished.CANCELLED


def test_waiting_jobs_that_are_cancelled_are_not_counted_any_more(fake_engine):
    """What a farm is scaled by."""
    fake_engine.hold.clear()
    with server(fake_engine) as (address, running), grpc.insecure_channel(address) as channel:
        inpaint = inpaint_pb2_grpc.InpaintStub(channel)
        frame = uploaded_frame(inpaint_pb2_grpc.PlatesStub(channel))
        for job in "abc":
            inpaint.Submit(pb.SubmitRequest(job_id=job, frames=[frame]))
        waiting = running.metrics.registry.get_sample_value
        before = waiting("sttn_jobs_waiting")
        for job in "bc":
            inpaint.Cancel(pb.CancelRequest(job_id=job))

        assert (before, waiting("sttn_jobs_waiting")) == (2, 0)


def test_a_process_that_does_not_stop_a_cancelled_job_is_ended():
    """A driver that hangs costs one job, and neither the device nor a drain."""
    engine, limits = HangingEngine(), LimitsConfig(stop_seconds=0.1)
    with (
        serving(engine, limits=limits) as address,
        grpc.insecure_channel(address) as channel,
    ):
        inpaint = inpaint_pb2_grpc.InpaintStub(channel)
        frame = uploaded_frame(inpaint_pb2_grpc.PlatesStub(channel))
        for job in ("hangs", "next"):
            inpaint.Submit(pb.SubmitRequest(job_id=job, frames=[frame]))
        eventually(lambda: engine.hung.wait(0))

        inpaint.Cancel(pb.CancelRequest(job_id="hangs"))

        outcomes = [
            list(inpaint.Watch(pb.WatchRequest(job_id=job), timeout=30))[-1].finished.outcome
            for job in ("hangs", "next")
        ]
    assert outcomes == [pb.Finished.CANCELLED, pb.Finished.COMPLETED]


def test_a_job_nobody_watches_is_cancelled(fake_engine):
    """An artist's host that crashed does not hold the queue for ever."""
    fake_engine.hold.clear()
    with (
        serving(fake_engine, limits=LimitsConfig(abandoned_seconds=0.2)) as address,
        grpc.insecure_channel(address) as channel,
    ):
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        inpaint = inpaint_pb2_grpc.InpaintStub(channel)
        inpaint.Submit(pb.SubmitRequest(job_id="shot", frames=[uploaded_frame(plates)]))
        watch = inpaint.Watch(pb.WatchRequest(job_id="shot"))
        next(watch)
        watch.cancel()
        eventually(lambda: inpaint.Get(pb.GetRequest(job_id="shot")).state == pb.ENDED)

        events = list(inpaint.Watch(pb.WatchRequest(job_id="shot")))

    assert events[-1].finished.outcome == pb.Finished.CANCELLED
    assert events[-1].finished.message == "nobody watched for 0.2 s"


@contextmanager
def queueing(engine, length):
    """A server whose first job runs until it is let go; what submits, and a frame that is there."""
    engine.hold.clear()
    with (
        serving(engine, limits=LimitsConfig(queue_length=length)) as address,
        grpc.insecure_channel(address) as channel,
    ):
        frame = uploaded_frame(inpaint_pb2_grpc.PlatesStub(channel))
        yield inpaint_pb2_grpc.InpaintStub(channel), frame


def test_a_full_queue_refuses_and_says_so(fake_engine):
    """The limit is clear and harms no running job."""
    with queueing(fake_engine, 1) as (inpaint, frame):
        inpaint.Submit(pb.SubmitRequest(job_id="a", frames=[frame]))
        inpaint.Submit(pb.SubmitRequest(job_id="b", frames=[frame]))

        code, details = refusal(
            lambda: inpaint.Submit(pb.SubmitRequest(job_id="c", frames=[frame]))
        )

        fake_engine.hold.set()
        outcomes = [
            list(inpaint.Watch(pb.WatchRequest(job_id=job)))[-1].finished.outcome for job in "ab"
        ]
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "try again" in details
    assert outcomes == [pb.Finished.COMPLETED] * 2


def test_a_farm_leaves_an_artist_a_place_whose_true_number_is_told(fake_engine):
    """A hundred shots from one owner overnight; and memory ends however many names clients take."""
    with queueing(fake_engine, 2) as (inpaint, frame):

        def submit(owner, number=0):
            job_id = f"{owner}{number}"
            inpaint.Submit(pb.SubmitRequest(job_id=job_id, frames=[frame], client=owner))
            return next(iter(inpaint.Watch(pb.WatchRequest(job_id=job_id)))).queued.jobs_ahead

        submit("runs")
        farm = [submit("farm", number) for number in range(2)]
        farm_full = refusal(lambda: submit("farm", 2))
        artists = [submit(name) for name in "abcdef"]
        all_full = refusal(lambda: submit("g"))
        order = [job.job_id for job in inpaint.GetStatus(pb.GetStatusRequest()).jobs]
        fake_engine.hold.set()

    assert farm == [0, 1]
    assert farm_full == (
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        "2 of your jobs are waiting already; try again in 30 s",
    )
    assert artists == [1, 2, 3, 4, 5, 6]
    assert order == ["runs0", "farm0", "a0", "b0", "c0", "d0", "e0", "f0", "farm1"]
    assert all_full[1] == "8 jobs are waiting already; try again in 30 s"


def test_a_full_store_evicts_the_oldest_and_refuses_what_never_fits(fake_engine):
    """Disk use stays under the stated limit."""
    with (
        serving(fake_engine, store=StoreConfig(gigabytes=1e-5)) as address,
        grpc.insecure_channel(address) as channel,
    ):
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        first, second = bytes(6000), bytes([1]) * 6000

        upload(plates, first)
        upload(plates, second)
        code, details = refusal(lambda: upload(plates, bytes(20000)))

        missing = plates.FindMissing(
            pb.FindMissingRequest(digests=[codec.digest(first), codec.digest(second)])
        ).missing
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "larger store" in details
    assert codec.digest(first) in [each.digest for each in missing]


def random_clip(seed, frames=2):
    rng = np.random.default_rng(seed)
    return rng.random((frames, 96, 96, 3), np.float32), np.ones((frames, 96, 96), np.bool_)


def test_ended_jobs_make_room_for_the_next_shot(fake_engine):
    """A store that is full of frames that everybody has fetched takes on work all day."""
    with (
        serving(fake_engine, store=StoreConfig(gigabytes=0.0009)) as address,
        InpaintClient(address, patience_seconds=1) as client,
    ):
        for shot in range(4):
            assert list(dict(client.inpaint(*random_clip(shot)))) == [0, 1]


def test_frames_that_a_client_is_about_to_fetch_are_not_given_up_for_others(fake_engine):
    """Somebody else's upload waits until they are fetched; then it finds room."""
    with (
        serving(fake_engine, store=StoreConfig(gigabytes=0.0005)) as address,
        InpaintClient(address) as client,
        grpc.insecure_channel(address) as channel,
    ):
        plates = inpaint_pb2_grpc.PlatesStub(channel)
        inpaint = inpaint_pb2_grpc.InpaintStub(channel)
        sent = [client.send(*frame) for frame in zip(*random_clip(0), strict=True)]
        inpaint.Submit(pb.SubmitRequest(job_id="shot", frames=sent))
        events = list(inpaint.Watch(pb.WatchRequest(job_id="shot")))
        other = bytes(200_000)

        code, _ = refusal(lambda: upload(plates, other))

        for digest in {e.frame_ready.image.digest for e in events if e.HasField("frame_ready")}:
            for _ in range(2):  # both frames are the same
                list(plates.Download(pb.DownloadRequest(digest=digest)))
        upload(plates, other)
        gone, _ = refusal(lambda: inpaint.Get(pb.GetRequest(job_id="shot")))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert gone is grpc.StatusCode.NOT_FOUND


def test_the_jobs_that_ended_last_are_kept(fake_engine):
    """A long job that came early is not forgotten when it has just ended."""
    fake_engine.hold.clear()
    with (
        serving(fake_engine, limits=LimitsConfig(kept_jobs=2)) as address,
        grpc.insecure_channel(address) as channel,
    ):
        inpaint = inpaint_pb2_grpc.InpaintStub(channel)
        frame = uploaded_frame(inpaint_pb2_grpc.PlatesStub(channel))
        for job in ("long", "a", "b"):
            inpaint.Submit(pb.SubmitRequest(job_id=job, frames=[frame]))
        for job in ("a", "b"):
            inpaint.Cancel(pb.CancelRequest(job_id=job))
        fake_engine.hold.set()
        list(inpaint.Watch(pb.WatchRequest(job_id="long")))

        code, _ = refusal(lambda: inpaint.Get(pb.GetRequest(job_id="a")))

        kept = [inpaint.Get(pb.GetRequest(job_id=job)).state for job in ("b", "long")]
    assert code is grpc.StatusCode.NOT_FOUND
    assert kept == [pb.ENDED] * 2


def test_an_engine_that_fails_fails_the_job_not_the_server():
    """The reason reaches the artist; the next job runs."""
    with serving(BrokenEngine()) as address, grpc.insecure_channel(address) as channel:
        inpaint = inpaint_pb2_grpc.InpaintStub(channel)
        frame = uploaded_frame(inpaint_pb2_grpc.PlatesStub(channel))
        for job in "ab":
            inpaint.Submit(pb.SubmitRequest(job_id=job, frames=[frame]))

        ends = [list(inpaint.Watch(pb.WatchRequest(job_id=job)))[-1].finished for job in "ab"]

    for end in ends:
        assert end.outcome == pb.Finished.FAILED
        assert "the network exploded" in end.message


def test_how_far_a_job_is_prepared_is_told_until_its_first_frame():
    """A bar moves while frames wait for motion, in a client's own script and for who watches."""
    stages: list[tuple[str, int, int]] = []
    plates, masks = np.zeros((4, 48, 48, 3), np.float32), np.ones((4, 48, 48), np.bool_)
    with serving(ScenesEngine()) as address, grpc.insecure_channel(address) as channel:
        with InpaintClient(address) as client:
            told = stages.append
            list(client.inpaint(plates, masks, progress=lambda *step: told(step)))
            sent = client.send(plates[0], masks[0])
            inpaint = inpaint_pb2_grpc.InpaintStub(channel)
            inpaint.Submit(pb.SubmitRequest(job_id="shot", frames=[sent]))
            words = list(client.watch("shot"))
        job = inpaint.Get(pb.GetRequest(job_id="shot"))

    assert [step for step in stages if step[0] != "sending"] == [
        *(("preparing", done, 4) for done in (1, 2)),
        *(("completing", done, 4) for done in (1, 2, 3, 4)),
    ]
    assert [word for word in words if "prepared" in word] == ["25% prepared", "50% prepared"]
    assert (job.progress.prepared, job.progress.frames_done) == (0.5, 1)


def test_a_restart_forgets_nothing_of_how_far_a_job_was_prepared():
    """A bar that somebody watches does not fall back."""
    request = pb.SubmitRequest(job_id="shot", frames=[pb.ClipFrame()])
    told = pb.JobEvent(number=1, progress=pb.Progress(frames=1, prepared=0.5))

    job = Job.restored(request, [told], written_at=0)

    assert job.progress() == pb.Progress(frames=1, prepared=0.5)
