"""Folders as people have them: what is read, what is left out, and who hears of it."""

import json
import os
import re
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from sttn.errors import FootageError
from sttn.training.corpus import Corpus, CorpusLimits, read_corpus
from sttn.training.recipes import Recipes, SampleConfig
from sttn.training.shards import Material, read_shard, write_shards


def images(folder: Path, count: int, digits: int = 5) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        name = f"{number:0{digits}d}.png"
        cv2.imwrite(str(folder / name), np.full((40, 60, 3), 10 * number, np.uint8))


def zipped(path: Path, count: int, digits: int = 5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            image = np.full((40, 60, 3), 10 * number, np.uint8)
            name = f"frames/{number:0{digits}d}.jpg"
            archive.writestr(name, cv2.imencode(".jpg", image)[1].tobytes())


def test_unreadable_material_is_named_counted_and_left_out(tmp_path, caplog):
    """A broken download does not stop a run, nor pass unseen."""
    for name in ("broken.jpg", "broken.mp4", "broken.zip"):
        (tmp_path / name).write_bytes(b"nothing")

    with pytest.raises(FootageError, match="neither"):
        read_corpus(tmp_path)
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((80, 90, 3), np.uint8))
    corpus = read_corpus(tmp_path)

    assert len(corpus.photographs) == 1
    for told in ("broken.jpg", "broken.mp4", "broken.zip", "3 of the corpus' files"):
        assert told in caplog.text


def test_names_that_are_no_utf_8_stop_nothing(tmp_path, caplog):
    """An old disk, unpacked anywhere: OpenCV crashed of them, without a word. Images are read, of
    others the name is told.
    """
    image = cv2.imencode(".png", np.full((80, 90, 3), 7, np.uint8))[1].tobytes()
    light = cv2.imencode(".hdr", np.ones((10, 20, 3), np.float32))[1].tobytes()
    for ending, content in (("png", image), ("hdr", light), ("exr", b"1"), ("mp4", b"1")):
        (tmp_path / os.fsdecode(b"caf\xe9." + ending.encode())).write_bytes(content)

    corpus = read_corpus(tmp_path)

    assert corpus.photographs[0].mean() == 7
    assert corpus.panoramas[0].shape == (10, 20, 3)
    assert [record.args[0].args[0] for record in caplog.records[:2]] == [
        f"the name of {tmp_path}/caf\\udce9.{ending} is no UTF-8; rename it"
        for ending in ("mp4", "exr")
    ]


