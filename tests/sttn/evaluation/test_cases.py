"""The same test for everybody: layouts are found, and the same name always gets the same hole."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from sttn.errors import FootageError
from sttn.evaluation.cases import ProtocolConfig, find_cases, stationary_mask
from sttn.evaluation.videos import Video, find_videos, read_own_masks
from tests.sttn.evaluation.conftest import panned, write_frames

SMALL = {"width": 144, "height": 96}


def test_a_name_always_gets_the_same_mask():
    """On every machine, in every release: figures depend on it."""
    mask = stationary_mask("bmx-trees", 432, 240)

    assert mask.shape == (240, 432)
    assert int(mask.sum()) == 27365
    assert not np.array_equal(mask, stationary_mask("libby", 432, 240))


def test_masks_are_as_large_as_released_ones():
    """A third of the frame to all of it, along each side."""
    for name in map(str, range(40)):
        rows, columns = np.nonzero(stationary_mask(name, 432, 240))
        assert 240 // 3 <= rows.max() - rows.min() + 1 < 240
        assert 432 // 3 <= columns.max() - columns.min() + 1 < 432


def test_a_clips_own_mask_and_its_size_have_the_last_word(clips):
    """Frames come at the mask's size, black under it; the truth is whole."""
    cases = [source.read() for source in find_cases(clips, ProtocolConfig())]

    assert [case.name for case in cases] == ["bank", "dune", "hill"]
    first = cases[0]
    assert first.frames.shape == (6, 96, 144, 3)
    assert first.masks[0].sum() == 24 * 20
    assert (first.frames[first.masks] == 0).all()
    np.testing.assert_array_equal(first.truth, panned(6))


def test_moving_masks_are_another_videos(clips):
    """The next one's that has any, whatever pattern is asked for; the last one's is the first's."""
    config = ProtocolConfig(protocol="moving", pattern="hill", **SMALL)

    (source,) = find_cases(clips, config)
    case = source.read()

    assert source.masks == clips / "bank" / "objects"
    np.testing.assert_array_equal(case.truth, panned(6, seed=2))
    assert case.masks[0, 30:60, 20:50].all()
    assert case.masks[0].sum() == 900
    assert case.masks[5, 30:60, 50:80].all()


def test_removal_covers_the_object_and_knows_no_truth(clips):
    """The object's mask, grown, so that no trace of it is left."""
    config = ProtocolConfig(protocol="removal", pattern="dune", grow=4, **SMALL)

    case = find_cases(clips, config)[0].read()

    assert case.truth is None
    assert case.masks[0, 26:64, 30].all()
    assert not case.masks[0, 25].any()


def test_a_mask_of_16_bits_is_not_empty(clips):
    """Numbers of objects, as some tools write them, are far below what 8 bits would keep."""
    mask = np.zeros((96, 144), np.uint16)
    mask[40:64, 60:80] = 1
    cv2.imwrite(str(clips / "bank" / "stationary_144x96.png"), mask)

    assert find_cases(clips, ProtocolConfig())[0].read().masks[0].sum() == 24 * 20


def test_masks_of_ones_own(clips, tmp_path):
    """An image for all frames, or a folder with one for each."""
    own = tmp_path / "own"
    own.mkdir()
    cv2.imwrite(str(own / "bank.png"), np.full((48, 72), 255, np.uint8))
    shutil.copytree(clips / "hill" / "objects", own / "dune")

    stills = find_cases(clips, ProtocolConfig(masks=own, pattern="bank", **SMALL))[0].read()
    moving = find_cases(clips, ProtocolConfig(masks=own, pattern="dune", **SMALL))[0].read()

    assert stills.masks.all()
    assert moving.masks[0].sum() == 900
    with pytest.raises(FootageError, match=r"neither hill\.png nor hill/"):
        find_cases(clips, ProtocolConfig(masks=own, **SMALL))


def test_davis_as_it_is_unpacked(tmp_path):
    """480p, with annotations; its lists of all years say which videos count, or test.json does."""
    for name in ("bear", "camel", "dog"):
        write_frames(tmp_path / "JPEGImages" / "480p" / name, panned(3))
        write_frames(tmp_path / "JPEGImages" / "Full-Resolution" / name, panned(3))
        write_frames(tmp_path / "Annotations" / "480p" / name, panned(3))

    assert len(find_videos(tmp_path)) == 3
    for year, line in {"2016": "/JPEGImages/480p/bear/00000.jpg /A/0.png", "2017": "camel"}.items():
        (tmp_path / "ImageSets" / year).mkdir(parents=True)
        (tmp_path / "ImageSets" / year / "val.txt").write_text(f"{line}\n")
        (tmp_path / "ImageSets" / year / "train.txt").write_text("dog\n")

    videos = find_videos(tmp_path)
    (tmp_path / "test.json").write_text(json.dumps({"camel": 3}))

    assert [video.name for video in videos] == ["bear", "camel"]
    assert videos[0].frames == tmp_path / "JPEGImages" / "480p" / "bear"
    assert videos[0].objects == tmp_path / "Annotations" / "480p" / "bear"
    assert [video.name for video in find_videos(tmp_path)] == ["camel"]


