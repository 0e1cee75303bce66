"""Files as artists have them: sequences, stills, movies, and broken ones."""

import contextlib
import os
import re
import resource
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import OpenImageIO as oiio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_examples.exchange.exported import ExportedClip, PaintedClip, painted_files
from host_examples.standalone import image_files, images, movies
from host_examples.standalone.image_files import (
    Part,
    read_image,
    read_picture,
    write_image,
    write_picture,
)
from host_examples.standalone.images import ImageWriter
from host_examples.standalone.media import (
    first_pixels,
    matte_of_plate,
    open_matte,
    open_output,
    open_plate,
)
from host_examples.standalone.movie_writer import MovieWriter
from host_examples.standalone.movies import Movie, display_matrix
from host_examples.standalone.sequences import file_of, is_pattern
from host_examples.standalone.timecode import later
from host_examples.standalone.unfinished import begun
from node.color import PlateColor
from node.errors import ClipError
from tests.conftest import eventually


def write_exr(path: Path, pixels: np.ndarray, channels: tuple[str, ...] = ("R", "G", "B")) -> None:
    kind = oiio.HALF if pixels.dtype == np.float16 else oiio.FLOAT
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    spec.channelnames = channels
    spec["compression"] = "zip"
    spec["note"] = "kept"
    write_image(path, pixels, spec)


def gray(value: float, channels: int = 3) -> np.ndarray:
    return np.full((6, 8, channels), value, np.float16)


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """plate.0998.exr to plate.1002.exr, crossing a digit; each holds its number over 1000."""
    for frame in range(998, 1003):
        write_exr(tmp_path / f"plate.{frame:04d}.exr", gray(frame / 1000))
    return tmp_path


@pytest.mark.parametrize("location", ["plate.####.exr", "plate.%04d.exr", ""])
def test_sequences_are_found_by_pattern_and_folder(sequence, location):
    """Frame numbers come from file names, never from positions."""
    plate = open_plate(str(sequence / location) if location else str(sequence))

    assert list(plate.frames) == [998, 999, 1000, 1001, 1002]
    assert plate.read(1001)[0, 0, 0] == np.float16(1.001)


@pytest.mark.parametrize("kind", [oiio.INT16, oiio.UINT32, oiio.DOUBLE])
def test_a_type_that_no_plate_has_is_named_as_it_is_stored(tmp_path, kind):
    """Not as what it was read into."""
    spec = oiio.ImageSpec(8, 6, 3, kind)
    write_image(tmp_path / "p.0001.tif", np.zeros((6, 8, 3), np.float32), spec)

    with pytest.raises(
        ClipError, match=rf"p\.0001\.tif holds {oiio.TypeDesc(kind)} pixels; write 8"
    ):
        open_plate(str(tmp_path / "p.####.tif")).read(1)


def test_numbers_without_padding_are_ordered_as_numbers(tmp_path):
    """9 comes before 10."""
    for frame in (9, 10, 100):
        write_exr(tmp_path / f"p.{frame}.exr", gray(frame))

    plate = open_plate(str(tmp_path / "p.#.exr"))

    assert list(plate.frames) == [9, 10, 100]
    assert plate.read(10)[0, 0, 0] == 10


@pytest.mark.parametrize("folder", ["shot#1", "take@2", "v%d", "v%04d", "cam[1]", "plain"])
@pytest.mark.parametrize(
    "name", ["a.####.exr", "####.exr", "a_####_v2.exr", "a#b.####.exr", "-%04d.exr"]
)
def test_any_folder_and_name_has_frames(tmp_path, folder, name):
    """Only the last #### or %04d of a name stands for a number, wherever it is."""
    location = str(tmp_path / folder / name)
    writer = ImageWriter(location, None)
    for frame in (-3, 7, 12345):
        writer.write(frame, gray(frame))

    plate = open_plate(location)

    assert len({writer.path(frame) for frame in (-3, 7, 12345)}) == 3
    assert list(plate.frames) == [-3, 7, 12345]
    assert plate.read(7)[0, 0, 0] == 7


WORDS = st.text("ab01#%@d._-[]$ ", max_size=8)


@given(folder=WORDS, before=WORDS, after=st.text("ab01@._-[] ", max_size=8), frame=st.integers())
def test_every_frame_of_a_pattern_has_its_file(folder, before, after, frame):
    """Whatever else is in a path: no two frames share a file, and its number is in its name."""
    pattern = f"x{folder}/x{before}.####{after}"

    path = file_of(pattern, frame)

    assert is_pattern(pattern)
    assert path == Path(f"x{folder}/x{before}.{frame:04d}{after}")
    assert path != file_of(pattern, frame + 1)


def test_the_file_that_a_pattern_means_is_the_frame(tmp_path):
    """plate.7.exr beside plate.0007.exr: with #### it is the latter, whichever is listed first."""
    for name, value in (("p.7.exr", 1), ("p.0007.exr", 2), ("p.007.exr", 3)):
        write_exr(tmp_path / name, gray(value))

    values = [open_plate(str(tmp_path / f"p.{n}.exr")).read(7)[0, 0, 0] for n in ("#", "####")]

    assert values == [1, 2]


def test_mattes_come_from_stills_channels_and_sequences(sequence):
    """Every way to hand over a matte gives the same values."""
    still = sequence / "still" / "matte.exr"
    still.parent.mkdir()
    write_exr(still, gray(0.5, 2), ("Y", "A"))
    layered = sequence / "layered"
    layered.mkdir()
    write_exr(layered / "comp.1001.exr", gray(0.5, 4), ("R", "G", "B", "matte.A"))
    plate = open_plate(str(sequence / "plate.####.exr"))
    comp = open_plate(str(layered))

    by_still = open_matte(str(still), "", plate)
    by_channel = matte_of_plate(comp, "matte.A")

    assert list(by_still.frames) == list(plate.frames)
    assert by_still.read(1000)[0, 0] == by_channel.read(1001)[0, 0] == 0.5


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "plate.1001.exr",
            "1001.exr serves all frames; name {}plate.####.exr to give each its own",
        ),
        ("garbage_v2.exr", ""),
        ("garbage.exr", ""),
    ],
)
def test_one_matte_of_a_sequence_is_told_to_stand_still(sequence, caplog, name, told):
    """Who completes a name by Tab gets one file of a roto; versions of a still are no sequence."""
    for still in ("garbage_v1.exr", "garbage_v2.exr", "garbage.exr"):
        write_exr(sequence / still, gray(1))

    open_matte(str(sequence / name), "", open_plate(str(sequence / "plate.####.exr")))

    assert told.format(f"{sequence}{os.sep}") in caplog.text
    assert bool(caplog.text) == bool(told)


def test_integer_mattes_are_scaled_to_one(tmp_path):
    """White in a PNG is a full matte."""
    path = tmp_path / "matte.png"
    write_image(path, np.full((6, 8, 1), 255, np.uint8), oiio.ImageSpec(8, 6, 1, oiio.UINT8))

    assert open_matte(str(path), "", Movieless()).read(7).max() == 1.0


