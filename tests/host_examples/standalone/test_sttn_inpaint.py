"""sttn-inpaint as it is typed: a process, real files, a real server."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import psutil
import pytest

from host_examples.standalone.command import main
from host_examples.standalone.image_files import read_image, write_image
from host_examples.standalone.images import ImagePlate, ImageWriter
from host_examples.standalone.local_server import local_server
from node.client import InpaintClient
from node.errors import ServerUnreachableError
from tests.conftest import FakeEngine, eventually, serving, usual_signals
from tests.server.engines import ScenesEngine
from tests.server.process import server_process

COMMAND = [sys.executable, "-m", "host_examples.standalone"]


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=240,
    )


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture
def typed(monkeypatch, capsys):
    """sttn-inpaint in this process: exit code and what it says; faster than one of its own."""

    def run_here(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["sttn-inpaint", *map(str, arguments)])
        try:
            main()
        except SystemExit as ended:
            return int(ended.code or 0), capsys.readouterr().err
        return 0, capsys.readouterr().err

    with usual_signals():
        yield run_here


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    """Four half-float frames with awkward values, 1001 to 1004, the matte in channel A."""
    rng = np.random.default_rng(0)
    for frame in range(1001, 1005):
        pixels = rng.uniform(0, 2, (60, 80, 4)).astype(np.float16)
        pixels[0, :4, 0] = [np.nan, np.inf, -np.inf, -1]
        pixels[..., 3] = 0
        pixels[20:40, 20 + frame % 10 : 50, 3] = 1
        spec = oiio.ImageSpec(80, 60, 4, oiio.HALF)
        spec.channelnames = ("R", "G", "B", "A")
        write_image(tmp_path / f"plate.{frame}.exr", pixels, spec)
    return tmp_path


@pytest.mark.slow
def test_a_clean_plate_without_any_server(shot):
    """One command, nothing running, nothing left running; only the matte's pixels change.

    What an artist's environment names for the facility's server is nothing to a server of its own.
    """
    arguments = (shot / "plate.####.exr", "--matte-channel", "A", "--output")
    named = {"STTN_AUTHORITY": str(shot / "ca.pem"), "STTN_TOKEN_FILE": str(shot / "token")}

    done = run(*arguments, shot / "clean.####.exr", STTN_TESTED_IN=str(shot), **named)

    assert done.returncode == 0, done.stderr
    for frame in range(1001, 1005):
        plate, _ = read_image(shot / f"plate.{frame}.exr")
        clean, _ = read_image(shot / f"clean.{frame}.exr")
        outside = plate[..., 3] == 0
        assert clean[outside].tobytes() == plate[outside].tobytes()
        assert (clean[~outside][:, :3] != plate[~outside][:, :3]).mean() > 0.9
        assert np.isfinite(clean[~outside].astype(np.float32)).all()
    for told in ("reading", "sending", "preparing", "completing", "4/4", "frame/s"):
        assert told in done.stderr
    assert not started_in(shot)


def started_in(folder):
    """Processes that still run of those that were told so."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("STTN_TESTED_IN") == str(folder):
                found.append(process)
    return found


