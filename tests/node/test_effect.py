"""The node against a real server: what an artist relies on in every host."""

import json
import subprocess
import sys
import time

import numpy as np
import pytest

from node.client import InpaintClient, Wishes
from node.clips import Clips
from node.effect import InpaintEffect
from node.errors import (
    CancelledError,
    ClipError,
    HostError,
    JobError,
    ServerLostError,
    ServerUnreachableError,
)
from node.params import Params
from server.protocol import inpaint_pb2 as pb
from tests.conftest import eventually, server, serving
from tests.node.shots import Frames, rendered, shot
from tests.server.engines import BrokenEngine, FakeEngine, RecordingEngine


@pytest.mark.parametrize("size", [(96, 144), (101, 333), (30, 40), (1080, 1920)])
@pytest.mark.parametrize("dtype", ["f2", "f4", "u1", "u2"])
def test_nothing_changes_outside_the_matte(address, quiet, size, dtype):
    """Bit for bit through color, crop, wire, server and composite, at any size and type."""
    clips = shot(size=size, dtype=dtype)

    result = rendered(clips, address)

    assert list(result) == [1001, 1002, 1003]
    for frame, pixels in result.items():
        outside = clips.matte.read(frame) == 0
        assert pixels.dtype == clips.source.read(frame).dtype
        assert pixels[outside].tobytes() == clips.source.read(frame)[outside].tobytes()
        assert (pixels[~outside] != clips.source.read(frame)[~outside]).mean() > 0.9


def test_the_fill_may_be_brighter_than_one(quiet):
    """A sky above 1 around the matte is filled above 1: the network's white is the shot's."""
    clips = shot(dtype="f4")
    bright = Frames("plate", {f: np.full((96, 144, 3), 5, np.float32) for f in clips.source.frames})

    with serving(FakeEngine(fill=1.0)) as address:
        result = rendered(Clips(source=bright, matte=clips.matte), address)

    np.testing.assert_allclose(result[1001][40, 60], 5, rtol=0.01)


def test_the_fill_of_a_plate_within_range_keeps_its_color(quiet):
    """What the server sends back as 0.5 is sRGB 0.5."""
    clips = shot(dtype="u1")

    with serving(FakeEngine(fill=0.5)) as address:
        result = rendered(clips, address)

    assert set(np.unique(result[1002][32:48, 48:72])) <= {127, 128}


def test_the_server_sees_arrays_and_indices_only(tmp_path, quiet):
    """The second promise: no path, no color space, no frame number leaves the host."""
    engine = RecordingEngine(tmp_path / "seen.json")
    clips = shot()
    with serving(engine) as address:
        rendered(clips, address)

    texts = {
        f"{message.name}.{field.name}"
        for service in ("Plates", "Inpaint")
        for method in pb.DESCRIPTOR.services_by_name[service].methods
        for message in reachable(method.input_type)
        for field in message.fields
        if field.type == field.TYPE_STRING
    }
    assert texts == {
        "FindMissingRequest.digests",
        "UploadHeader.digest",
        "TakeRequest.digest",
        "DownloadRequest.digest",
        "Image.digest",
        "Image.channels",
        "SubmitRequest.job_id",
        "SubmitRequest.model",
        "SubmitRequest.client",
        "WatchRequest.job_id",
        "GetRequest.job_id",
        "GiveRequest.digest",
        "CancelRequest.job_id",
    }
    assert json.loads(engine.path.read_text()) == {
        "dtype": "float32",
        "lowest": 0.0,
        "highest": 1.0,
        "frames": 3,
        "clean": [],
        "handles": [],
    }


def reachable(message):
    """A message and all it may hold."""
    yield message
    for field in message.fields:
        if field.message_type is not None:
            yield from reachable(field.message_type)


def test_the_node_needs_no_torch():
    """It loads inside hosts that have no room for a network."""
    code = "import sys, node.effect; print({'torch', 'cv2', 'sttn'} & set(sys.modules))"

    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "set()"


def test_an_empty_matte_needs_no_server(quiet, caplog):
    """The plate comes back, and the log says why."""
    clips = shot()
    matte = Frames("matte", {f: np.zeros((96, 144), np.float32) for f in clips.source.frames})

    result = rendered(Clips(source=clips.source, matte=matte), "localhost:1")

    assert all(result[f].tobytes() == clips.source.read(f).tobytes() for f in clips.source.frames)
    assert "every matte is empty" in caplog.text