def test_a_test_json_of_something_else_is_refused(tmp_path, caplog):
    """What it lists and what it leaves out is told; nothing at all is no test set."""
    for name in ("bear", "camel"):
        write_frames(tmp_path / name, panned(2))
    (tmp_path / "test.json").write_text(json.dumps({"camel": 3, "cows": 3}))

    assert [video.name for video in find_videos(tmp_path)] == ["camel"]
    assert "test.json leaves out 1 of 2 videos" in caplog.text
    assert "test.json lists 1 videos that are not there" in caplog.text
    (tmp_path / "test.json").write_text(json.dumps({"images": [], "annotations": []}))
    with pytest.raises(FootageError, match=r"test\.json lists none of the 2 videos"):
        find_videos(tmp_path)


@pytest.mark.parametrize("size", ["Full-Resolution", "1080p"])
def test_davis_in_one_size_only(tmp_path, size):
    """Whoever unpacked one of its archives, with annotations of another size."""
    write_frames(tmp_path / "JPEGImages" / size / "bear", panned(3))
    write_frames(tmp_path / "Annotations" / "480p" / "bear", panned(3))

    (bear,) = find_videos(tmp_path)

    assert bear.frames == tmp_path / "JPEGImages" / size / "bear"
    assert bear.objects == tmp_path / "Annotations" / "480p" / "bear"


def test_a_picture_beside_clips_makes_no_video_of_them(tmp_path):
    """Whoever keeps an overview there; masks below a video's frames are no videos either."""
    folder = tmp_path / "set"
    for name in ("a", "b"):
        write_frames(folder / name, panned(2))
    cv2.imwrite(str(folder / "overview.png"), panned(1)[0])
    write_frames(folder / "a" / "masks", panned(2))
    (folder / "b" / ".thumbnails").mkdir()
    cv2.imwrite(str(folder / "b" / ".thumbnails" / "0.png"), panned(1)[0])

    assert [video.name for video in find_videos(folder)] == ["a", "b"]
    assert [video.name for video in find_videos(folder / "a")] == ["a"]
    assert [video.name for video in find_videos(folder / "b")] == ["b"]


def test_youtube_vos_and_zips_and_plain_folders(tmp_path):
    """With zips as the released code wants them; folders of images; one folder of images."""
    write_frames(tmp_path / "vos" / "JPEGImages" / "003234408d", panned(3))
    write_frames(tmp_path / "plain" / "b", panned(3))
    shutil.make_archive(str(tmp_path / "plain" / "a"), "zip", tmp_path / "plain" / "b")

    vos, plain = find_videos(tmp_path / "vos"), find_videos(tmp_path / "plain")

    assert [video.name for video in vos] == ["003234408d"]
    assert [video.name for video in plain] == ["a", "b"]
    assert [video.name for video in find_videos(tmp_path / "plain" / "b")] == ["b"]
    config = ProtocolConfig(width=48, height=48)
    case, from_zip = (source.read() for source in reversed(find_cases(tmp_path / "plain", config)))
    assert case.truth.shape == (3, 48, 48, 3)
    np.testing.assert_array_equal(case.truth, from_zip.truth)


def test_frames_are_ordered_by_their_numbers(tmp_path):
    """Names without leading zeros: a shuffled clip would be scored as if it moved like that."""
    clip = panned(11)
    (tmp_path / "one").mkdir()
    for index, frame in enumerate(clip):
        cv2.imwrite(str(tmp_path / "one" / f"{index}.png"), frame[..., ::-1])

    (source,) = find_cases(tmp_path, ProtocolConfig(**SMALL))

    np.testing.assert_array_equal(source.read().truth, clip)


def test_the_rendered_shot_has_its_truth():
    """The demo's shot: its robot is under the mask, and outside of it plate and truth agree."""
    folder = Path(__file__).parents[3] / "host_examples" / "demo" / "shot"

    case = find_cases(folder, ProtocolConfig(protocol="shot", limit=2))[0].read()

    assert case.frames.shape == (2, 192, 336, 3)
    difference = np.abs(case.frames.astype(int) - case.truth)[~case.masks]
    assert difference.mean() < 3
    assert case.masks.mean() > 0.05


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"protocol": "removal"}, "has object masks"),
        ({"pattern": "nothing*"}, "matches 'nothing"),
        ({"protocol": "shot"}, "holds no shot"),
    ],
)
def test_what_is_missing_is_named(tmp_path, given, said):
    """One line that says what was looked for."""
    write_frames(tmp_path / "one", panned(2))

    with pytest.raises(FootageError, match=said):
        find_cases(tmp_path, ProtocolConfig(**given))