def test_a_running_server_and_a_part_of_the_frames(shot, address):
    """Output frames keep the input's numbers, and nothing is overwritten unasked."""
    arguments = (shot / "plate.%04d.exr", "--matte-channel", "A", "--server", address)
    out = ("--output", shot / "clean.%04d.exr", "--frames", "1002-1003")

    done, again = run(*arguments, *out), run(*arguments, *out)

    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in shot.glob("clean.*")) == [
        "clean.1002.exr",
        "clean.1003.exr",
    ]
    assert again.returncode == 2
    assert "clean.1002.exr (and 1 more) exists; add --overwrite or --resume" in last_line(again)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--frames", "1003-1006"], "plate.####.exr has no frame 1005 (nor 1 others)"),
        (["--frames", "9-3"], "frames 9-3 is empty"),
        (["--color-space", "ACESgc"], "no color space 'ACESgc'"),
        (["--server", "localhost:1"], "no server answers at localhost:1"),
        (["--matte-channel", "mask"], "has no channel mask; it has R, G, B, A"),
        (["--matte", "small.exr"], "matte is 40x30, plate is 80x60; reformat the matte first"),
        (["--matte", "nothing.####.png"], "no frames match"),
        (["--hole-grow", "-1"], "--hole-grow must be at least 0, got -1"),
        (["--output", "clean.mp3"], "cannot write .mp3"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_code_2(shot, typed, arguments, told, monkeypatch):
    """It names the thing, the value and the way out, and leaves no file behind."""
    monkeypatch.setitem(InpaintClient.__init__.__kwdefaults__, "connect_seconds", 0.2)
    write_image(
        shot / "small.exr", np.ones((30, 40, 1), np.float16), oiio.ImageSpec(40, 30, 1, oiio.HALF)
    )
    options = {"--matte-channel": "A", "--output": str(shot / "clean.####.exr")}
    if arguments[0] == "--matte":
        del options["--matte-channel"]
        arguments = ["--matte", str(shot / arguments[1])]
    options[arguments[0]] = arguments[1]
    flat = [part for pair in options.items() for part in pair]

    code, said = typed(shot / "plate.####.exr", *flat)

    assert code == 2
    *_, last = said.splitlines()
    assert told in last
    assert last.startswith("sttn-inpaint: ")
    assert not list(shot.glob("*clean*"))


@pytest.mark.slow
def test_weights_that_are_not_there_are_named(shot, typed):
    """By the server that is started, in its own words."""
    code, said = typed(
        *(shot / "plate.####.exr", "--matte-channel", "A", "--output", shot / "clean.####.exr"),
        *("--weights", shot / "nothing.safetensors"),
    )

    assert code == 2
    assert re.search("no weights at .*nothing", said.splitlines()[-1])


def test_a_truncated_frame_is_named(shot, address):
    """Before anything is sent or written."""
    path = shot / "plate.1003.exr"
    path.write_bytes(path.read_bytes()[:2000])

    done = run(
        shot / "plate.####.exr",
        *("--matte-channel", "A", "--server", address, "--output", shot / "clean.####.exr"),
    )

    assert done.returncode == 2
    assert "plate.1003.exr" in last_line(done)
    assert not list(shot.glob("*clean*"))


def test_a_matte_out_of_range_is_clamped_with_a_warning(shot, address):
    """A matte of 0 and 255 in float does what is meant; the warning has a line of its own, where
    who reads it, or a farm that greps a log, finds it."""
    write_image(
        shot / "m.exr", np.full((60, 80, 1), 255, np.float16), oiio.ImageSpec(80, 60, 1, oiio.HALF)
    )

    done = run(
        shot / "plate.####.exr",
        *("--matte", shot / "m.exr", "--server", address, "--output", shot / "clean.####.exr"),
    )

    assert done.returncode == 0, done.stderr
    told = "WARNING: matte, frame 1001: values from 255 to 255 (4 frames) are clamped to [0, 1]"
    assert told in done.stderr.splitlines()


def test_a_server_lost_in_the_middle_leaves_finished_frames_and_says_how_to_go_on(shot):
    """No half-written file, exit code 2, and the range that is missing."""
    engine = FakeEngine()
    engine.held_at = 2
    engine.hold.clear()
    with serving(engine) as address:
        process = subprocess.Popen(
            [
                *COMMAND,
                *(str(shot / "plate.####.exr"), "--matte-channel", "A", "--server", address),
                *("--output", str(shot / "clean.####.exr"), "--patience", "1"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        while len(list(shot.glob("clean.*.exr"))) < 2 and process.poll() is None:
            time.sleep(0.05)
    told = process.communicate(timeout=60)[1]

    assert process.returncode in (2, 130)
    assert sorted(path.name for path in shot.glob("*clean*")) == [
        "clean.1001.exr",
        "clean.1002.exr",
    ]
    assert "go on with the same command and --resume" in told


def test_cuts_and_what_is_made_up_are_told_at_the_end(shot):
    """Whoever wonders about the second scene, or where to look, finds frames and flags."""
    with serving(ScenesEngine()) as address:
        done = run(
            *(shot / "plate.####.exr", "--matte-channel", "A", "--server", address),
            *("--output", shot / "clean.####.exr"),
        )

    assert done.returncode == 0, done.stderr
    assert last_line(done).startswith("sttn-inpaint: cut before frame 1003: ")
    assert "; no frame shows all of what is hidden in 1001-1004: " in last_line(done)


@pytest.mark.slow
def test_a_server_killed_in_the_middle_is_told(shot):
    """kill -9 on the server: one line, exit code 2, finished frames stay."""
    for frame in range(1005, 1033):
        os.link(shot / f"plate.{frame - 4}.exr", shot / f"plate.{frame}.exr")
    with server_process(f"unix:{shot}/s.sock", shot / "log", "--seconds", "1") as server:
        host = subprocess.Popen(
            [
                *COMMAND,
                *(str(shot / "plate.####.exr"), "--matte-channel", "A", "--patience", "1"),
                *("--server", f"unix:{shot}/s.sock", "--output", str(shot / "clean.####.exr")),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        while not list(shot.glob("clean.*.exr")) and host.poll() is None:
            time.sleep(0.005)

        server.kill()

        told = host.communicate(timeout=60)[1]
    assert host.returncode == 2
    assert "went away" in told.splitlines()[-1]
    assert "--resume" in told.splitlines()[-1]
    assert all(read_image(path)[0].shape == (60, 80, 4) for path in shot.glob("*clean*"))


@pytest.mark.slow
def test_the_started_server_dies_with_its_host(shot):
    """Even kill -9 leaves nothing on the machine."""
    process = subprocess.Popen(
        [
            *COMMAND,
            *(str(shot / "plate.####.exr"), "--matte-channel", "A"),
            *("--output", str(shot / "clean.####.exr")),
        ],
        stderr=subprocess.DEVNULL,
    )
    children: list[psutil.Process] = []
    while not children and process.poll() is None:
        time.sleep(0.05)
        children = psutil.Process(process.pid).children()
    assert children

    process.send_signal(signal.SIGKILL)
    process.wait()

    eventually(lambda: not runs(children[0]), seconds=60)


def runs(process: psutil.Process) -> bool:
    """Whether a process has not ended; one that nobody has waited for has."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_movies_in_and_out(tmp_path, address):
    """A movie, one still for all frames, a lossless movie back."""
    from fractions import Fraction

    from host_examples.standalone.movie_writer import MovieWriter
    from host_examples.standalone.movies import Movie

    frames = np.random.default_rng(0).integers(0, 256, (3, 60, 80, 3), dtype=np.uint8)
    writer = MovieWriter(tmp_path / "shot.mkv", Fraction(25), lambda pixels: pixels)
    for number, frame in enumerate(frames, 1):
        writer.write(number, frame)
    writer.close()
    matte = np.zeros((60, 80, 1), np.uint8)
    matte[20:40, 30:50] = 255
    write_image(tmp_path / "matte.png", matte, oiio.ImageSpec(80, 60, 1, oiio.UINT8))

    done = run(
        tmp_path / "shot.mkv",
        *("--matte", tmp_path / "matte.png", "--server", address),
        *("--output", tmp_path / "clean.mkv"),
    )

    assert done.returncode == 0, done.stderr
    clean = Movie(tmp_path / "clean.mkv", 1)
    outside = matte[..., 0] == 0
    assert clean.rate == 25
    for number, frame in enumerate(frames, 1):
        np.testing.assert_array_equal(clean.read(number)[outside], frame[outside])


@pytest.mark.skipif(signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="under nohup")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_stops_and_says_how_to_go_on(shot, fake_engine, address, number):
    """Exit code 130, by a farm's SIGTERM too, or where an ssh session drops; what was finished
    stays, what was begun does not."""
    scratch = shot / "scratch"
    scratch.mkdir()
    fake_engine.held_at = 1
    fake_engine.hold.clear()
    process = subprocess.Popen(
        [
            *COMMAND,
            *(str(shot / "plate.####.exr"), "--matte-channel", "A", "--server", address),
            *("--output", str(shot / "clean.####.exr")),
        ],
        env={**os.environ, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(shot.glob("clean.*.exr")) and process.poll() is None:
        time.sleep(0.05)
    assert list(scratch.iterdir()), "what came of the shot so far"

    process.send_signal(number)

    told = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "1 of 4 frames are finished and stay; go on with the same command and --resume" in told
    assert [path.name for path in shot.glob("*clean*")] == ["clean.1001.exr"]
    assert not list(scratch.iterdir())


def test_an_interrupt_that_python_drops_still_stops_the_job(
    shot, typed, fake_engine, address, monkeypatch
):
    """Ctrl-C in the middle of a finalizer is printed and forgotten; the artist's is not."""
    fake_engine.held_at = 1
    fake_engine.hold.clear()
    written = ImageWriter.write

    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    def write_and_drop(self, frame, pixels):
        written(self, frame, pixels)
        Finalized()

    monkeypatch.setattr(ImageWriter, "write", write_and_drop)
    dropped = []
    monkeypatch.setattr(sys, "unraisablehook", lambda raised: dropped.append(raised.exc_type))
    plate, clean = shot / "plate.####.exr", shot / "clean.####.exr"

    code, told = typed(plate, "--matte-channel", "A", "--server", address, "--output", clean)

    assert code == 130
    assert dropped == [KeyboardInterrupt]
    assert "1 of 4 frames are finished and stay; go on with the same command" in told
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    "output",
    ["plate.####.exr", "./plate.%04d.exr", "link.####.exr", "new/../plate.####.exr"],
)
@pytest.mark.parametrize("how", ["--overwrite", "--resume"])
def test_what_is_read_is_never_written_over(shot, typed, output, how):
    """Originals survive a slip of the pen, by whatever name; nor do they pass as finished."""
    for frame in range(1001, 1005):
        (shot / f"link.{frame}.exr").symlink_to(shot / f"plate.{frame}.exr")
    before = {path: path.read_bytes() for path in shot.iterdir()}
    matte = ("--matte-channel", "A", "--frames", "1002-1003")

    code, told = typed(shot / "plate.####.exr", *matte, "--output", shot / output, how)

    assert code == 2
    assert "1002.exr is a file of" in told
    assert "choose another --output" in told
    assert {path: path.read_bytes() for path in shot.iterdir()} == before


def test_a_single_image_is_written_as_one(shot, typed, address):
    """A photograph goes in and comes out by its name: who tries the tool first has one at hand."""
    matte = ("--matte-channel", "A", "--server", address)

    code, told = typed(shot / "plate.1001.exr", *matte, "--output", shot / "clean.exr")
    many, refused = typed(shot / "plate.####.exr", *matte, "--output", shot / "other.exr")

    assert code == 0, told
    assert [path.name for path in shot.glob("*clean*")] == ["clean.exr"]
    assert many == 2
    assert "other.exr names one file for all frames; write name.####.exr" in refused


def test_a_matte_is_never_written_over(shot, typed):
    """As the plate: it was painted by hand."""
    matte = np.ones((60, 80, 1), np.float16)
    write_image(shot / "m.1001.exr", matte, oiio.ImageSpec(80, 60, 1, oiio.HALF))
    arguments = ("--matte", shot / "m.####.exr", "--output", shot / "m.####.exr", "--overwrite")

    code, told = typed(shot / "plate.####.exr", *arguments, "--frames", "1001")

    assert code == 2
    assert "m.1001.exr is a file of" in told


def test_frames_of_before_never_pass_for_new_ones(shot, typed, address, monkeypatch):
    """--overwrite, Ctrl-C, then what the message advises: every frame comes of the new run."""
    arguments = [shot / "plate.####.exr", "--matte-channel", "A", "--server", address]
    arguments += ["--output", shot / "clean.####.exr"]
    for frame in range(1001, 1005):
        (shot / f"clean.{frame}.exr").write_bytes(b"of yesterday")
    written = ImageWriter.write

    def interrupted(self, frame, pixels):
        if frame == 1002:
            signal.raise_signal(signal.SIGINT)
        written(self, frame, pixels)

    with monkeypatch.context() as patched:
        patched.setattr(ImageWriter, "write", interrupted)
        code, told = typed(*arguments, "--overwrite")
    resumed, _ = typed(*arguments, "--resume")

    assert code == 130
    assert "go on with the same command and --resume instead of --overwrite" in told
    assert resumed == 0
    assert all(read_image(path)[0].shape == (60, 80, 4) for path in shot.glob("clean.*"))


def test_a_movie_that_exists_is_not_said_to_be_resumed(shot, typed):
    """One file, and the one way out that there is."""
    (shot / "clean.mkv").write_bytes(b"")

    code, told = typed(
        shot / "plate.####.exr", "--matte-channel", "A", "--output", shot / "clean.mkv"
    )

    assert code == 2
    assert "clean.mkv exists; add --overwrite, or choose another --output" in told


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("plate.1001.exr/clean.####.exr", "plate.1001.exr is not a folder"),
        ("plate.1001.exr/deep/clean.mkv", "plate.1001.exr is not a folder"),
        ("folder.mkv", "folder.mkv is a folder; write .*folder.mkv/clean"),
    ],
)
def test_an_output_that_cannot_be_is_refused_before_any_work(shot, typed, output, told):
    """Not an hour later."""
    (shot / "folder.mkv").mkdir()

    code, said = typed(shot / "plate.####.exr", "--matte-channel", "A", "--output", shot / output)

    assert code == 2
    assert re.search(told, said)


def test_premultiplied_plates_take_clean_frames_and_make_movies(shot, typed, address):
    """RGBA plates with a painted frame of the same kind; a movie shows them over black."""
    for frame in range(1001, 1005):
        pixels, spec = read_image(shot / f"plate.{frame}.exr")
        pixels[..., 3] = 0.5
        write_image(shot / f"rgba.{frame}.exr", np.nan_to_num(pixels), spec)
    (shot / "paint.1003.exr").write_bytes((shot / "rgba.1003.exr").read_bytes())
    matte = np.zeros((60, 80, 1), np.uint8)
    matte[20:40, 30:50] = 255
    write_image(shot / "m.png", matte, oiio.ImageSpec(80, 60, 1, oiio.UINT8))
    arguments = (shot / "rgba.####.exr", "--premultiplied", "--matte", shot / "m.png")
    arguments += ("--server", address, "--output")

    painted = typed(*arguments, shot / "c.####.exr", "--clean-frames", shot / "paint.####.exr")
    movie = typed(*arguments, shot / "c.mkv")

    assert (painted[0], movie[0]) == (0, 0), painted[1] + movie[1]
    assert (shot / "c.mkv").stat().st_size


def test_what_lies_beside_the_shot_is_never_run(tmp_path, monkeypatch):
    """A server.py in the folder somebody sent is not the server."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep + os.environ.get("PYTHONPATH", ""))
    (tmp_path / "server.py").write_text("open('run', 'w')")

    with (
        pytest.raises(ServerUnreachableError, match="the server did not start"),
        local_server(preset="none"),
    ):
        pytest.fail("started")

    assert [path.name for path in tmp_path.iterdir()] == ["server.py"]


def test_a_checkout_that_is_not_installed_starts_its_own_server(tmp_path, monkeypatch):
    """PYTHONPATH=. is as good as the whole path, wherever the server runs."""
    package = tmp_path / "checkout" / "server"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text("print('listening', flush=True); input()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "checkout")

    with local_server(preset="none") as address:
        assert address.startswith("unix:")


@pytest.fixture
def busy_server(tmp_path, monkeypatch):
    """A server that hears no signal; its folder, where it tells that it started and cleaned up."""
    package = tmp_path / "server"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(
        "import pathlib, signal, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(package / 'started')!r}).touch()\n"
        "print('listening', flush=True)\n"
        "sys.stdin.read()\n"
        f"pathlib.Path({str(package / 'cleaned_up')!r}).touch()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return package


def test_a_server_that_is_at_work_ends_by_itself(busy_server):
    """A signal alone has it finish its job, which took until it was killed: its store stayed."""
    with local_server(preset="none"):
        pass

    assert (busy_server / "cleaned_up").exists()


def test_its_own_server_starts_while_the_shot_is_looked_at(shot, typed, busy_server, monkeypatch):
    """Seconds that an artist need not wait; it is stopped where the shot turns out to be broken."""
    truncated = shot / "plate.1003.exr"
    truncated.write_bytes(truncated.read_bytes()[:-200])
    read = ImagePlate.read

    def waiting(plate, frame):
        if frame == 1003:
            eventually((busy_server / "started").exists)
        return read(plate, frame)

    monkeypatch.setattr(ImagePlate, "read", waiting)

    code, said = typed(
        shot / "plate.####.exr", "--matte-channel", "A", "--output", shot / "clean.####.exr"
    )

    assert (code, "plate.1003.exr" in said) == (2, True), said
    assert (busy_server / "cleaned_up").exists()


@pytest.mark.parametrize(
    ("flag", "value", "told"),
    [
        ("--server", "localhost", "server 'localhost' has no port; write localhost:50071"),
        ("--patience", "-1", "--patience must be at least 0 seconds, got -1"),
        ("--patience", "nan", "--patience must be at least 0 seconds, got nan"),
        ("--rate", "25", "--rate goes with a movie as --output"),
        ("--frames", "1001-100800000", "frames 1001-100800000 are more than 1000000"),
    ],
)
def test_slips_are_told_at_once(shot, typed, flag, value, told):
    """A port or a blank forgotten is no reason to wait, nor to hear of something else."""
    plate, out = shot / "plate.####.exr", shot / "clean.####.exr"

    code, said = typed(plate, "--matte-channel", "A", "--output", out, flag, value)

    assert code == 2
    assert told in said


@pytest.mark.parametrize("flag", ["PLATE", "--output", "--matte", "--hold-out", "--clean-frames"])
def test_what_is_named_by_nothing_is_told(shot, typed, flag, monkeypatch):
    """A script's variable that was never set is not the folder one happens to stand in."""
    monkeypatch.chdir(shot)
    options = {"--matte": "plate.####.exr", "--output": "clean.####.exr", flag: ""}
    plate = options.pop("PLATE", "plate.####.exr")

    code, told = typed(plate, *(word for pair in options.items() for word in pair))

    assert code == 2
    assert f"{flag} is empty" in told
    assert not list(shot.glob("clean*"))


def test_a_stop_before_the_job_is_told(shot, typed, monkeypatch):
    """SIGTERM while files are opened: 130 as in the middle, and a word."""
    stopped = partial(signal.raise_signal, signal.SIGTERM)
    monkeypatch.setattr("host_examples.standalone.command.open_plate", lambda *_, **__: stopped())

    code, told = typed(shot / "plate.####.exr", "--output", shot / "clean.####.exr")

    assert (code, told) == (130, "sttn-inpaint: interrupted\n")


def test_frames_that_nobody_asked_for_may_be_broken(shot, typed, address):
    """A slate that nobody copied whole, before the range."""
    (shot / "plate.1001.exr").write_bytes(b"")
    plate, out = shot / "plate.####.exr", shot / "clean.####.exr"
    matte = ("--matte-channel", "A", "--server", address, "--handles", "0")

    code, told = typed(plate, *matte, "--output", out, "--frames", "1003-1004")

    assert code == 0, told
    assert len(list(shot.glob("clean.*"))) == 2


def test_a_gap_in_the_plate_is_missed_and_a_step_is_told(shot, typed, address, caplog):
    """A frame that did not come off the farm stops the job without --frames too; on twos none is
    missing."""
    arguments = (shot / "plate.####.exr", "--matte-channel", "A", "--server", address)
    out = ("--output", shot / "clean.####.exr")
    (shot / "plate.1002.exr").unlink()

    code, told = typed(*arguments, *out)
    (shot / "plate.1004.exr").unlink()
    again, _ = typed(*arguments, *out)

    assert (code, again) == (2, 0)
    assert "has no frame 1002; it has 1001, 1003-1004" in told
    assert [path.name for path in sorted(shot.glob("clean.*"))] == [
        "clean.1001.exr",
        "clean.1003.exr",
    ]
    assert "frames are 2 apart" in caplog.text


def test_messages_speak_of_flags(shot, typed):
    """Whoever reads --help finds the word again."""
    plate, out = shot / "plate.####.exr", shot / "clean.####.exr"

    code, told = typed(plate, "--matte-channel", "A", "--output", out, "--frames", "1001-1009")

    assert code == 2
    assert "or set --on-missing to hold" in told


def test_resume_does_only_what_is_missing(shot, fake_engine, address):
    """After Ctrl-C the same command goes on; the result is that of one uninterrupted run. An empty
    file, which a farm leaves as a placeholder or a power cut, is no frame."""
    arguments = (shot / "plate.####.exr", "--matte-channel", "A", "--server", address)
    assert run(*arguments, "--output", shot / "whole.####.exr").returncode == 0
    out = ("--output", shot / "clean.####.exr")
    assert run(*arguments, *out).returncode == 0
    (shot / "clean.1002.exr").unlink()
    (shot / "clean.1004.exr").write_bytes(b"")
    kept = (shot / "clean.1001.exr").stat().st_mtime_ns

    resumed, again = run(*arguments, *out, "--resume"), run(*arguments, *out, "--resume")

    assert resumed.returncode == 0, resumed.stderr
    assert "2/2" in resumed.stderr
    assert (shot / "clean.1001.exr").stat().st_mtime_ns == kept
    for frame in range(1001, 1005):
        clean, whole = (read_image(shot / f"{n}.{frame}.exr")[0] for n in ("clean", "whole"))
        assert clean.tobytes() == whole.tobytes()
    assert again.returncode == 0
    assert "all 4 frames are there; nothing to do" in again.stdout


def test_help_teaches():
    """Everything there is to know to start."""
    told = run("--help").stdout

    for word in ("plate.####.exr", "--matte-channel", "--frames", "Exit codes", "--color-space"):
        assert word in told