@pytest.mark.parametrize("packed", [False, True])
def test_a_jpeg_that_ends_too_early_is_left_out(tmp_path, caplog, packed):
    """A copy that a full disk cut off: nobody learns to fill with the gray that is missing. What
    phones lay behind a picture, a second or third one or a film, does not matter.
    """
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (90, 90))
    content = cv2.imencode(".jpg", image)[1].tobytes()
    whole = {
        "phone.jpg": content + content[: len(content) // 2],
        "padded.jpg": content + b"\0" * 99,
    }
    with zipfile.ZipFile(tmp_path / ("a.zip" if packed else "_"), "w") as archive:
        for name, some in {**whole, "cut.jpg": content[: 2 * len(content) // 3]}.items():
            archive.writestr(name, some) if packed else (tmp_path / name).write_bytes(some)
    (tmp_path / "good.jpg").write_bytes(content)

    corpus = read_corpus(tmp_path)

    assert len(corpus.photographs) == (1 if packed else 3)
    assert not corpus.movies
    assert "cannot decode the image" in caplog.text
    assert "cut.jpg" in caplog.text


def test_a_movie_that_ends_too_early_is_told(tmp_path, caplog):
    """Half a download is used as far as it goes, and the log says how far that is."""
    path = tmp_path / "walk.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25, (96, 64))
    for number in range(40):
        writer.write(np.full((64, 96, 3), 5 * number, np.uint8))
    writer.release()
    read_corpus(tmp_path)
    assert not caplog.records
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])

    (movie,) = read_corpus(tmp_path).movies

    assert 5 < len(movie) < 30
    assert f"{path} says it has 40 frames, and {len(movie)} are there" in caplog.text
    caplog.clear()
    read_corpus(tmp_path, CorpusLimits(movie_frames=5))
    assert not caplog.records


def test_an_image_of_a_single_row_is_left_out(tmp_path, caplog):
    """A tracking pixel among downloaded pictures ended a run once a lot fell on it."""
    cv2.imwrite(str(tmp_path / "pixel.png"), np.zeros((1, 600, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "thin.png"), np.zeros((2, 600, 3), np.uint8))

    assert len(read_corpus(tmp_path).photographs) == 1
    assert "pixel.png has 600x1 pixels, too few" in caplog.text


def test_layouts_of_davis_and_youtube_vos_are_read(tmp_path):
    """Folders of frames are videos, zips of frames are videos, single images are photographs."""
    images(tmp_path / "JPEGImages" / "480p" / "bear", 6)
    zipped(tmp_path / "JPEGImages" / "003234408d.zip", 7)
    images(tmp_path / "stills", 2)

    corpus = read_corpus(tmp_path, CorpusLimits(movie_frames=6, movie_short_side=20))

    assert [movie.shape for movie in corpus.movies] == [(6, 20, 30, 3)] * 2
    assert len(corpus.photographs) == 2
    assert corpus.movies[0][3].mean() == pytest.approx(30, abs=1)


def test_frames_are_numbered_with_or_without_zeros(tmp_path):
    """ffmpeg's %d.png: frame 10 comes after frame 9, or motion is learned backwards."""
    images(tmp_path / "bear", 12, digits=1)
    zipped(tmp_path / "swan.zip", 12, digits=1)

    corpus = read_corpus(tmp_path)

    for movie in corpus.movies:
        brightness = movie.mean(axis=(1, 2, 3))
        assert brightness == pytest.approx(np.arange(0, 120, 10), abs=1)


def test_train_json_says_which_videos_count(tmp_path):
    """Test videos are never trained on."""
    images(tmp_path / "bear", 6)
    images(tmp_path / "swan", 6)
    (tmp_path / "train.json").write_text(json.dumps({"swan": 6}))

    assert len(read_corpus(tmp_path).movies) == 1


@pytest.mark.parametrize("place", ["JPEGImages/480p", "train"])
def test_what_a_data_set_calls_videos_are_some_however_fast_they_are(tmp_path, place):
    """Nobody learns from its test videos as photographs; what lies beside it is no matter of its
    lists.
    """
    rng = np.random.default_rng(0)
    for name in ("bear", "camel"):
        (tmp_path / place / name).mkdir(parents=True)
        for number in range(6):
            noise = rng.integers(0, 256, (4, 6, 3), np.uint8).repeat(10, 0).repeat(10, 1)
            cv2.imwrite(str(tmp_path / place / name / f"{number:05d}.png"), noise)
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "train.txt").write_text("bear\n")
    if place == "train":
        (tmp_path / place / "train.json").write_text(json.dumps({"bear": 6}))
    images(tmp_path / "rendered" / "00000", 7)

    corpus = read_corpus(tmp_path)

    assert sorted(map(len, corpus.movies)) == [6, 7]
    assert not corpus.photographs


def test_davis_as_it_is_unpacked_is_trained_on_once_and_on_its_training_videos(tmp_path, caplog):
    """Both sizes and the lists that come with it: test videos are never learned from, and no twin
    of another size lies in validation.
    """
    for size in ("480p", "Full-Resolution"):
        for name in ("bear", "camel", "dog"):
            images(tmp_path / "JPEGImages" / size / name, 5 if size == "480p" else 9)
            images(tmp_path / "Annotations" / size / name, 5)
    lines = {"2016": "/JPEGImages/480p/bear/00000.jpg /Annotations/a.png", "2017": "dog"}
    for year, line in lines.items():
        (tmp_path / "ImageSets" / year).mkdir(parents=True)
        (tmp_path / "ImageSets" / year / "train.txt").write_text(f"{line}\n")
        (tmp_path / "ImageSets" / year / "val.txt").write_text("camel\n")

    corpus = read_corpus(tmp_path)

    assert [len(movie) for movie in corpus.movies] == [5, 5]
    assert len(corpus.objects) == 3
    assert f"{tmp_path}/ImageSets/2017/train.txt leaves out 1 of 3 videos" in caplog.text
    (tmp_path / "train.json").write_text(json.dumps({"camel": 5, "cows": 5}))
    assert len(read_corpus(tmp_path).movies) == 1
    assert "train.json leaves out 2 of 3 videos" in caplog.text
    assert "train.json lists 1 videos that are not there" in caplog.text


def test_a_list_of_something_else_is_refused(tmp_path):
    """A train.json as COCO has it dropped every video without a word."""
    images(tmp_path / "bear", 6)
    (tmp_path / "train.json").write_text(json.dumps({"info": {}, "images": [], "annotations": []}))

    with pytest.raises(FootageError, match=r"train\.json lists none of the 1 videos .* as bear;"):
        read_corpus(tmp_path)


def test_folders_that_cannot_be_listed_are_told(tmp_path, monkeypatch, caplog):
    """Half a data set that belongs to another user is not trained without in silence."""
    images(tmp_path / "bear", 6)
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def refused(place):
        if str(place).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(place))
        return scandir(place)

    monkeypatch.setattr(os, "scandir", refused)

    assert len(read_corpus(tmp_path).movies) == 1
    assert f"left out: {tmp_path}/locked: Permission denied" in caplog.text
    assert "1 folders could not be listed" in caplog.text