class Movieless:
    """A clip of frames 7 and 8."""

    name = "plate"
    frames = (7, 8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_written_files_keep_pixels_channels_and_metadata(tmp_path, dtype):
    """NaN, inf and channels nobody asked about come through to the bit."""
    pixels = np.random.default_rng(0).normal(size=(6, 8, 5)).astype(dtype)
    pixels[0, :4, 0] = [np.nan, np.inf, -np.inf, -0.0]
    source, target = tmp_path / "in.0007.exr", tmp_path / "out" / "clean.0007.exr"
    write_exr(source, pixels, ("R", "G", "B", "depth.Z", "matte.A"))
    plate = open_plate(str(tmp_path / "in.####.exr"))

    ImageWriter(str(target.parent / "clean.####.exr"), plate).write(7, plate.read(7))

    written, spec = read_image(target)
    stored, original = read_image(source)
    assert written.tobytes() == stored.tobytes()
    assert spec.channelnames == original.channelnames
    assert spec.getattribute("note") == "kept"
    assert spec.getattribute("compression") == "zip"
    assert [path.name for path in target.parent.iterdir()] == ["clean.0007.exr"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    """A wrong output path is one line, not a traceback."""
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(ClipError, match=r"cannot write .*clean\.0001\.exr"):
        ImageWriter(str(tmp_path / "file" / "clean.####.exr"), None).write(1, gray(1))


def test_data_windows_are_kept(tmp_path):
    """A crop inside a larger format stays where it is."""
    spec = oiio.ImageSpec(8, 6, 3, oiio.HALF)
    spec.x, spec.y, spec.full_width, spec.full_height = 20, 10, 64, 48
    write_image(tmp_path / "in.0001.exr", gray(1), spec)
    plate = open_plate(str(tmp_path / "in.####.exr"))

    ImageWriter(str(tmp_path / "out.####.exr"), plate).write(1, plate.read(1))

    written = read_image(tmp_path / "out.0001.exr")[1]
    assert (written.x, written.y, written.full_width, written.full_height) == (20, 10, 64, 48)


def write_window(path: Path, pixels: np.ndarray, left: int, top: int, sheet=(64, 48)) -> None:
    """Half floats somewhere on a sheet."""
    height, width, channels = pixels.shape
    spec = oiio.ImageSpec(width, height, channels, oiio.HALF)
    spec.channelnames = tuple("RGBA"[:channels]) if channels > 1 else ("A",)
    spec.x, spec.y = left, top
    spec.full_width, spec.full_height = sheet
    write_image(path, pixels.astype(np.float16), spec)


@pytest.mark.parametrize(
    ("left", "top", "width", "height"),
    [(20, 10, 8, 6), (0, 0, 8, 6), (22, 8, 9, 5), (-5, -5, 90, 90), (40, 30, 8, 6), (0, 0, 64, 48)],
)
def test_mattes_lie_where_their_data_window_says(tmp_path, left, top, width, height):
    """Autocropped mattes, Nuke's usual, and cropped plates meet on the sheet they were cut from."""
    write_window(tmp_path / "p.0001.exr", np.ones((6, 8, 3)), 20, 10)
    write_window(tmp_path / "m.0001.exr", np.ones((height, width, 1)), left, top)
    plate = open_plate(str(tmp_path / "p.####.exr"))

    matte = open_matte(str(tmp_path / "m.####.exr"), "", plate).read(1)
    still = open_matte(str(tmp_path / "m.0001.exr"), "", plate).read(1)

    expected = np.zeros((6, 8))
    for row, column in np.ndindex(6, 8):
        inside = left <= column + 20 < left + width and top <= row + 10 < top + height
        expected[row, column] = inside
    np.testing.assert_array_equal(matte, expected)
    np.testing.assert_array_equal(still, expected)


@pytest.mark.parametrize(
    ("left", "top", "width", "height"), [(20, 10, 8, 6), (0, 0, 64, 48), (-5, -5, 90, 90)]
)
def test_clean_frames_lie_where_their_data_window_says(tmp_path, left, top, width, height):
    """Painted on the plate's sheet, with more around than the plate has, in every host."""
    values = np.random.default_rng(0).random((height, width, 3)).astype(np.float16)
    write_window(tmp_path / "p.0001.exr", np.ones((6, 8, 3)), 20, 10)
    write_window(tmp_path / "c.0001.exr", values, left, top)
    plate = open_plate(str(tmp_path / "p.####.exr"))
    exported = ExportedClip("Source", painted_files(str(tmp_path / "p.####.exr")), "RGBA")

    typed = open_plate(str(tmp_path / "c.####.exr"), over=plate).read(1)
    inside = PaintedClip(painted_files(str(tmp_path / "c.####.exr")), exported).read(1)

    expected = values[10 - top : 16 - top, 20 - left : 28 - left]
    np.testing.assert_array_equal(typed, expected)
    np.testing.assert_array_equal(inside, expected)


@pytest.mark.parametrize(
    ("name", "frame", "told"),
    [
        (
            "painted.png",
            1000,
            "painted.png has no frame number: it is copied from, and replaces no",
        ),
        ("painted_v012.png", 12, r"_v012.png is taken as frame 12; .* painted_v012\.1001\.png"),
        ("painted.1002.png", 1002, None),
        ("painted_1002.png", 1002, None),
    ],
)
def test_it_is_told_which_frame_a_clean_frame_is(tmp_path, caplog, name, frame, told):
    """A still of the empty set replaces no frame, and a version that is taken for one is seen."""
    (tmp_path / "plate").mkdir()
    (tmp_path / "painted").mkdir()
    for path in (tmp_path / "plate/p.1001.exr", tmp_path / "painted" / name):
        path.touch()
    plate = open_plate(str(tmp_path / "plate"))

    painted = open_plate(str(tmp_path / "painted" / name), over=plate)

    assert painted.frames == [frame]
    assert bool(caplog.text) == bool(told)
    assert re.search(told or "", caplog.text)


def test_clean_frames_that_leave_something_out_are_refused(tmp_path):
    """A cropped painting is no clean frame: what it lacks would be copied from as black."""
    write_window(tmp_path / "p.0001.exr", np.ones((6, 8, 3)), 20, 10)
    write_window(tmp_path / "c.0001.exr", np.ones((6, 7, 3)), 20, 10)
    plate = open_plate(str(tmp_path / "p.####.exr"))
    exported = ExportedClip("Source", painted_files(str(tmp_path / "p.####.exr")), "RGBA")

    for clip in (
        open_plate(str(tmp_path / "c.####.exr"), over=plate),
        PaintedClip(painted_files(str(tmp_path / "c.####.exr")), exported),
    ):
        with pytest.raises(
            ClipError,
            match=r"c\.0001\.exr has the data window 7x6 at 20, 10, which does not cover the "
            r"plate's 8x6 at 20, 10; write whole frames",
        ):
            clip.read(1)


def test_mattes_without_a_place_are_taken_as_they_are(tmp_path):
    """A PNG as large as the sheet is cropped; one as large as the plate's pixels lies over them."""
    write_window(tmp_path / "p.0001.exr", np.ones((6, 8, 3)), 20, 10)
    plate = open_plate(str(tmp_path / "p.####.exr"))
    for name, height, width in (("sheet", 48, 64), ("pixels", 6, 8)):
        values = np.zeros((height, width, 1), np.uint8)
        values[(10, 20) if name == "sheet" else (0, 0)] = 255
        write_image(tmp_path / f"{name}.png", values, oiio.ImageSpec(width, height, 1, oiio.UINT8))

        matte = open_matte(str(tmp_path / f"{name}.png"), "", plate).read(1)

        assert matte.shape == (6, 8)
        assert (matte[0, 0], matte.sum()) == (1, 1)


def test_windows_that_do_not_fit_are_named(tmp_path):
    """Nothing is moved by a guess: another sheet, or a plate whose data window changes."""
    write_window(tmp_path / "p.0001.exr", np.ones((6, 8, 3)), 20, 10)
    write_window(tmp_path / "p.0002.exr", np.ones((6, 8, 3)), 21, 10)
    write_window(tmp_path / "m.exr", np.ones((6, 8, 1)), 20, 10, sheet=(128, 96))
    write_window(tmp_path / "n.exr", np.ones((6, 8, 1)), 0, 10, sheet=(128, 96))
    plate = open_plate(str(tmp_path / "p.####.exr"))

    with pytest.raises(
        ClipError, match=r"p\.0002\.exr has the data window 8x6 at 21, 10, the first"
    ):
        plate.read(2)
    assert open_matte(str(tmp_path / "m.exr"), "", plate).read(1).sum() == 48
    with pytest.raises(ClipError, match=r"n\.exr has the display window 128x96 at 0, 0, the plate"):
        open_matte(str(tmp_path / "n.exr"), "", plate).read(1)


def test_a_fill_has_the_mattes_alpha(tmp_path):
    """Not the plate's, which has four channels as well when it is premultiplied."""
    write_exr(tmp_path / "p.0001.exr", gray(0.5, 5), ("R", "G", "B", "A", "Z"))
    plate = open_plate(str(tmp_path / "p.####.exr"), alpha=True)
    fill = np.random.default_rng(0).random((6, 8, 4)).astype(np.float16)
    color = PlateColor("", np.dtype("f2"))

    writer = open_output(str(tmp_path / "f.####.exr"), plate, plate.read(1), color, "fill only")
    writer.write(1, fill)

    written, spec = read_image(tmp_path / "f.0001.exr")
    assert spec.channelnames == ("R", "G", "B", "A")
    np.testing.assert_array_equal(written, fill)


def test_frames_that_the_plate_lacks_are_written_like_the_nearest(tmp_path, sequence):
    """on_missing hold: files and movies alike."""
    plate = open_plate(str(sequence / "plate.####.exr"))
    ImageWriter(str(tmp_path / "out.####.exr"), plate).write(1004, plate.read(1002))
    ten_bit_movie(tmp_path / "shot.mkv", frames=2)
    movie = open_plate(str(tmp_path / "shot.mkv"))
    color = PlateColor("", np.dtype("uint16"))
    writer = open_output(str(tmp_path / "clean.mkv"), movie, movie.read(1), color)
    for frame in (1, 2, 3):
        writer.write(frame, movie.read(min(frame, 2)))
    writer.close()

    assert read_image(tmp_path / "out.1004.exr")[1].getattribute("note") == "kept"
    clean = Movie(tmp_path / "clean.mkv", 1)
    np.testing.assert_array_equal(clean.read(3), movie.read(2))


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
def test_movies_are_written_and_read(tmp_path, suffix):
    """Numbers, rate and pictures survive; .mkv to the bit."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 200, (3, 6, 8, 3), dtype=np.uint8)
    frames = coarse.repeat(8, axis=1).repeat(8, axis=2)
    writer = MovieWriter(tmp_path / f"clip{suffix}", Fraction(24), lambda pixels: pixels)
    for number, frame in enumerate(frames):
        writer.write(number, frame)
    assert not (tmp_path / f"clip{suffix}").exists()
    writer.close()

    movie = Movie(tmp_path / f"clip{suffix}", 1)

    assert list(movie.frames) == [1, 2, 3]
    assert movie.rate == 24
    for number in (2, 1, 3):
        read = movie.read(number)
        if read.dtype == np.uint16:
            read = (read / 257).round()
        difference = np.abs(read.astype(int) - frames[number - 1].astype(int))
        assert difference.max() <= (0 if suffix == ".mkv" else 60)
        assert difference.mean() <= (0 if suffix == ".mkv" else 6)


def test_a_discarded_movie_leaves_nothing(tmp_path):
    """Half a movie never looks whole."""
    writer = MovieWriter(tmp_path / "clip.mkv", Fraction(24), lambda pixels: pixels)
    writer.write(1, np.zeros((48, 48, 3), np.uint8))

    writer.discard()

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("open_it", "told"),
    [
        (lambda p: open_plate(str(p / "none.####.exr")), "no frames match"),
        (lambda p: open_plate(str(p / "none")), "no file or folder"),
        (
            lambda p: open_plate(str(p / "cut.@@@@.exr")),
            "no file or folder .*cut.@@@@.exr; a sequence is written name.####.exr or name.%04d",
        ),
        (lambda p: open_plate(str(p / "none.mov")), "no file"),
        (lambda p: open_plate(str(p / "text.txt")), "neither an image nor a movie"),
        (lambda p: open_plate(str(p / "broken.mov")), "cannot read the movie .*broken.mov"),
        (lambda p: open_plate(str(p / "cut.0001.exr")).read(1), "cut.0001.exr.*truncated"),
        (lambda p: open_plate(str(p)), "exactly one image sequence, found .*a.*cut"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, open_it, told):
    """One clear line with the file in it."""
    (tmp_path / "text.txt").write_text("hello")
    (tmp_path / "broken.mov").write_bytes(b"not a movie")
    for name in ("a", "cut"):
        write_exr(tmp_path / f"{name}.0001.exr", np.random.rand(64, 64, 3).astype(np.float16))
    whole = (tmp_path / "cut.0001.exr").read_bytes()
    (tmp_path / "cut.0001.exr").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ClipError, match=told):
        open_it(tmp_path)


@pytest.mark.parametrize("share", [0.5, 0.95, 0.9999])
@pytest.mark.parametrize(
    ("suffix", "dtype"),
    [("exr", "f2"), ("png", "u1"), ("png", "u2"), ("tif", "u2"), ("jpg", "u1"), ("dpx", "u2")],
)
def test_a_truncated_file_of_any_format_is_named(tmp_path, suffix, dtype, share):
    """A copy that broke off is never painted gray and passed on."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 80, 3)).astype(dtype)
    path = tmp_path / f"plate.0001.{suffix}"
    kind = {"f2": oiio.HALF, "u1": oiio.UINT8, "u2": oiio.UINT16}[dtype]
    write_image(path, pixels, oiio.ImageSpec(80, 64, 3, kind))
    assert read_image(path)[0].shape == (64, 80, 3)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(ClipError, match=rf"plate\.0001\.{suffix}.*truncated"):
        read_image(path)


@pytest.mark.parametrize("progressive", [0, 1])
def test_a_jpeg_ends_where_its_picture_does(tmp_path, progressive):
    """Phones append a film after it, cameras put a thumbnail before it."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    spec = oiio.ImageSpec(80, 64, 3, oiio.UINT8)
    spec["jpeg:progressive"] = progressive
    path = tmp_path / "plate.0001.jpg"
    write_image(path, pixels, spec)
    whole = path.read_bytes()
    length = (len(whole) + 2).to_bytes(2, "big")
    with_thumbnail = whole[:2] + b"\xff\xe2" + length + whole + whole[2:]

    path.write_bytes(with_thumbnail + b"film\xff\xdafilm")

    assert read_image(path)[0].shape == (64, 80, 3)
    path.write_bytes(with_thumbnail[:-200])
    with pytest.raises(ClipError, match=r"plate\.0001\.jpg.*truncated"):
        read_image(path)


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_dpx_frames_are_written_as_they_were(tmp_path, bits):
    """10-bit scans stay 10-bit scans."""
    codes = np.random.default_rng(0).integers(0, 2**bits, (6, 8, 3)).astype(np.uint16)
    kind = oiio.UINT8 if bits == 8 else oiio.UINT16
    pixels = codes.astype(np.uint8) if bits == 8 else codes
    if bits == 10:
        pixels = (codes << 6) | (codes >> 4)
    spec = oiio.ImageSpec(8, 6, 3, kind)
    spec["oiio:BitsPerSample"] = bits
    write_image(tmp_path / "scan.0001.dpx", pixels, spec)
    plate = open_plate(str(tmp_path / "scan.####.dpx"))

    ImageWriter(str(tmp_path / "clean.####.dpx"), plate).write(1, plate.read(1))

    written, described = read_image(tmp_path / "clean.0001.dpx")
    np.testing.assert_array_equal(written, pixels)
    assert described.getattribute("oiio:BitsPerSample") == bits


@pytest.mark.parametrize(
    ("location", "dtype", "told"),
    [
        ("clean.####.jpg", "f2", "cannot hold the plate's float16.*write .exr"),
        ("clean.####.exr", "u1", "cannot hold the plate's uint8.*write .png"),
        ("clean.####.jpg", "u2", "cannot hold the plate's uint16"),
        ("clean.exr", "f2", r"one file for all frames; write name\.####\.exr"),
        ("clean.avi", "u1", "movies are written as .mkv"),
        ("clean", "u1", "files without suffix"),
        ("clean.mp4", "u1", "have even sides, and the plate is 3x2; write .mkv or .mov"),
    ],
)
def test_outputs_that_would_lose_something_are_refused(tmp_path, location, dtype, told):
    """Before any work is done, with the way out."""
    with pytest.raises(ClipError, match=told):
        open_output(str(tmp_path / location), Movieless(), np.zeros((2, 3, 3), dtype), None)


def ten_bit_movie(path: Path, frames: int = 6) -> list[list[np.ndarray]]:
    """A 10-bit 4:2:2 log movie with tags and sound, as a camera writes it; its planes."""
    planes, rng = [], np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv422p10le"
        context = stream.codec_context
        context.colorspace, context.color_range = 9, 1
        context.color_primaries, context.color_trc = 9, 14
        sound = container.add_stream("pcm_s16le", rate=48000, layout="mono")
        for index in range(frames):
            picture = av.VideoFrame(96, 64, "yuv422p10le")
            for plane in picture.planes:
                values = np.frombuffer(plane, np.uint16)
                values[:] = rng.integers(200, 800, values.shape)
            planes.append([np.frombuffer(plane, np.uint16).copy() for plane in picture.planes])
            container.mux(stream.encode(picture))
            samples = av.AudioFrame.from_ndarray(
                np.full((1, 2000), index, np.int16), format="s16", layout="mono"
            )
            samples.sample_rate = 48000
            container.mux(sound.encode(samples))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return planes


def test_a_camera_movie_keeps_its_code_values_tags_and_sound(tmp_path):
    """10-bit log 4:2:2 in, the same out: only what the matte covers is coded anew."""
    planes = ten_bit_movie(tmp_path / "shot.mkv")
    plate = open_plate(str(tmp_path / "shot.mkv"))
    color = PlateColor("", np.dtype("uint16"))
    writer = open_output(str(tmp_path / "clean.mkv"), plate, plate.read(1), color)

    for frame in plate.frames:
        pixels = plate.read(frame).copy()
        pixels[20:30, 40:60] = 30000
        writer.write(frame, pixels)
    writer.close()

    with av.open(str(tmp_path / "clean.mkv")) as written:
        context = written.streams.video[0].codec_context
        assert context.pix_fmt == "yuv422p10le"
        tags = (context.colorspace, context.color_range)
        assert (*tags, context.color_primaries, context.color_trc) == (9, 1, 9, 14)
        pictures = list(written.decode(video=0))
    assert len(pictures) == 6
    for picture, before in zip(pictures, planes, strict=True):
        for plane, old in zip(picture.planes, before, strict=True):
            values = np.frombuffer(plane, np.uint16).reshape(64, -1)[:, : plane.width]
            same = values == old.reshape(64, -1)[:, : plane.width]
            inside = np.zeros(same.shape, bool)
            step = 96 // plane.width
            inside[20:30, 40 // step : 60 // step] = True
            assert same[~inside].all()
            assert not same[inside].all()
    with av.open(str(tmp_path / "clean.mkv")) as written:
        heard = np.concatenate([each.to_ndarray().ravel() for each in written.decode(audio=0)])
    np.testing.assert_array_equal(heard, np.repeat(np.arange(6), 2000))


@pytest.mark.parametrize(
    ("name", "packed", "planar"),
    [
        ("shot.mov", "uyvy422", "yuv422p"),
        ("shot.avi", "nv12", "yuv420p"),
        ("shot.mov", "v30xle", "yuv444p10le"),
        ("shot.mov", "uyva", "yuva444p"),
    ],
)
def test_a_captured_movie_keeps_its_code_values(tmp_path, name, packed, planar):
    """Capture cards pack brightness and color; what is brighter than white stays, in .mkv."""
    given = av.VideoFrame(64, 48, planar)
    for plane in given.planes:
        plane.update(np.random.default_rng(0).bytes(plane.buffer_size))
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("rawvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, packed
        container.mux(stream.encode(given.reformat(format=packed)))
        container.mux(stream.encode(None))
    plate = open_plate(str(tmp_path / name))
    filled = plate.read(1).copy()
    color = PlateColor("", filled.dtype)
    writer = open_output(str(tmp_path / "clean.mkv"), plate, filled, color)
    filled[:, :32] = 0

    writer.write(1, filled)
    writer.close()

    clean = Movie(tmp_path / "clean.mkv", 1).picture(1)
    assert clean.format.name == planar
    before = plate.picture(1).reformat(format=planar)
    for new, old, part in zip(clean.planes, before.planes, clean.format.components, strict=True):
        kept, known = (np.frombuffer(each, "u1").reshape(each.height, -1) for each in (new, old))
        step = 2 if part.bits > 8 else 1
        outside = slice(part.width // 2 * step, part.width * step)
        np.testing.assert_array_equal(kept[:, outside], known[:, outside])


def test_sound_starts_with_the_first_frame_that_is_written(tmp_path):
    """A part of a movie keeps picture and sound together."""
    ten_bit_movie(tmp_path / "shot.mkv")
    plate = open_plate(str(tmp_path / "shot.mkv"))
    color = PlateColor("", np.dtype("uint16"))
    writer = open_output(str(tmp_path / "clean.mkv"), plate, plate.read(1), color)

    for frame in (3, 4):
        writer.write(frame, plate.read(frame))
    writer.close()

    with av.open(str(tmp_path / "clean.mkv")) as written:
        heard = np.concatenate([each.to_ndarray().ravel() for each in written.decode(audio=0)])
    assert heard[0] == 2
    assert len(heard) < 4 * 2000


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
@pytest.mark.parametrize(
    ("codec", "layout"), [("ffv1", "yuv420p"), ("ffv1", "yuv422p10le"), ("mjpeg", "yuvj420p")]
)
def test_a_plate_of_full_range_is_filled_in_its_range(tmp_path, codec, layout, suffix):
    """Cameras' and screens' movies: 0 to 255 instead of 16 to 235, around the fill and in it."""
    rows, columns = np.mgrid[:48, :64]
    rgb = np.stack([columns * 3 + 30, rows * 4 + 30, 200 - columns], -1).astype(np.uint8)
    with av.open(str(tmp_path / "shot.mkv"), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, layout
        stream.codec_context.colorspace, stream.codec_context.color_range = 1, 2
        picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
        tags = {"dst_colorspace": 1, "dst_color_range": 2}
        container.mux(stream.encode(picture.reformat(format=layout, **tags)))
        container.mux(stream.encode(None))
    plate = open_plate(str(tmp_path / "shot.mkv"))
    before = plate.read(1)
    color = PlateColor("", before.dtype)
    writer = open_output(str(tmp_path / f"clean{suffix}"), plate, before, color)
    filled = before.copy()
    filled[:, 32:] += before.dtype.type(np.iinfo(before.dtype).max // 255)

    writer.write(1, filled)
    writer.close()

    movie = Movie(tmp_path / f"clean{suffix}", 1)
    after = movie.read(1)
    shown, wanted = (each / np.iinfo(each.dtype).max * 255 for each in (after, filled))
    assert abs(shown - wanted)[:, :30].mean() < 3
    assert abs(shown - wanted)[:, 34:].mean() < 3
    if suffix == ".mkv":
        kept = movie.picture(1)
        assert (kept.format.name, kept.color_range) == (layout.replace("yuvj", "yuv"), 2)
        np.testing.assert_array_equal(after[:, :30], before[:, :30])


def phone_movie(path: Path, times: list[int]) -> None:
    """Frames at these milliseconds, held upright, with pixels that are not square, and sound from
    0 to 1.2 seconds.
    """
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(-90)
        sound = container.add_stream("aac", rate=48000, layout="mono")
        for time in times:
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, "u1"), format="rgb24")
            picture.pts, picture.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        for _ in range(56):
            silence = np.zeros((1, 1024), np.float32)
            samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            samples.sample_rate = 48000
            container.mux(sound.encode(samples))
        container.mux(sound.encode(None))


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
def test_a_phones_movie_keeps_its_times_and_is_turned(tmp_path, suffix, caplog):
    """Frames come when there was light enough; sound goes on to their end."""
    times = [0, 40, 80, 120, 500, 530, 1000, 1100]
    phone_movie(tmp_path / "shot.mov", times)
    plate = open_plate(str(tmp_path / "shot.mov"))
    color = PlateColor("", np.dtype("uint8"))
    writer = open_output(str(tmp_path / f"clean{suffix}"), plate, plate.read(1), color)

    for frame in plate.frames:
        writer.write(frame, plate.read(frame))
    writer.close()

    clean = Movie(tmp_path / f"clean{suffix}", 1)
    written = [round(1000 * clean.span(frame)[0]) for frame in clean.frames]
    assert written == pytest.approx(times, abs=2)
    assert clean.picture(1).rotation == plate.picture(1).rotation == -90
    with av.open(str(tmp_path / f"clean{suffix}")) as container:
        heard = sum(each.samples for each in container.decode(audio=0))
        aspect = container.streams.video[0].sample_aspect_ratio
    assert 1.1 < heard / 48000 < 1.25
    assert (aspect == Fraction(4, 3)) != ("without the plate's pixel aspect 4/3" in caplog.text)


UPRIGHT = np.random.default_rng(3).integers(0, 256, (48, 64, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("matrix", "stored"),
    [
        ((-1, 0, 0, -1), UPRIGHT[::-1, ::-1]),
        ((0, 1, -1, 0), np.rot90(UPRIGHT, 1)),
        ((0, -1, 1, 0), np.rot90(UPRIGHT, -1)),
        ((-1, 0, 0, 1), UPRIGHT[:, ::-1]),
    ],
)
def test_mattes_belong_on_what_players_show_of_a_movie(tmp_path, matrix, stored, caplog):
    """A phone upside down or upright, a mirrored picture: artists draw on what they see."""
    a, b, c, d = (each * 65536 for each in matrix)
    with av.open(str(tmp_path / "shot.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.height, stream.width, stream.pix_fmt = *stored.shape[:2], "bgr0"
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(stored), format="rgb24")
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    matte = np.zeros((48, 64, 1), np.uint8)
    matte[4:14, 8:28] = 255
    write_image(tmp_path / "matte.png", matte, oiio.ImageSpec(64, 48, 1, oiio.UINT8))
    plate = open_plate(str(tmp_path / "shot.mkv"))
    filled = first_pixels(plate, [1]).copy()
    color = PlateColor("", filled.dtype)
    writer = open_output(str(tmp_path / "clean.mkv"), plate, filled, color)
    filled[open_matte(str(tmp_path / "matte.png"), "", plate).read(1) > 0] = 7

    writer.write(1, filled)
    writer.close()

    clean = Movie(tmp_path / "clean.mkv", 1)
    expected = np.where(matte > 0, np.uint8(7), UPRIGHT)
    np.testing.assert_array_equal(clean.read(1), expected)
    assert clean.picture(1).to_ndarray(format="rgb24").shape == stored.shape
    assert display_matrix(clean.picture(1)) == display_matrix(plate.picture(1))
    assert "belong on what players show, 64x48" in caplog.text


def test_a_matte_of_a_phones_movie_keeps_its_times_and_is_turned(tmp_path):
    """The matte as it was used lies over the plate in an editor."""
    times = [0, 40, 80, 500, 530, 1000]
    phone_movie(tmp_path / "shot.mov", times)
    plate = open_plate(str(tmp_path / "shot.mov"))
    first = plate.read(1)
    color = PlateColor("", first.dtype)
    writer = open_output(str(tmp_path / "used.mkv"), plate, first, color, "matte used")

    for frame in plate.frames:
        writer.write(frame, np.full((*first.shape[:2], 1), 40 * frame, np.uint8))
    writer.close()

    used = Movie(tmp_path / "used.mkv", 1)
    assert [round(1000 * used.span(frame)[0]) for frame in used.frames] == times
    assert used.picture(1).rotation == -90
    assert [used.read(frame)[3, 5].tolist() for frame in (1, 6)] == [[40] * 3, [240] * 3]


@pytest.mark.parametrize(
    ("timecode", "rate", "third"),
    [
        ("23:59:59:23", Fraction(24000, 1001), "00:00:00:01"),
        ("00:09:59;29", Fraction(30000, 1001), "00:10:00;01"),
        ("01:00:59;59", Fraction(60000, 1001), "01:01:00;05"),
        ("23:59:59;29", Fraction(30000, 1001), "00:00:00;01"),
    ],
)
def test_some_numbers_of_timecodes_are_dropped(timecode, rate, third):
    """To keep up with the clock, as recorders count."""
    assert later(timecode, 2, rate) == third


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
def test_a_timecode_is_that_of_the_first_frame_written(tmp_path, suffix):
    """Editors conform by it, parts of a movie too."""
    plate = interlaced_movie(tmp_path / "shot.mov", "00:00:59;28", Fraction(30000, 1001))
    first = plate.read(1)
    color = PlateColor("", first.dtype)
    writer = open_output(str(tmp_path / f"clean{suffix}"), plate, first, color)

    for frame in (3, 4):
        writer.write(frame, plate.read(frame))
    writer.close()

    assert Movie(tmp_path / f"clean{suffix}", 1).timecode == "00:01:00;02"


@pytest.mark.parametrize("name", ["exr", "dpx"])
@pytest.mark.parametrize(
    ("packed", "rate", "timecode"),
    [
        (0x00005944, Fraction(30000, 1001), "00:00:59;04"),
        (0x23595823, Fraction(24), "23:59:58:23"),
        (0x01020344, Fraction(24), ""),  # none that drops numbers at 24 frames per second
    ],
)
def test_a_movie_bears_the_timecode_and_the_aspect_of_its_sequence(
    tmp_path, caplog, name, packed, rate, timecode
):
    """Editors conform an anamorphic shot by it; each file bears its own."""
    spec = oiio.ImageSpec(64, 48, 3, oiio.HALF if name == "exr" else oiio.UINT16)
    spec["PixelAspectRatio"] = 2.0
    for frame, told in ((1001, 0), (1002, packed)):
        spec.attribute("smpte:TimeCode", oiio.TypeTimeCode, (told, 0))
        write_image(tmp_path / f"p.{frame}.{name}", np.zeros((48, 64, 3), np.uint16), spec)
    plate = open_plate(str(tmp_path / f"p.####.{name}"))
    first = first_pixels(plate, [1002])
    color = PlateColor("", first.dtype)
    writer = open_output(str(tmp_path / "clean.mov"), plate, first, color, rate=float(rate))

    writer.write(1002, first)
    writer.close()

    movie = Movie(tmp_path / "clean.mov", 1)
    assert (movie.timecode, movie.pixel_aspect) == (timecode, 2)
    assert ("which 24 frames per second never do" in caplog.text) == (not timecode)


def interlaced_movie(path: Path, timecode: str, rate: Fraction) -> Movie:
    """Four frames of two fields each."""
    with av.open(str(path), "w") as container:
        container.metadata["timecode"] = timecode
        options = {"flags": "+ildct"}
        stream = container.add_stream("prores_ks", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv422p10le"
        for value in range(4):
            values = np.full((48, 64, 3), 50 * value, np.uint8)
            picture = av.VideoFrame.from_ndarray(values, format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv422p10le")))
        container.mux(stream.encode(None))
    return open_plate(str(path))


@pytest.mark.parametrize(
    ("name", "tag", "told", "wanted", "rate"),
    [
        ("exr", "FramesPerSecond", (24000, 1001), None, Fraction(24000, 1001)),
        ("dpx", "dpx:FrameRate", 29.97, None, Fraction(30000, 1001)),
        ("dpx", "dpx:TemporalFrameRate", 25.0, None, Fraction(25)),
        ("png", "note", 25.0, None, Fraction(24)),
        ("png", "note", 25.0, 12.5, Fraction(25, 2)),
        ("exr", "FramesPerSecond", (25, 1), 23.976, Fraction(24000, 1001)),
    ],
)
def test_a_movie_runs_as_fast_as_its_sequence(tmp_path, caplog, name, tag, told, wanted, rate):
    """As files tell, as the artist says, else at 24 with a word."""
    spec = oiio.ImageSpec(64, 48, 3, oiio.HALF if name == "exr" else oiio.UINT8)
    spec.attribute(tag, *((oiio.TypeDesc("rational"), told) if name == "exr" else (told,)))
    write_image(tmp_path / f"p.0001.{name}", np.zeros((48, 64, 3), np.uint8), spec)
    plate = open_plate(str(tmp_path / f"p.####.{name}"))
    first = plate.read(1)
    color = PlateColor("", first.dtype)
    out = str(tmp_path / "clean.mkv")
    writer = open_output(out, plate, first, color, "clean plate", wanted)

    for frame in range(1, 4):
        writer.write(frame, first)
    writer.close()

    assert Movie(tmp_path / "clean.mkv", 1).rate == rate
    assert ("does not tell its frames per second" in caplog.text) == (rate == 24)


def test_what_a_movie_cannot_keep_is_told(tmp_path, caplog):
    """Fields, and what calls itself a timecode: nobody has to find out later."""
    plate = interlaced_movie(tmp_path / "shot.mov", "01:00:00:00", Fraction(25))
    plate.timecode = "noon"
    first = first_pixels(plate, [1])
    writer = open_output(str(tmp_path / "clean.mkv"), plate, first, PlateColor("", first.dtype))

    writer.write(1, first)
    writer.close()

    assert "shot.mov is interlaced" in caplog.text
    assert "without a timecode: 'noon' is no timecode" in caplog.text


def test_times_that_a_container_rounds_are_even_again(tmp_path):
    """.mkv knows milliseconds only; as .mov such a movie has 24 frames in a second."""
    ten_bit_movie(tmp_path / "shot.mkv")
    plate = open_plate(str(tmp_path / "shot.mkv"))
    color = PlateColor("", np.dtype("uint16"))
    writer = open_output(str(tmp_path / "clean.mov"), plate, plate.read(1), color)

    for frame in range(2, 9):
        writer.write(frame, plate.read(min(frame, 6)))
    writer.close()

    clean = Movie(tmp_path / "clean.mov", 1)
    assert clean.rate == 24
    assert [clean.span(frame)[0] * 24 for frame in clean.frames] == list(range(7))


@pytest.mark.parametrize("suffix", [".avi", ".mxf"])
def test_times_that_a_container_does_not_tell_are_even(tmp_path, suffix):
    """H.264 with B-frames in AVI, as recorders of screens write it: decoded frames bear times that
    go back.
    """
    with av.open(str(tmp_path / f"shot{suffix}"), "w") as container:
        options = {"bf": "3", "b_strategy": "0"}
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for value in range(0, 240, 20):
            values = np.full((48, 64, 3), value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode(None))
    plate = open_plate(str(tmp_path / f"shot{suffix}"))
    color = PlateColor("", np.dtype("uint8"))
    writer = open_output(str(tmp_path / "clean.mp4"), plate, plate.read(1), color)

    for frame in plate.frames:
        writer.write(frame, plate.read(frame))
    writer.close()

    clean = Movie(tmp_path / "clean.mp4", 1)
    assert clean.rate == 25
    assert [clean.span(frame)[0] * 25 for frame in clean.frames] == list(range(12))


def test_sound_that_a_kind_of_movie_cannot_hold_is_left_out_before_any_work(tmp_path, caplog):
    """PCM without a layout in .mp4: a warning at once, and the movie; not an error at its end."""
    with av.open(str(tmp_path / "shot.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height = 64, 48
        tracks = [container.add_stream(kind, rate=48000) for kind in ("pcm_s16le", "aac")]
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        for track, kind in zip(tracks, ("i2", "f4"), strict=True):
            samples = av.AudioFrame.from_ndarray(
                np.zeros((1, 2048) if kind == "i2" else (2, 1024), kind),
                *("s16" if kind == "i2" else "fltp", "stereo"),
            )
            samples.sample_rate = 48000
            container.mux(track.encode(samples))
        for each in (stream, *tracks):
            container.mux(each.encode(None))
    plate = open_plate(str(tmp_path / "shot.mkv"))

    color = PlateColor("", np.dtype("u1"))
    writer = open_output(str(tmp_path / "clean.mp4"), plate, plate.read(1), color)

    assert "its pcm_s16le sound cannot go into this kind of movie and is left out" in caplog.text
    writer.write(1, plate.read(1))
    writer.close()
    with av.open(str(tmp_path / "clean.mp4")) as container:
        assert [each.codec_context.name for each in container.streams.audio] == ["aac"]


@pytest.mark.parametrize("of_movie", [False, True])
@pytest.mark.parametrize("suffix", [".mov", ".mp4"])
def test_brightness_and_color_made_of_rgb_are_said_to_be_rec_709(tmp_path, suffix, of_movie):
    """What players take large pictures without a word for; never the plate's own word, RGB."""
    rows, columns = np.mgrid[:48, :64]
    rgb = np.stack([columns * 3 + 30, rows * 4 + 30, 200 - columns], -1).astype(np.uint8)
    with av.open(str(tmp_path / "shot.mkv"), "w") as container:
        stream = container.add_stream("libx264rgb", rate=24, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "bgr0"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    plate = open_plate(str(tmp_path / "shot.mkv")) if of_movie else Movieless()
    writer = open_output(str(tmp_path / f"clean{suffix}"), plate, rgb, PlateColor("", rgb.dtype))

    writer.write(1, rgb)
    writer.close()

    clean = Movie(tmp_path / f"clean{suffix}", 1)
    assert clean.picture(1).colorspace == 1
    shown = clean.read(1)
    assert abs(shown / np.iinfo(shown.dtype).max * 255 - rgb).mean() < 3


def movie_with_alpha(path: Path, layout: str, codec: str = "ffv1") -> None:
    """Three frames of noise, with an alpha that is nowhere 1."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, layout
        for _ in range(3):
            rgba = rng.integers(0, 60000, (64, 96, 4)).astype(np.uint16)
            picture = av.VideoFrame.from_ndarray(rgba, format="rgba64le").reformat(format=layout)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def rgba_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [each.to_ndarray(format="rgba64le") for each in container.decode(video=0)]


@pytest.mark.parametrize("layout", ["bgra", "rgba64le", "gbrap10le", "yuva444p10le", "yuva444p"])
@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_movies_keep_their_alpha(tmp_path, layout, suffix):
    """Under the matte too: what is filled is as opaque as what it replaces."""
    movie_with_alpha(tmp_path / "shot.mkv", layout)
    plate = open_plate(str(tmp_path / "shot.mkv"))
    color = PlateColor("", plate.read(1).dtype)
    writer = open_output(str(tmp_path / f"clean{suffix}"), plate, plate.read(1), color)

    for frame in plate.frames:
        pixels = plate.read(frame).copy()
        pixels[20:30, 40:60] = 100
        writer.write(frame, pixels)
    writer.close()

    before, after = rgba_of(tmp_path / "shot.mkv"), rgba_of(tmp_path / f"clean{suffix}")
    outside = np.ones((64, 96), bool)
    outside[20:30, 40:60] = False
    for old, new in zip(before, after, strict=True):
        difference = np.abs(old.astype(int) - new)
        assert difference[..., 3].max() <= (0 if suffix == ".mkv" else 257)
        assert suffix == ".mov" or difference[outside].max() == 0
        assert difference[~outside][:, :3].any()


def test_a_mattes_movie_may_be_its_alpha(tmp_path):
    """Rotos come as ProRes 4444: as of images alpha is taken, or the channel that is named; what is
    opaque is 1.
    """
    picture = av.VideoFrame(64, 48, "yuva444p10le")
    for plane, value in zip(picture.planes, (300, 512, 512, 1023), strict=True):
        values = np.full(plane.buffer_size // 2, value, "<u2").reshape(48, -1)
        values[:, 32:] = min(value, 512)
        plane.update(values.tobytes())
    with av.open(str(tmp_path / "roto.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuva444p10le"
        container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    ten_bit_movie(tmp_path / "opaque.mkv")
    plate = open_plate(str(tmp_path / "roto.mkv"))

    green = matte_of_plate(plate, "G").read(1)
    for matte in (
        open_matte(str(tmp_path / "roto.mkv"), "", plate),
        open_matte(str(tmp_path / "roto.mkv"), "A", plate),
        matte_of_plate(plate, "A"),
    ):
        np.testing.assert_array_equal(matte.read(1)[:, :32], 1)
        np.testing.assert_allclose(matte.read(1)[:, 32:], 512 / 1023, atol=1e-5)
    np.testing.assert_allclose(green, plate.read(1)[..., 1] / 65535, atol=1e-6)
    brightest = open_matte(str(tmp_path / "opaque.mkv"), "", plate).read(1)
    of_colors = rgba_of(tmp_path / "opaque.mkv")[0][..., :3].max(axis=-1)
    np.testing.assert_allclose(brightest, of_colors / 65535, atol=1e-6)
    with pytest.raises(ClipError, match=r"opaque\.mkv has no channel A; it has R, G, B"):
        open_matte(str(tmp_path / "opaque.mkv"), "A", plate)


@pytest.mark.parametrize("layout", ["bgra", "yuva444p10le"])
def test_a_premultiplied_movie_is_read_with_its_alpha(tmp_path, layout):
    """Its colors are divided by it on the way to the network; what is written stays as it was."""
    movie_with_alpha(tmp_path / "shot.mkv", layout)
    plate = open_plate(str(tmp_path / "shot.mkv"), alpha=True)
    first = plate.read(1)
    writer = open_output(str(tmp_path / "clean.mkv"), plate, first, PlateColor("", first.dtype))

    writer.write(1, first)
    writer.close()

    before, after = rgba_of(tmp_path / "shot.mkv")[0], rgba_of(tmp_path / "clean.mkv")[0]
    np.testing.assert_allclose(first / np.iinfo(first.dtype).max, before / 65535, atol=2 / 255)
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_frames_of_a_premultiplied_movie_keep_its_colors(tmp_path, suffix):
    """A PNG's colors would be divided by alpha, outside the matte too."""
    movie_with_alpha(tmp_path / "shot.mkv", "bgra")
    plate = open_plate(str(tmp_path / "shot.mkv"), alpha=True)
    first = plate.read(1)
    out = str(tmp_path / f"clean.####.{suffix}")
    writer = open_output(out, plate, first, PlateColor("", first.dtype))

    writer.write(1, first)

    written = open_plate(out, alpha=True)
    np.testing.assert_array_equal(written.read(1), first)


def test_a_movie_of_colors_that_nobody_can_read_is_named(tmp_path):
    """Constant luminance, say: what it is, and what to do."""
    with av.open(str(tmp_path / "shot.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.colorspace = 10
        container.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        container.mux(stream.encode(None))

    with pytest.raises(ClipError, match=r"shot\.mkv, yuv420p in color space 10 .*; convert it"):
        open_plate(str(tmp_path / "shot.mkv")).read(1)


def test_a_movie_format_without_alpha_says_so(tmp_path, caplog):
    """A plate with alpha as .mp4 is opaque; nobody has to find out later."""
    movie_with_alpha(tmp_path / "shot.mkv", "bgra")
    plate = open_plate(str(tmp_path / "shot.mkv"))
    color = PlateColor("", plate.read(1).dtype)
    writer = open_output(str(tmp_path / "clean.mp4"), plate, plate.read(1), color)

    writer.write(1, plate.read(1))
    writer.close()

    assert "clean.mp4 cannot hold the plate's alpha" in caplog.text


def test_what_an_edit_list_cuts_away_is_no_frame(tmp_path):
    """Cameras and editors trim without coding anew; such a movie is whole."""
    with av.open(str(tmp_path / "long.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for value in range(0, 240, 10):
            values = np.full((64, 96, 3), value, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode(None))
    with (
        av.open(str(tmp_path / "long.mp4")) as source,
        av.open(str(tmp_path / "trimmed.mp4"), "w") as target,
    ):
        stream = source.streams.video[0]
        copied = target.add_stream_from_template(stream)
        start = round(5 / 24 / stream.time_base)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.pts, packet.dts, packet.stream = (
                    packet.pts - start,
                    packet.dts - start,
                    copied,
                )
                target.mux(packet)

    movie = open_plate(str(tmp_path / "trimmed.mp4"))

    assert list(movie.frames) == list(range(1, 20))
    assert abs(int(movie.read(19).mean()) - 230) < 3


@pytest.mark.parametrize(
    ("name", "codec", "layout"),
    [("shot.mkv", "ffv1", "yuv420p"), ("shot.mxf", "mpeg2video", "yuv422p")],
)
def test_a_movie_that_lacks_its_end_is_told(tmp_path, caplog, name, codec, layout):
    """A copy that broke off: these kinds do not count their frames, and look whole but shorter."""
    movie_of_noise(tmp_path / name, codec, layout)

    whole = open_plate(str(tmp_path / name))
    assert not caplog.text
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: len(content) * 6 // 10])
    short = open_plate(str(tmp_path / name))

    assert len(short.frames) < len(whole.frames) == 12
    assert f"{name} says that it lasts 0.50 s, and its last frame comes at 0." in caplog.text


def test_a_frame_that_is_damaged_is_told(tmp_path, caplog):
    """A tape's dropout, a bad disk: decoders make something of it, and nobody would know."""
    movie_of_noise(tmp_path / "shot.mov", "prores_ks", "yuv422p10le")
    content = bytearray((tmp_path / "shot.mov").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 60] = np.random.default_rng(0).bytes(60)
    (tmp_path / "shot.mov").write_bytes(content)

    movie = open_plate(str(tmp_path / "shot.mov"))
    for reader in (movie, movie.another()):
        for frame in reader.frames:
            reader.read(frame)

    assert caplog.text.count("shot.mov is damaged at frame") == 1


def movie_of_noise(path: Path, codec: str, layout: str) -> None:
    """Twelve frames at 24 per second, each as large as the next."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24)
        stream.width, stream.height, stream.pix_fmt = 96, 64, layout
        for _ in range(12):
            values = rng.integers(0, 256, (64, 96, 3), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode(None))


def test_a_movie_is_read_through_once_before_the_first_frame(tmp_path, monkeypatch):
    """An hour of ProRes on a network disk: counting its frames takes minutes."""
    ten_bit_movie(tmp_path / "shot.mkv", frames=3)
    counts = []
    counted = movies._counted
    monkeypatch.setattr(movies, "_counted", lambda *of: counts.append(of) or counted(*of))

    plate = open_plate(str(tmp_path / "shot.mkv"))
    last = plate.read(3).copy()
    color = PlateColor("", np.dtype("uint16"))
    writer = open_output(str(tmp_path / "clean.mkv"), plate, last, color)
    for frame in plate.frames:
        writer.write(frame, plate.read(frame))
    writer.close()

    assert len(counts) == 1
    np.testing.assert_array_equal(Movie(tmp_path / "clean.mkv", 1).read(3), last)


@pytest.mark.parametrize("size", [30, 3000, 40_000])
@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
def test_a_full_disk_leaves_no_movie_that_looks_whole(tmp_path, suffix, size):
    """One line, whether it fills up at the first frame or at the last."""
    rng = np.random.default_rng(0)
    writer = MovieWriter(tmp_path / f"clip{suffix}", Fraction(24), lambda pixels: pixels)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))

    def write_all() -> None:
        for number in range(4):
            writer.write(number, rng.integers(0, 255, (96, 192, 3), np.uint8))
        writer.close()

    try:
        with pytest.raises(ClipError, match=r"cannot write .*clip"):
            write_all()
        writer.discard()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert not list(tmp_path.iterdir())


def test_two_runs_to_one_output_do_not_spoil_each_other(tmp_path, monkeypatch):
    """A farm hands out a task twice: each file is one of the two, whole."""
    check = image_files._require_whole

    def other_run(written, path):
        monkeypatch.setattr(image_files, "_require_whole", check)
        write_exr(path, gray(2))
        check(written, path)

    monkeypatch.setattr(image_files, "_require_whole", other_run)
    write_exr(tmp_path / "c.0001.exr", gray(1))
    movies = [MovieWriter(tmp_path / "c.mkv", Fraction(24), lambda pixels: pixels) for _ in "12"]
    for movie, value in zip(movies, (1, 2), strict=True):
        movie.write(1, np.full((6, 8, 3), value, np.uint8))
    movies[0].close()
    movies[1].discard()

    assert read_image(tmp_path / "c.0001.exr")[0][0, 0, 0] == 1
    assert Movie(tmp_path / "c.mkv", 1).read(1)[0, 0, 0] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.0001.exr", "c.mkv"]


@pytest.mark.parametrize(
    ("output", "own"), [("c.####_v2.exr", "c.0007_v2.exr"), ("clean.mkv", "clean.mkv")]
)
def test_what_a_crashed_run_left_is_told_and_after_a_day_removed(tmp_path, caplog, output, own):
    """Hidden files on a shared disk; a run that is at work, and other outputs, are left alone."""
    left = [begun(tmp_path / name) for name in (own, own, "other.0007.exr", "other.mkv")]
    for path in (left[0], left[2], left[3]):
        os.utime(path, (0, 0))

    open_output(str(tmp_path / output), Movieless(), gray(0), None)

    assert [path.exists() for path in left] == [False, True, True, True]
    assert f"{left[1]} is unfinished: another run writes there too, or one crashed" in caplog.text


def test_every_part_of_a_file_is_kept(tmp_path):
    """A multi-part EXR of two views, depth and a matte: only the plate's colors change."""
    rng = np.random.default_rng(0)
    parts = []
    for name, channels, dtype in (
        ("left", ("R", "G", "B", "A"), np.float16),
        ("depth", ("Z",), np.float32),
        ("masks", ("robot.A", "dog.A"), np.float16),
    ):
        pixels = rng.normal(size=(6, 8, len(channels))).astype(dtype)
        kind = oiio.HALF if dtype == np.float16 else oiio.FLOAT
        spec = oiio.ImageSpec(8, 6, len(channels), kind)
        spec.channelnames = channels
        spec["name"], spec["compression"], spec["PixelAspectRatio"] = name, "piz", 2.0
        spec.attribute("smpte:TimeCode", oiio.TypeTimeCode, (0x01020304, 0))
        spec.x, spec.full_width, spec.full_height = 3, 20, 10
        parts.append(Part(pixels, spec))
    write_picture(tmp_path / "in.0007.exr", parts)
    plate = open_plate(str(tmp_path / "in.####.exr"))
    matte = matte_of_plate(plate, "dog.A")
    changed = plate.read(7) + np.float16(1)

    ImageWriter(str(tmp_path / "out.####.exr"), plate).write(7, changed)

    before, after = (read_picture(tmp_path / f"{kind}.0007.exr") for kind in ("in", "out"))
    np.testing.assert_array_equal(matte.read(7), parts[2].pixels[..., 1].astype(np.float32))
    np.testing.assert_array_equal(after.parts[0].pixels[..., :3], changed)
    assert after.parts[0].pixels[..., 3].tobytes() == parts[0].pixels[..., 3].tobytes()
    for old, new in zip(before.parts, after.parts, strict=True):
        for key in ("name", "compression", "PixelAspectRatio", "smpte:TimeCode"):
            assert new.spec.getattribute(key) == old.spec.getattribute(key) is not None
        for key in ("x", "y", "full_width", "full_height", "channelnames", "format"):
            assert getattr(new.spec, key) == getattr(old.spec, key)
    for old, new in zip(before.parts[1:], after.parts[1:], strict=True):
        assert new.pixels.tobytes() == old.pixels.tobytes()


@pytest.mark.parametrize("colors", ["half", "float"])
def test_ids_and_depth_beside_the_colors_stay_as_they_are(tmp_path, colors):
    """Renderers write ids and a float depth into a half file, whose plate is half still, as its
    clean frames are; ids that would be rounded are refused, and kept in a part of their own.
    """
    rng = np.random.default_rng(0)
    dtype = {"half": np.float16, "float": np.float32}[colors]
    pixels = rng.random((6, 8, 5)).astype(dtype).astype(np.float32)
    pixels[..., 4] = rng.integers(0, 2**23, (6, 8)) / (2**32 - 1)
    spec = oiio.ImageSpec(8, 6, 5, oiio.FLOAT)
    spec.channelnames = ("R", "G", "B", "Z", "id")
    spec.channelformats = (colors, colors, colors, "float", "uint")
    spec["name"] = "beauty"
    ids = oiio.ImageSpec(8, 6, 1, oiio.UINT32)
    ids.channelnames, ids["name"] = ("hash",), "ids"
    parts = [Part(pixels, spec), Part(rng.integers(0, 2**32, (6, 8, 1), np.uint32), ids)]
    write_picture(tmp_path / "in.0001.exr", parts)
    pixels[0, 0, 4] = 1
    write_image(tmp_path / "large.0001.exr", pixels, spec)
    plate = open_plate(str(tmp_path / "in.####.exr"))
    changed = plate.read(1) * 2

    ImageWriter(str(tmp_path / "out.####.exr"), plate).write(1, changed)

    assert plate.read(1).dtype == dtype
    np.testing.assert_array_equal(plate.read(1), pixels[..., :3])
    before, after = (read_picture(tmp_path / f"{name}.0001.exr").parts for name in ("in", "out"))
    assert [str(each) for each in after[0].spec.channelformats] == [*[colors] * 3, "float", "uint"]
    np.testing.assert_array_equal(after[0].pixels[..., :3], changed)
    np.testing.assert_array_equal(after[0].pixels[..., 3:], before[0].pixels[..., 3:])
    np.testing.assert_array_equal(after[1].pixels, parts[1].pixels)
    large = open_plate(str(tmp_path / "large.####.exr"))
    with pytest.raises(ClipError, match="32-bit numbers of id would be rounded beside half or"):
        ImageWriter(str(tmp_path / "out.####.exr"), large).write(1, large.read(1))


@pytest.mark.parametrize("words", [("R", "G", "B", "A"), ("red", "green", "blue", "alpha")])
def test_the_plate_among_several_layers_is_named(tmp_path, words):
    """A render without plain R, G and B: nothing is filled by a guess, and only what was named."""
    names = tuple(f"{layer}.{word}" for layer in ("albedo", "beauty") for word in words)
    pixels = np.random.default_rng(0).random((6, 8, 8)).astype(np.float16)
    write_exr(tmp_path / "in.0001.exr", pixels, names)
    location = str(tmp_path / "in.####.exr")

    with pytest.raises(ClipError, match=r"in\.0001\.exr has albedo, beauty; name one with --layer"):
        open_plate(location).read(1)
    with pytest.raises(ClipError, match=r"has no layer diffuse; it has albedo, beauty"):
        open_plate(location, layer="diffuse").read(1)
    plate = open_plate(location, layer="beauty", alpha=True)
    ImageWriter(str(tmp_path / "out.####.exr"), plate).write(1, plate.read(1) * 0)

    before, spec = read_image(tmp_path / "in.0001.exr")
    after, _ = read_image(tmp_path / "out.0001.exr")
    order = [spec.channelnames.index(f"beauty.{word}") for word in words]
    np.testing.assert_array_equal(plate.read(1), before[..., order])
    assert not after[..., order[:3]].any()
    others = [index for index in range(8) if index not in order[:3]]
    np.testing.assert_array_equal(after[..., others], before[..., others])


def write_layers(path: Path, *names: str) -> None:
    """Constant channels: the first is 0, the next 1 and so on."""
    write_exr(path, np.broadcast_to(np.arange(len(names)), (6, 8, len(names))).astype("f2"), names)


def layer(name: str) -> tuple[str, ...]:
    return tuple(f"{name}.{word}" for word in "RGBA")


def test_the_plates_layer_is_taken_of_what_goes_with_it(tmp_path):
    """Whoever paints, or masks, in beauty and keeps all layers gets beauty, not the plain colors;
    a painting of nothing but colors is one too.
    """
    write_layers(tmp_path / "p.0001.exr", *"RGBA", *layer("beauty"))
    write_layers(tmp_path / "one.0001.exr", *"RGB")
    write_layers(tmp_path / "two.0001.exr", *layer("albedo"), *layer("beauty"))
    write_layers(tmp_path / "other.0001.exr", *layer("albedo"), *layer("diffuse"))
    plate = open_plate(str(tmp_path / "p.####.exr"), layer="beauty")

    def painted(name: str) -> list[float]:
        clip = open_plate(str(tmp_path / f"{name}.####.exr"), layer="beauty", over=plate)
        return clip.read(1)[0, 0].tolist()

    assert [painted(name) for name in ("p", "one", "two")] == [[4, 5, 6], [0, 1, 2], [4, 5, 6]]
    with pytest.raises(ClipError, match="has no layer beauty; it has albedo, diffuse"):
        painted("other")
    assert open_matte(str(tmp_path / "p.####.exr"), "", plate).read(1)[0, 0] == 7


@pytest.mark.parametrize(
    ("names", "taken"),
    [("rgba", "a"), (layer("robot"), "robot.A"), ("ZRGB", "R"), ("YA", "A"), ("YZ", "Y")],
)
def test_a_mattes_alpha_is_that_of_what_would_be_the_plate(tmp_path, names, taken):
    """One rule for both: files of r, g, b and a, or of one layer, have an alpha too."""
    write_layers(tmp_path / "m.exr", *names)

    matte = open_matte(str(tmp_path / "m.exr"), "", Movieless()).read(7)

    assert matte[0, 0] == names.index(taken)


def test_the_only_layer_is_the_plate(tmp_path):
    """By the names of its channels, whatever stands beside it in which order."""
    names = ("Z", "beauty.R", "beauty.G", "beauty.B")
    write_exr(tmp_path / "in.0001.exr", gray(0.25, 4) * np.float16([1, 2, 3, 4]), names)

    plate = open_plate(str(tmp_path / "in.####.exr"))

    np.testing.assert_array_equal(plate.read(1)[0, 0], np.float16([0.5, 0.75, 1]))


def test_a_lossy_compression_is_not_repeated(tmp_path, caplog):
    """DWA would change every pixel again; the clean plate is exact, and the log says why."""
    path = tmp_path / "in.0001.exr"
    spec = oiio.ImageSpec(64, 48, 3, oiio.HALF)
    spec["compression"] = "dwaa"
    source = oiio.ImageOutput.create(str(path))
    assert source.open(str(path), spec)
    source.write_image(np.random.default_rng(0).random((48, 64, 3)).astype(np.float16))
    source.close()
    plate = open_plate(str(tmp_path / "in.####.exr"))

    ImageWriter(str(tmp_path / "out.####.exr"), plate).write(1, plate.read(1))

    written, described = read_image(tmp_path / "out.0001.exr")
    np.testing.assert_array_equal(written, plate.read(1))
    assert described.getattribute("compression") == "zip"
    assert "dwaa compression loses" in caplog.text


@pytest.fixture
def decoded(monkeypatch):
    """Numbers of the files that are decoded, as they begin to be."""
    numbers = []

    def counting(path):
        numbers.append(int(path.suffixes[0][1:]))
        return read_picture(path)

    monkeypatch.setattr(images, "read_picture", counting)
    return numbers


def test_plate_and_matte_decode_a_file_once(tmp_path, decoded):
    """At 4K decoding is most of what the node does."""
    write_exr(tmp_path / "comp.0001.exr", gray(0.5, 4), ("R", "G", "B", "A"))
    plate = open_plate(str(tmp_path / "comp.####.exr"))
    matte = matte_of_plate(plate, "A")
    plate.read(1)

    assert matte.read(1)[0, 0] == 0.5
    assert decoded == [1]


def test_what_is_foreseen_is_decoded_meanwhile(tmp_path, decoded):
    """Two files while the node works on one, whatever it skips; never the whole shot."""
    for frame in range(1, 9):
        write_exr(tmp_path / f"comp.{frame:04d}.exr", gray(frame / 10, 3), ("R", "G", "B"))
    plate = open_plate(str(tmp_path / "comp.####.exr"))
    plate.expect([1, 2, 5, 6, 8])

    seen = [plate.read(frame)[0, 0, 0] for frame in (1, 5)]

    assert seen == pytest.approx([0.1, 0.5], abs=1e-3)
    eventually(lambda: sorted(decoded) == [1, 2, 5, 6, 8])
    assert [plate.read(frame)[0, 0, 0] for frame in (6, 8)] == pytest.approx([0.6, 0.8], abs=1e-3)
    assert sorted(decoded) == [1, 2, 5, 6, 8]


def test_a_file_that_is_written_anew_is_read_anew(tmp_path):
    """A render that goes on while a host has the sequence open, or a broken file that is mended."""
    path = tmp_path / "comp.0001.exr"
    write_exr(path, gray(0.25, 3), ("R", "G", "B"))
    plate = open_plate(str(tmp_path / "comp.####.exr"))
    first = plate.read(1)[0, 0, 0]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ClipError, match=r"comp\.0001\.exr"):
        plate.read(1)
    write_exr(path, gray(0.75, 3), ("R", "G", "B"))

    assert (first, plate.read(1)[0, 0, 0]) == (0.25, 0.75)


@pytest.mark.parametrize(
    ("stored", "straight", "written", "dtype"),
    [
        ("png", 1, "png", "u1"),
        ("png", 1, "tif", "u2"),
        ("tif", 1, "tif", "u1"),
        ("tif", 1, "png", "u2"),
        ("tif", 0, "tif", "u2"),
        ("tif", 1, "exr", "f4"),
        ("dpx", 0, "dpx", "u1"),
        ("png", 1, "dpx", "u1"),
    ],
)
def test_colors_under_alpha_are_what_they_were(tmp_path, stored, straight, written, dtype):
    """Straight or premultiplied, under no alpha too: the plate outside the matte, bit for bit."""
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 4)).astype(dtype)
    pixels[:3, :, 3] = 0
    kinds = {"u1": oiio.UINT8, "u2": oiio.UINT16, "f4": oiio.FLOAT}
    spec = oiio.ImageSpec(8, 6, 4, kinds[dtype])
    spec["oiio:UnassociatedAlpha"] = straight
    write_image(tmp_path / f"in.0001.{stored}", pixels, spec)
    plate = open_plate(str(tmp_path / f"in.####.{stored}"))

    ImageWriter(str(tmp_path / f"out.####.{written}"), plate).write(1, plate.read(1))

    np.testing.assert_array_equal(plate.read(1), pixels[..., :3])
    np.testing.assert_array_equal(read_image(tmp_path / f"out.0001.{written}")[0], pixels)


def make_image(path: Path, *specs: oiio.ImageSpec) -> None:
    """Noise, as other programs write it: with tiles, pages, or words that mean something."""
    output = oiio.ImageOutput.create(str(path))
    for number, spec in enumerate(specs):
        assert output.open(str(path), spec, "AppendSubimage" if number else "Create")
        shape = (spec.height, spec.width, spec.nchannels)
        output.write_image(np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8))
    assert output.close()


def described(kind: oiio.BASETYPE, channels: str = "RGB", **words: object) -> oiio.ImageSpec:
    spec = oiio.ImageSpec(32, 32, len(channels), kind)
    spec.channelnames = tuple(channels)
    for name, value in words.items():
        spec[name] = value
    return spec


def test_what_a_format_cannot_describe_is_left_out_or_refused_before_any_work(tmp_path):
    """Tiles are storage, pages are pictures: a tiled TIFF becomes a PNG, two pages do not."""
    tiled = described(oiio.UINT8)
    tiled.tile_width = tiled.tile_height = 16
    make_image(tmp_path / "t.0001.tif", tiled)
    make_image(tmp_path / "p.0001.tif", *[described(oiio.UINT8)] * 2)
    color = PlateColor("", np.dtype("u1"))
    plate, pages = (open_plate(str(tmp_path / f"{name}.####.tif")) for name in "tp")

    first = plate.read(1)
    open_output(str(tmp_path / "out.####.png"), plate, first, color).write(1, first)
    with pytest.raises(ClipError, match=r"cannot write .*not.0001.png: png does not support sub"):
        open_output(str(tmp_path / "not.####.png"), pages, pages.read(1), color)

    np.testing.assert_array_equal(read_image(tmp_path / "out.0001.png")[0], first)


@pytest.mark.parametrize(
    ("channels", "word", "value"),
    [
        ("RGB", "textureformat", "LatLong Environment"),
        ("RGBZ", "acesImageContainerFlag", 1),
        ("RGB", "acesImageContainerFlag", 1),
    ],
)
def test_words_of_a_file_that_would_be_orders_are_not(tmp_path, channels, word, value):
    """A panorama and an ACES container, even one with a channel too many, are written like others;
    what is such a container says so again.
    """
    make_image(tmp_path / "in.0001.exr", described(oiio.HALF, channels))
    picture = read_picture(tmp_path / "in.0001.exr")
    spec = picture.parts[0].spec
    spec[word] = value
    ap0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
    spec.attribute("chromaticities", oiio.TypeDesc("float[8]"), ap0)
    spec["compression"] = "none"

    write_picture(tmp_path / "out.0001.exr", picture.parts)

    written, again = read_image(tmp_path / "out.0001.exr")
    np.testing.assert_array_equal(written, picture.parts[0].pixels)
    is_container = word.startswith("aces") and channels == "RGB"
    assert again.getattribute("acesImageContainerFlag") == (1 if is_container else None)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_mattes_belong_on_what_viewers_show_of_a_photograph(tmp_path, orientation):
    """A camera held upright or upside down; the file lies as it lay."""
    buffer = oiio.ImageBuf(oiio.ImageSpec(8, 6, 3, oiio.UINT8))
    stored = np.arange(144, dtype=np.uint8).reshape(6, 8, 3)
    buffer.set_pixels(buffer.roi, stored)
    buffer.specmod()["Orientation"] = orientation
    buffer.write(str(tmp_path / "p.0001.tif"))
    upright = oiio.ImageBufAlgo.reorient(buffer).get_pixels(oiio.UINT8)
    plate = open_plate(str(tmp_path / "p.####.tif"))
    filled = plate.read(1).copy()
    np.testing.assert_array_equal(filled, upright)
    filled[0, 0] = 200

    for suffix in ("png", "dpx"):
        ImageWriter(str(tmp_path / f"clean.####.{suffix}"), plate).write(1, filled)
    shape = (*filled.shape[:2], 1)
    ImageWriter(str(tmp_path / "used.####.png"), plate, "matte used").write(
        1, np.zeros(shape, np.uint8)
    )

    clean = oiio.ImageBuf(str(tmp_path / "clean.0001.png"))
    assert clean.spec().getattribute("Orientation") == orientation
    assert (clean.get_pixels(oiio.UINT8) != stored).any(axis=-1).sum() == 1
    shown = oiio.ImageBufAlgo.reorient(clean).get_pixels(oiio.UINT8)
    np.testing.assert_array_equal(shown, filled)
    np.testing.assert_array_equal(open_plate(str(tmp_path / "clean.####.dpx")).read(1), filled)
    assert open_matte(str(tmp_path / "used.####.png"), "", plate).read(1).shape == shape[:2]


def test_colors_that_are_not_rgb_are_refused(tmp_path):
    """Print work: its inks would not come back as they were outside the matte."""
    make_image(tmp_path / "p.0001.tif", described(oiio.UINT8, **{"tiff:ColorSpace": "CMYK"}))

    with pytest.raises(ClipError, match=r"p\.0001\.tif is CMYK, not RGB; convert it first"):
        open_plate(str(tmp_path / "p.####.tif")).read(1)


@pytest.mark.parametrize(
    ("channels", "told"),
    [
        (("R", "G"), r"p\.0001\.exr has no B beside R, G; write R, G and B, or"),
        (("G", "B", "A"), "has no R beside"),
        (("beauty.R", "beauty.B"), "has no G beside"),
        (("Y", "A"), None),
        (("R",), None),
    ],
)
def test_two_colors_are_no_gray(tmp_path, channels, told):
    """A channel deleted by mistake: filled in one color, the object would stay in the other."""
    write_exr(tmp_path / "p.0001.exr", np.zeros((6, 8, len(channels)), np.float16), channels)
    plate = open_plate(str(tmp_path / "p.####.exr"))

    with pytest.raises(ClipError, match=told) if told else contextlib.nullcontext():
        assert plate.read(1).shape == (6, 8, 3)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f2", "f4"])
def test_a_gray_plate_gets_the_fills_mean(tmp_path, dtype):
    """Not its blue; and outside the matte its own values, to the bit."""
    pixels = np.random.default_rng(0).integers(0, 255, (6, 8, 1)).astype(dtype)
    suffix = "png" if dtype[0] == "u" else "exr"
    kinds = {"u1": oiio.UINT8, "u2": oiio.UINT16, "f2": oiio.HALF, "f4": oiio.FLOAT}
    pixels = pixels if dtype[0] == "u" else pixels / pixels.dtype.type(7)
    if dtype[0] == "f":
        signaling = {"f2": np.uint16(0x7D01), "f4": np.uint32(0x7FA00001)}[dtype]
        pixels[0, 0] = signaling.view(dtype)
    write_image(tmp_path / f"in.0001.{suffix}", pixels, oiio.ImageSpec(8, 6, 1, kinds[dtype]))
    plate = open_plate(str(tmp_path / f"in.####.{suffix}"))
    filled = plate.read(1).copy()
    filled[2, 3] = (200, 150, 52)

    ImageWriter(str(tmp_path / f"out.####.{suffix}"), plate).write(1, filled)

    written = read_image(tmp_path / f"out.0001.{suffix}")[0]
    assert written[2, 3, 0] == plate.read(1).dtype.type(134)
    written[2, 3] = pixels[2, 3]
    assert written.tobytes() == pixels.tobytes()


@pytest.mark.parametrize("size", [20_000, 53_000])
@pytest.mark.parametrize("suffix", ["png", "tif", "dpx", "exr", "jpg"])
def test_a_full_disk_leaves_no_file_that_looks_whole(tmp_path, suffix, size):
    """One line instead of frames that end early, whatever the format's library says."""
    pixels = np.random.default_rng(0).integers(0, 255, (96, 192, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        with pytest.raises(ClipError, match=rf"cannot write .*clean\.0001\.{suffix}: "):
            write_image(
                tmp_path / f"clean.0001.{suffix}", pixels, oiio.ImageSpec(192, 96, 3, oiio.UINT8)
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    assert not list(tmp_path.iterdir())