@pytest.mark.parametrize(
    ("given", "said"),
    [({"width": 100}, "multiple of 48"), ({"limit": 1}, "2 frames"), ({"grow": -1}, "grow")],
)
def test_settings_that_cannot_work_are_refused(given, said):
    """With the value in the message."""
    with pytest.raises(ValueError, match=said):
        ProtocolConfig(**given)


@pytest.mark.parametrize(
    ("drawn", "limit", "said"),
    [
        (range(5), 6, "frame 00005; .*, or --limit 5$"),
        (range(0, 6, 2), 3, "frame 00001; [^-]*$"),
        (range(2, 6), 4, "frame 00000; [^-]*$"),
    ],
)
def test_a_frame_without_its_mask_is_named(clips, drawn, limit, said):
    """Whoever removes objects: annotations of some frames, or of an object that comes late, would
    slide off it, of as few frames as there are masks too.
    """
    for index in set(range(6)) - set(drawn):
        (clips / "dune" / "objects" / f"{index:05d}.png").unlink()
    config = ProtocolConfig(protocol="removal", pattern="dune", limit=limit, **SMALL)

    with pytest.raises(FootageError, match=said):
        find_cases(clips, config)[0].read()


@pytest.mark.parametrize("zipped", [False, True])
def test_a_mask_belongs_to_the_frame_of_its_name(clips, zipped):
    """Whoever keeps a part of a video beside all of its annotations; in zips too."""
    frames, objects = clips / "dune" / "frames", clips / "dune" / "objects"
    for index in (0, 1):
        (frames / f"{index:05d}.png").unlink()
    if zipped:
        frames = Path(shutil.make_archive(str(clips / "dune"), "zip", frames))

    masks = read_own_masks(objects, Video(name="dune", frames=frames), 3, (144, 96))

    np.testing.assert_array_equal(masks[:, 40].argmax(-1), [20 + 6 * t for t in (2, 3, 4)])


def test_without_names_in_common_masks_are_in_the_order_of_frames(clips):
    """A movie's frames have none, so that masks must follow each other; frames may be counted
    otherwise, if there are as many.
    """
    objects = clips / "dune" / "objects"
    for index in reversed(range(6)):
        (objects / f"{index:05d}.png").rename(objects / f"mask_{index + 8}.png")
    folder = Video(name="dune", frames=clips / "dune" / "frames")
    movie = Video(name="dune", frames=clips / "dune.mp4")

    for video in (folder, movie):
        masks = read_own_masks(objects, video, 4, (144, 96))
        np.testing.assert_array_equal(masks[:, 40].argmax(-1), [20 + 6 * t for t in range(4)])
    with pytest.raises(FootageError, match="6 masks for 7 frames; add some, or --limit 6"):
        read_own_masks(objects, movie, 7, (144, 96))
    (objects / "mask_11.png").unlink()
    with pytest.raises(FootageError, match="no mask after number 10"):
        read_own_masks(objects, movie, 4, (144, 96))
    with pytest.raises(FootageError, match="5 masks for 6 frames, and no name in common"):
        read_own_masks(objects, folder, 4, (144, 96))


def test_a_name_that_is_no_utf_8_is_told(tmp_path):
    """Before hours of measuring, whose report could not name it."""
    write_frames(tmp_path / "b", panned(2))
    (tmp_path / "b").rename(tmp_path / "caf\udce9")

    with pytest.raises(FootageError, match=r"caf\\udce9 is no UTF-8; rename it"):
        find_videos(tmp_path)


def test_two_videos_of_one_name_are_refused(tmp_path):
    """Their figures would be mixed up."""
    write_frames(tmp_path / "a", panned(2))
    shutil.make_archive(str(tmp_path / "a"), "zip", tmp_path / "a")

    with pytest.raises(FootageError, match="same name"):
        find_videos(tmp_path)


def test_an_empty_folder_and_an_empty_mask_are_refused(tmp_path, clips):
    """Nothing is scored silently on nothing."""
    (tmp_path / "empty").mkdir()
    with pytest.raises(FootageError, match="no videos in"):
        find_videos(tmp_path / "empty")
    cv2.imwrite(str(clips / "bank" / "stationary_144x96.png"), np.zeros((96, 144), np.uint8))
    with pytest.raises(FootageError, match="bank: no frame has a hole"):
        find_cases(clips, ProtocolConfig())[0].read()