@pytest.mark.parametrize("all_over", [True, False])
def test_mattes_that_leave_nothing_to_take_from_are_warned_of(address, quiet, caplog, all_over):
    """A matte whose alpha is opaque: hours later the whole shot would be made up."""
    clips = shot()
    mattes = {f: np.ones((96, 144), np.float32) for f in clips.source.frames}
    if not all_over:
        mattes[clips.source.frames[0]][:, :50] = 0

    rendered(Clips(source=clips.source, matte=Frames("matte", mattes)), address)

    assert ("every matte covers its whole frame" in caplog.text) == all_over


def test_mattes_outside_0_to_1_are_clamped_with_a_warning(address, quiet, caplog):
    """A matte of 255, -1 or NaN does what the artist means, and says so."""
    clips = shot()
    clips.matte.read(1002)[:] *= 255
    clips.matte.read(1002)[0, 0] = -1
    clips.matte.read(1002)[1, 1] = np.nan

    result = rendered(clips, address)

    assert "matte, frame 1002: values from -1 to 255 (1 frames) are clamped" in caplog.text
    assert result[1002][1, 1].tobytes() == clips.source.read(1002)[1, 1].tobytes()


@pytest.mark.filterwarnings("error")
def test_a_matte_of_nan_is_told(address, quiet, caplog):
    """It replaces nothing, and is no cause for a warning of numpy's."""
    clips = shot()
    clips.matte.read(1002)[:] = np.nan

    result = rendered(clips, address)

    assert "matte, frame 1002: nothing but NaN (1 frames) are clamped" in caplog.text
    assert result[1002].tobytes() == clips.source.read(1002).tobytes()


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda s, m: m._frames.pop(1002), "matte has no frame 1002.* or set on_missing to hold"),
        (
            lambda s, m: setattr(m, "_frames", dict(enumerate(m._frames.values()))),
            "it has 0-2. Frames pair by number: number it as the plate, which has 1001-1003",
        ),
        (
            lambda s, m: s._frames.update({1002: np.zeros((96, 100, 3), "f2")}),
            "frame 1002 of plate is 100x96",
        ),
        (lambda s, m: m._frames.update({1003: np.zeros((9, 9), "f4")}), "9x9, plate is 144x96"),
        (
            lambda s, m: m._frames.update({1001: np.zeros((96, 144, 1), "f4")}),
            r"1001 of matte is \(96, 144, 1\); read a numpy array \(H, W\)$",
        ),
        (
            lambda s, m: s._frames.update({1001: np.zeros((96, 144), "f2")}),
            r"1001 of plate is \(96, 144\); read a numpy array \(H, W, 3\) or \(H, W, 4\)",
        ),
        (lambda s, m: s._frames.update({1002: [[[0.0]]]}), "1002 of plate is a list; read a numpy"),
    ],
)
def test_clips_that_do_not_fit_are_refused_before_anything_is_sent(quiet, spoil, told):
    """The message names the frame, the value and the way out: to hold a matte that a tracker
    numbered from 0 would be none. Whoever writes a host of their own is told what a clip reads.
    """
    clips = shot()
    spoil(clips.source, clips.matte)
    effect = InpaintEffect(clips)

    with pytest.raises(ClipError, match=told):
        next(effect.render_sequence([1001, 1002, 1003], lambda: pytest.fail("sent"), quiet))


@pytest.mark.parametrize("channels", [3, 4])
def test_a_slate_that_handles_reach_is_not_the_mattes_fault(quiet, channels):
    """It is of another size, and nobody asked for it: named, and how it is left out."""
    clips = shot(length=4, channels=channels)
    clips.source._frames[1001] = np.zeros((30, 40, channels), "f2")
    matte = clips.matte if channels == 3 else None
    effect = InpaintEffect(Clips(source=clips.source, matte=matte), Params(frames="1002-1004"))

    with pytest.raises(
        ClipError,
        match=r"frame 1002 of plate is 144x96 .*, frame 1001 is 40x30 .*; make them one size .*, "
        "or set handles below 1 to leave frame 1001 out",
    ):
        next(effect.render_sequence([1002, 1003, 1004], lambda: pytest.fail("sent"), quiet))


def test_no_server_is_one_clear_line():
    """The artist hears which address, and what to start."""
    with pytest.raises(ServerUnreachableError, match=r"localhost:1 .*sttn-server"):
        InpaintClient("localhost:1", connect_seconds=0.3)


def test_cancelling_stops_the_job_on_the_server(fake_engine, address):
    """Escape in the host frees the GPU."""
    clips = shot(length=6)
    fake_engine.held_at = 2
    fake_engine.hold.clear()
    effect = InpaintEffect(clips)

    frames = effect.render_sequence(
        clips.source.frames,
        lambda: InpaintClient(address),
        lambda stage, done, total: not (stage == "completing" and done >= 1),
    )
    with pytest.raises(CancelledError):
        list(frames)

    fake_engine.hold.set()
    assert len(rendered(clips, address)) == 6