def test_train_json_counts_wherever_it_lies(tmp_path):
    """YouTube-VOS as one part of a larger corpus: its test videos stay untouched, others count."""
    vos = tmp_path / "youtube-vos"
    for path in (vos / "JPEGImages" / "bear", vos / "JPEGImages" / "swan", tmp_path / "own"):
        images(path, 6)
    (vos / "train.json").write_text(json.dumps({"swan": 6}))

    assert len(read_corpus(tmp_path).movies) == 2
    (tmp_path / "train.json").write_text(json.dumps({"bear": 6}))
    assert len(read_corpus(tmp_path).movies) == 1


@pytest.mark.parametrize(
    ("bits", "suffix"), [(np.uint8, "png"), (np.uint16, "png"), (np.int16, "tif")]
)
def test_annotations_are_shapes_of_holes_and_no_videos(tmp_path, bits, suffix):
    """DAVIS as it is unpacked: its masks cut holes, and nobody trains on them as pictures. Numbers
    of objects count in 16 bits too, however small.
    """
    images(tmp_path / "JPEGImages" / "480p" / "bear", 6)
    folder = tmp_path / "Annotations" / "480p" / "bear"
    folder.mkdir(parents=True)
    for number in range(6):
        drawn = np.zeros((40, 60), bits)
        drawn[10:20, 5 * number : 5 * number + 10] = 1
        cv2.imwrite(str(folder / f"{number:05d}.{suffix}"), drawn)

    corpus = read_corpus(tmp_path)

    assert len(corpus.movies) == 1
    assert corpus.objects[0].sum(axis=(1, 2)).tolist() == [100] * 6
    config = SampleConfig(width=96, height=48, object_share=1.0)
    masks = Recipes(corpus, config, seed=0, count=1)[0].masks
    assert masks.mean(axis=(1, 2)) == pytest.approx(100 / 2400, rel=0.4)


def test_masks_beside_frames_are_no_frames(tmp_path):
    """People keep masks in a folder below the frames, and a data set's zip beside the data set:
    nobody learns to fill masks.
    """
    images(tmp_path / "bear", 6)
    for masks in ("bear/masks", "swan/Annotations_unsupervised/480p/bear"):
        images(tmp_path / masks, 6)
    zipped(tmp_path / "Annotations" / "swan.zip", 6)
    with zipfile.ZipFile(tmp_path / "everything.zip", "w") as archive:
        for path in sorted(tmp_path.rglob("*.png")):
            archive.write(path, path.relative_to(tmp_path))

    corpus = read_corpus(tmp_path)

    assert [len(movie) for movie in corpus.movies] == [6]
    assert [len(drawn) for drawn in corpus.objects] == [6, 6, 6]
    assert not corpus.photographs


