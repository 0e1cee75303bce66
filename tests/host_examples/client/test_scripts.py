"""The scripts that farms copy, run as they stand there."""

import os
import signal
import subprocess
import sys
import threading

import grpc
import numpy as np
import OpenImageIO as oiio
import pytest

from host_examples.standalone.image_files import read_image
from node.client import InpaintClient
from server.protocol import inpaint_pb2 as pb
from server.protocol import inpaint_pb2_grpc
from tests.conftest import eventually, server


def command(name, *arguments):
    return [sys.executable, "-m", f"host_examples.client.{name}", *map(str, arguments)]


def script(name, *arguments):
    return subprocess.run(command(name, *arguments), capture_output=True, text=True, timeout=120)


def begun(name, *arguments):
    """As a terminal starts it: Ctrl-C goes to all that it starts."""
    return subprocess.Popen(
        command(name, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def interrupted(process):
    """Press Ctrl-C; exit code and what it says."""
    os.killpg(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    return process.returncode, told.splitlines()


def write(path, pixels):
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], oiio.HALF)
    file = oiio.ImageOutput.create(str(path))
    assert file.open(str(path), spec)
    assert file.write_image(pixels.astype(np.float16))
    file.close()


def shot(folder):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    matte = np.zeros((60, 80, 1))
    matte[20:40, 20:40] = 1
    for frame in (1001, 1002):
        write(folder / f"plate.{frame}.exr", rng.random((60, 80, 3)))
        write(folder / f"matte.{frame}.exr", matte)
    return folder


def test_a_clip_of_arrays_is_completed(tmp_path, address):
    """The three lines, in a script with arguments."""
    plates = np.random.default_rng(0).random((3, 48, 96, 3), np.float32)
    masks = np.zeros((3, 48, 96), np.uint8)
    masks[:, 10:30, 20:50] = 1
    np.savez(tmp_path / "shot.npz", plates=plates, masks=masks)

    done = script(
        "complete_clip", tmp_path / "shot.npz", "--server", address, "--output", tmp_path / "d"
    )

    assert done.returncode == 0, done.stderr
    expected = np.where(masks[..., np.newaxis] > 0, np.float32(0.25), plates)
    np.testing.assert_array_equal(np.load(tmp_path / "d.npz")["plates"], expected)


def test_a_clip_that_cannot_be_is_one_line(tmp_path, address):
    """A farm's log shows what was wrong."""
    np.savez(tmp_path / "shot.npz", plates=np.zeros((2, 48, 48, 3)))

    done = script(
        "complete_clip", tmp_path / "shot.npz", "--server", address, "--output", tmp_path / "d.npz"
    )

    assert done.returncode == 2
    assert done.stderr.startswith("complete_clip: ")
    assert "masks" in done.stderr


@pytest.mark.parametrize(
    ("clip", "output", "told"),
    [
        ("shot.npz", "nowhere/d.npz", "No such file or directory"),
        ("shot.npz", "folder", "is a folder; name a file"),
        ("shot.npz", "/", "is a folder; name a file"),
        ("shot.npz", "junk.npz/d.npz", "Not a directory"),
        ("junk.npz", "d.npz", "not a zip file"),
    ],
)
def test_a_clip_is_not_computed_for_nothing(tmp_path, address, fake_engine, clip, output, told):
    """A typo in the output is told before an hour of work; nothing half-written is left."""
    np.savez(tmp_path / "shot.npz", plates=np.zeros((1, 48, 48, 3)), masks=np.ones((1, 48, 48)))
    (tmp_path / "junk.npz").write_bytes(b"PK\x03\x04junk")
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    fake_engine.hold.clear()

    done = script(
        "complete_clip", tmp_path / clip, "--server", address, "--output", tmp_path / output
    )

    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith("complete_clip: ")
    assert told in line
    assert sorted(tmp_path.rglob("*")) == before


def test_a_shot_that_lacks_a_matte_is_named(tmp_path, address):
    """A matte that is still being rendered."""
    (shot(tmp_path / "sh010") / "matte.1002.exr").unlink()

    done = script("work_through_folder", tmp_path, "--server", address)

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "work_through_folder: sh010 has 2 plates and 1 mattes; it needs as many of each",
        "work_through_folder: failed: sh010",
    ]