def test_cancelling_while_the_job_is_being_submitted_stops_it_too(fake_engine):
    """A server that was slow to answer would work on for whoever is gone."""
    fake_engine.hold.clear()
    with server(fake_engine) as (address, running), InpaintClient(address) as client:
        submit, taken = running.scheduler.submit, []

        def slowly(request: pb.SubmitRequest, owner: str) -> object:
            taken.append(submit(request, owner))
            time.sleep(0.3)
            return taken[0]

        running.scheduler.submit = slowly
        sent = client.send(np.zeros((48, 48, 3), np.float32), np.ones((48, 48), np.bool_))
        with pytest.raises(CancelledError):
            list(client.complete([sent], cancelled=lambda: bool(taken)))

        eventually(lambda: taken[0].cancel_reason)


@pytest.mark.parametrize(
    ("plate", "mask", "told"),
    [
        ((48, 48, 4), (48, 48), r"a plate is \(48, 48, 4\) float32; give \(H, W, 3\) float16 or"),
        ((48, 48), (48, 48), r"a plate is \(48, 48\) float32; give \(H, W, 3\)"),
        ((48, 48, 3), (48, 48, 1), r"a mask is \(48, 48, 1\); give \(48, 48\), as its plate"),
        ((48, 48, 3), (96, 48), r"a mask is \(96, 48\); give \(48, 48\)"),
    ],
)
def test_arrays_of_another_shape_are_told_before_anything_is_sent(address, plate, mask, told):
    """A script that gives RGBA, or masks with a channel."""
    with InpaintClient(address) as client, pytest.raises(ClipError, match=told):
        list(client.inpaint([np.zeros(plate, np.float32)], [np.ones(mask, np.bool_)]))


@pytest.mark.parametrize("kind", [np.float64, np.uint8])
def test_plates_of_another_type_are_told(address, kind):
    """What numpy makes by default, and what images hold."""
    with InpaintClient(address) as client, pytest.raises(ClipError, match=kind.__name__):
        client.send(np.zeros((48, 48, 3), kind), np.ones((48, 48), np.bool_))


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"neighbor_radius": -1}, "neighbor_radius must be at least 0, got -1"),
        ({"reference_stride": 2.5}, "reference_stride must be a number of type int, got 2.5"),
        ({"model": 3}, "model must be text, got 3"),
    ],
)
def test_wishes_that_cannot_be_are_named(wish, told):
    """A script's slip is told as a host's is, not in the words of protobuf."""
    with pytest.raises(ValueError, match=told):
        Wishes(**wish)


def test_a_client_that_is_closed_says_so(address):
    """A script that leaves the 'with' before it asks for frames, which come when they are asked."""
    plate, mask = np.zeros((48, 48, 3), np.float32), np.ones((48, 48), np.bool_)
    with InpaintClient(address) as client:
        begun, unasked = (client.inpaint([plate] * 2, [mask] * 2) for _ in range(2))
        next(begun)

    for call in (lambda: list(begun), lambda: list(unasked), lambda: list(client.watch("job"))):
        with pytest.raises(HostError, match=f"the client of {address} is closed; use it inside"):
            call()


def test_a_failed_job_carries_the_servers_reason(quiet):
    """The artist reads what went wrong, not a status code."""
    clips = shot()
    with serving(BrokenEngine()) as address, pytest.raises(JobError, match="exploded"):
        rendered(clips, address)


def test_a_server_lost_in_the_middle_is_told(fake_engine, quiet):
    """What was finished has been handed over; the rest is named as lost."""
    clips = shot(length=6)
    fake_engine.held_at = 2
    fake_engine.hold.clear()
    received = []

    with serving(fake_engine) as address:
        frames = InpaintEffect(clips).render_sequence(
            clips.source.frames, lambda: InpaintClient(address, patience_seconds=0.5), quiet
        )
        received += [next(frames), next(frames)]

    with pytest.raises(ServerLostError, match="went away"):
        list(frames)
    assert [frame for frame, _ in received] == [1001, 1002]


@pytest.mark.parametrize(
    "wrong", [{"hole_grow": -1}, {"model_pixels": 100}, {"surroundings": -0.1}]
)
def test_params_that_cannot_work_are_refused(wrong):
    """The value is in the message."""
    with pytest.raises(ValueError, match="must be at least"):
        Params(**wrong)