@pytest.mark.parametrize("name", ["objects", "Mask", "masks"])
def test_pictures_in_a_folder_that_is_called_as_masks_are_stay_pictures(tmp_path, caplog, name):
    """A library of pictures of objects, or of masks to wear: taken for shapes, every hole would be
    the whole frame. Masks that are compressed beside them are shapes.
    """
    rng = np.random.default_rng(0)
    for kind in ("faces", "walk", "drawn"):
        (tmp_path / name / kind).mkdir(parents=True)
    wide = cv2.resize(rng.integers(0, 256, (6, 9, 3), np.uint8), (90, 60))
    for number in range(6):
        picture = cv2.resize(rng.integers(0, 256, (6, 9, 3), np.uint8), (90, 60 + number))
        cv2.imwrite(str(tmp_path / name / "faces" / f"{chr(97 + number)}.jpg"), picture)
        cv2.imwrite(str(tmp_path / name / "walk" / f"{number}.jpg"), np.roll(wide, number, axis=1))
        drawn = cv2.circle(np.zeros((120, 180), np.uint8), (60 + number, 60), 30, 255, -1)
        cv2.imwrite(str(tmp_path / name / "drawn" / f"{number}.jpg"), drawn)
    with zipfile.ZipFile(tmp_path / name / "walk.zip", "w") as archive:
        for path in (tmp_path / name / "walk").iterdir():
            archive.write(path, path.name)

    corpus = read_corpus(tmp_path)

    assert len(corpus.photographs) == 6
    assert [len(movie) for movie in corpus.movies] == [6, 6]
    assert [drawn.shape for drawn in corpus.objects] == [(6, 120, 180)]
    assert caplog.text.count(f"{tmp_path / name} holds pictures") == 1


def test_what_macos_lays_beside_files_is_no_material(tmp_path):
    """Copied by a Mac, or zipped by one: its ._ files end in .png and are no images."""
    images(tmp_path / "bear", 6)
    zipped(tmp_path / "swan.zip", 6)
    (tmp_path / "bear" / "._00000.png").write_bytes(b"\0\5\26\7")
    with zipfile.ZipFile(tmp_path / "swan.zip", "a") as archive:
        archive.writestr("__MACOSX/frames/._00000.jpg", b"\0\5\26\7")

    assert [len(movie) for movie in read_corpus(tmp_path).movies] == [6, 6]


def test_linked_folders_are_read_once(tmp_path):
    """A data set lies on another disk; links that lead round in circles end."""
    images(tmp_path / "disk" / "DAVIS" / "bear", 6)
    corpus = tmp_path / "corpus"
    images(corpus / "swan", 5)
    (corpus / "DAVIS").symlink_to(tmp_path / "disk" / "DAVIS")
    (corpus / "again").symlink_to(corpus / "swan")
    (tmp_path / "disk" / "DAVIS" / "round").symlink_to(corpus)

    assert sorted(len(movie) for movie in read_corpus(corpus).movies) == [5, 6]


def test_named_frames_are_a_video_and_named_photographs_are_not(tmp_path):
    """ffmpeg's frame_%05d.png beside a camera's IMG_0001.jpg, all of one size."""
    rng = np.random.default_rng(0)
    pictures = [cv2.resize(rng.integers(0, 256, (2, 3, 3), np.uint8), (90, 60)) for _ in range(6)]
    frames = [np.roll(pictures[0], number, axis=1) for number in range(6)]
    for name, some in (("frame_", frames), ("IMG_", pictures)):
        (tmp_path / name).mkdir()
        for number, picture in enumerate(some):
            cv2.imwrite(str(tmp_path / name / f"{name}{number:05d}.png"), picture)

    corpus = read_corpus(tmp_path)

    assert [len(movie) for movie in corpus.movies] == [6]
    assert len(corpus.photographs) == 6


@pytest.mark.parametrize(("step", "movies"), [(11, 1), (None, 0)])
def test_numbers_alone_make_a_video_of_what_may_be_one(tmp_path, step, movies):
    """Places365 numbers unrelated photographs from 00000001 on, in folders of hundreds; YouTube-VOS
    has five frames a second, between which much moves.
    """
    rng = np.random.default_rng(0)
    wide = cv2.resize(rng.integers(0, 256, (4, 24, 3), np.uint8), (600, 60))
    for number in range(8):
        place = step * number if step else 0
        other = cv2.resize(rng.integers(0, 256, (2, 3, 3), np.uint8), (90, 60))
        picture = wide[:, place : place + 90] if step else other
        cv2.imwrite(str(tmp_path / f"{number:08d}.png"), picture)

    corpus = read_corpus(tmp_path)

    assert (len(corpus.movies), len(corpus.photographs)) == (movies, 0 if movies else 8)