def test_a_folder_of_shots_is_worked_through_and_gone_on_with(tmp_path, address):
    """A broken shot is named, the others are done; the second run has nothing left but that.

    What the machine had done when it was switched off stays as it is.
    """
    for name in ("sh010", "sh020", "sh030"):
        shot(tmp_path / name)
    (tmp_path / "sh020" / "plate.1002.exr").write_bytes(b"not an image")
    done_before = tmp_path / "sh030" / "clean.1001.exr"
    done_before.write_bytes(b"as it was")

    first = script("work_through_folder", tmp_path, "--server", address)
    second = script("work_through_folder", tmp_path, "--server", address)

    assert first.returncode == 1
    assert "failed: sh020" in first.stderr
    assert "[3/3] sh030" in first.stdout
    for name in ("sh010", "sh030"):
        plate = read_image(tmp_path / name / "plate.1002.exr")[0]
        clean = read_image(tmp_path / name / "clean.1002.exr")[0]
        assert (clean[:20] == plate[:20]).all()
        assert (clean[20:40, 20:40] != plate[20:40, 20:40]).any()
    assert "[1/1] sh020" in second.stdout
    assert done_before.read_bytes() == b"as it was"


def test_a_folder_that_is_not_there_is_one_line(tmp_path, address):
    """A typo in a farm's job."""
    done = script("work_through_folder", tmp_path / "nowhere", "--server", address)

    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        f"work_through_folder: there is no folder {tmp_path / 'nowhere'}"
    ]


def test_a_job_is_watched_from_another_machine(address, fake_engine):
    """The supervisor follows what the artist submitted."""
    fake_engine.held_at = 1
    fake_engine.hold.clear()
    plate, mask = np.zeros((48, 48, 3), np.float32), np.ones((48, 48), np.bool_)
    with InpaintClient(address) as client, grpc.insecure_channel(address) as channel:
        sent = client.send(plate, mask)
        inpaint_pb2_grpc.InpaintStub(channel).Submit(
            pb.SubmitRequest(job_id="shot_010", frames=[sent] * 2)
        )
        threading.Timer(1.0, fake_engine.hold.set).start()

        done = script("watch_job", "shot_010", "--server", address)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        *("0 jobs ahead", "frame 0", "1 of 2 frames", "frame 1", "2 of 2 frames", "completed")
    ]


def test_ctrl_c_is_one_line_that_says_what_becomes_of_the_job(tmp_path, fake_engine):
    """Whoever watches leaves the job alone; whose job it is, takes it along."""
    fake_engine.hold.clear()
    np.savez(tmp_path / "shot.npz", plates=np.zeros((1, 48, 48, 3)), masks=np.ones((1, 48, 48)))
    with server(fake_engine) as (address, running):
        active = running.scheduler.active
        at = ("--server", address)
        artist = begun("complete_clip", tmp_path / "shot.npz", *at, "--output", tmp_path / "d.npz")
        eventually(active)
        (job,) = active()
        supervisor = begun("watch_job", job.job_id, *at)
        supervisor.stdout.readline()

        assert interrupted(supervisor) == (
            130,
            [f"watch_job: no longer watched; job {job.job_id} goes on"],
        )
        assert not job.cancel_reason
        assert interrupted(artist) == (
            130,
            ["complete_clip: interrupted; the job is cancelled, nothing is written"],
        )
        eventually(lambda: job.cancel_reason)
    assert [path.name for path in tmp_path.iterdir()] == ["shot.npz"]


def test_ctrl_c_stops_a_folder_and_the_job_at_hand(tmp_path, fake_engine):
    """The server does not work on for a shot that nobody writes."""
    fake_engine.hold.clear()
    shot(tmp_path / "sh010")
    with server(fake_engine) as (address, running):
        folder = begun("work_through_folder", tmp_path, "--server", address)
        eventually(running.scheduler.active)
        (job,) = running.scheduler.active()

        code, lines = interrupted(folder)

        eventually(lambda: job.cancel_reason)
    assert code == 130
    assert lines[-2:] == [
        "sttn-inpaint: interrupted",
        "work_through_folder: interrupted at sh010; the same command goes on",
    ]


def test_a_job_that_is_not_there_cannot_be_watched(address):
    """Exit code 2, and its name."""
    done = script("watch_job", "shot_999", "--server", address)

    assert done.returncode == 2
    assert "no job 'shot_999'" in done.stderr