@pytest.mark.parametrize("burst", [5, 25])
def test_a_roll_with_a_burst_is_photographs(tmp_path, caplog, burst):
    """A photographer's folder that begins with a burst, or is one but for a portrait: learned from
    as a video, it would be cuts only, and the portrait would make all of it unreadable.
    """
    rng = np.random.default_rng(0)
    base = cv2.resize(rng.integers(0, 256, (4, 6, 3), np.uint8), (90, 60))
    for number in range(25):
        other = cv2.resize(rng.integers(0, 256, (2, 3, 3), np.uint8), (90, 60))
        picture = np.roll(base, number, axis=1) if number < burst else other
        picture = np.rot90(picture) if number == 15 else picture
        cv2.imwrite(str(tmp_path / f"IMG_{number:04d}.png"), picture)

    corpus = read_corpus(tmp_path)

    assert len(corpus.photographs) == 25
    assert not corpus.movies
    assert ("no video, but photographs" in caplog.text) == (burst == 25)


def test_a_run_inside_a_corpus_is_not_trained_on(tmp_path, caplog):
    """Gone on with, a run would learn from pictures of its own validation."""
    images(tmp_path / "stills", 2)
    images(tmp_path / "run", 2)
    for name in ("config.json", "log.jsonl"):
        (tmp_path / "run" / name).touch()

    assert len(read_corpus(tmp_path).photographs) == 2
    assert f"left out: {tmp_path / 'run'} holds a run" in caplog.text


def test_shards_hold_what_was_packed(tmp_path):
    """A machine without movie decoders trains on the same pixels, up to JPEG's loss."""
    rng = np.random.default_rng(0)
    flat = [np.full((40, 60, 3), value, np.uint8) for value in (30, 200)]
    movie = np.stack([cv2.resize(rng.integers(0, 255, (4, 6, 3), np.uint8), (60, 40))] * 5)

    drawn = np.zeros((5, 40, 60), np.bool_)
    drawn[:, 10:20, 30:50] = True
    content = [
        ("a", Material(photographs=[flat[0]])),
        ("a", Material(photographs=[flat[1]])),
        ("m", Material(movies=[movie], objects=[drawn])),
    ]

    paths = write_shards(content, tmp_path, megabytes=0.002)

    assert len(paths) > 1
    corpus = read_corpus(tmp_path)
    assert sorted(int(image.mean()) for image in corpus.photographs) == [30, 200]
    assert corpus.movies[0].shape == movie.shape
    assert np.abs(corpus.movies[0][np.arange(5)].astype(int) - movie).mean() < 6
    np.testing.assert_array_equal(corpus.objects[0], drawn)


def test_movies_of_shards_stay_on_disk(tmp_path):
    """YouTube-VOS on eight GPUs: no process holds 135 GB of frames. Runs of tables are told apart
    by what prints; and a disk that fails is told by the shard's name.
    """
    rng = np.random.default_rng(0)
    movies = [rng.integers(0, 255, (9, 4, 6, 3), np.uint8).repeat(8, 1).repeat(8, 2) for _ in "ab"]
    (path,) = write_shards([("m", Material(movies=movies))], tmp_path, megabytes=1)
    one, other = read_shard(path).movies
    assert repr(one) == repr(read_shard(path).movies[0]) != repr(other)

    picked = one[np.array([7, 2, 2])]

    assert (picked.shape, picked.dtype) == ((3, 32, 48, 3), np.uint8)
    assert np.abs(picked.astype(int) - movies[0][[7, 2, 2]]).mean() < 12
    np.testing.assert_array_equal(picked[1], picked[2])
    with path.open("r+b") as file:
        file.truncate(200)
    with pytest.raises(FootageError, match=rf"{path}: cannot read movie/.*/00000008\.jpg"):
        one[np.array([8])]


def test_shards_of_another_corpus_are_not_mixed_in(tmp_path):
    """Packed a second time into the same folder: what is left of the first would be read too."""
    black = Material(photographs=[np.zeros((9, 9, 3), np.uint8)])
    first = write_shards([("a", black), ("b", black)], tmp_path, megabytes=1e-6)

    with pytest.raises(FootageError, match="holds shards already; remove them or name another"):
        write_shards([("c", black)], tmp_path, megabytes=1)

    assert sorted(tmp_path.iterdir()) == first


def test_packing_that_stops_leaves_nothing_that_looks_whole(tmp_path):
    """Ctrl-C, or a full disk: nobody trains on half a corpus, and the next try goes through."""
    black = Material(photographs=[np.zeros((9, 9, 3), np.uint8)])

    def stopped():
        yield "a", black
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_shards(stopped(), tmp_path, megabytes=1)
    with pytest.raises(FootageError, match="neither"):
        read_corpus(tmp_path)

    assert write_shards([("a", black)], tmp_path, megabytes=1) == [tmp_path / "shard-000.zip"]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_damaged_shard_is_refused(tmp_path):
    """Half a transfer is not half a corpus."""
    black = Material(photographs=[np.zeros((9, 9, 3), np.uint8)])
    (path,) = write_shards([("a", black)], tmp_path, megabytes=1)
    path.write_bytes(path.read_bytes()[:-30])

    with pytest.raises(FootageError, match="shard-000"):
        read_shard(path)


@pytest.mark.parametrize(("of_entry", "of_list", "value"), [(6, 8, 1), (8, 10, 9)])
def test_zips_that_python_cannot_open_are_left_out(tmp_path, caplog, of_entry, of_list, value):
    """Encrypted, or packed by Windows with Deflate64: one of thousands does not end the run."""
    images(tmp_path / "bear", 6)
    zipped(tmp_path / "swan.zip", 6)
    content = bytearray((tmp_path / "swan.zip").read_bytes())
    for signature, place in ((b"PK\3\4", of_entry), (b"PK\1\2", of_list)):
        for found in re.finditer(re.escape(signature), bytes(content)):
            content[found.start() + place] = value
    (tmp_path / "swan.zip").write_bytes(content)

    assert len(read_corpus(tmp_path).movies) == 1
    assert "swan.zip: cannot read frames/00000.jpg" in caplog.text


@pytest.mark.parametrize("signature", [b"PK\1\2", b"PK\3\4"])
def test_zips_whose_names_are_damaged_are_left_out(tmp_path, caplog, signature):
    """A flipped bit in a name that is said to be UTF-8: it does not end the run either."""
    images(tmp_path / "bear", 6)
    with zipfile.ZipFile(tmp_path / "swan.zip", "w") as archive:
        archive.writestr("wäre.jpg", b"nothing")
    content = (tmp_path / "swan.zip").read_bytes()
    place = content.index("ä".encode(), content.index(signature))
    (tmp_path / "swan.zip").write_bytes(content[:place] + b"\xff" + content[place + 1 :])

    assert len(read_corpus(tmp_path).movies) == 1
    assert "swan.zip" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        {"panorama/a.npy": b"nothing"},
        {"panorama/a.npy": b""},
        {"movie/a/0.jpg": 30, "movie/a/1.jpg": 40},
    ],
)
def test_a_shard_that_somebody_changed_is_refused(tmp_path, content):
    """The message names it."""
    with zipfile.ZipFile(tmp_path / "shard-000.zip", "w") as archive:
        for name, told in content.items():
            if isinstance(told, int):
                told = cv2.imencode(".jpg", np.zeros((told, 9, 3), np.uint8))[1].tobytes()
            archive.writestr(name, told)

    with pytest.raises(FootageError, match=r"shard-000\.zip"):
        read_shard(tmp_path / "shard-000.zip")


@pytest.mark.parametrize("name", ["photograph_short_side", "panorama_height", "movie_frames"])
def test_limits_that_leave_nothing_are_refused(name):
    """Days of training would be without the movies."""
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        CorpusLimits(**{name: 0})


def test_some_material_is_held_out_where_there_is_enough():
    """Validation clips are never trained on."""
    photographs = [np.full((9, 9, 3), value, np.uint8) for value in range(24)]
    movies = [np.full((2, 9, 9, 3), value, np.uint8) for value in range(13)]

    training, held_out = Corpus(photographs=photographs, movies=movies).split()

    assert [int(image[0, 0, 0]) for image in held_out.photographs] == [0, 12]
    assert len(training.photographs) == 22
    assert len(training.movies) + len(held_out.movies) == 13


def test_a_corpus_of_one_kind_holds_some_of_it_out():
    """YouTube-VOS has no photographs, yet its validation must not be its training."""
    movies = [np.full((2, 9, 9, 3), value, np.uint8) for value in range(24)]
    few = [np.zeros((9, 9, 3), np.uint8)] * 11

    training, held_out = Corpus(photographs=few, movies=movies).split()

    assert [int(movie[0, 0, 0, 0]) for movie in held_out.movies] == [0, 12]
    assert len(training.movies) == 22
    assert (len(training.photographs), len(held_out.photographs)) == (11, 0)
    little = Corpus(photographs=few, movies=[])
    assert little.split() == (little, little)
