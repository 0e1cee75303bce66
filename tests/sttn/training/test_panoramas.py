"""Scene-linear material: the network sees highlights as plates will show them."""

import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from node.color import encode
from sttn.errors import FootageError
from sttn.training.corpus import Corpus, CorpusLimits, read_corpus
from sttn.training.panoramas import MIDDLE_GRAY, Outlook, random_outlook, read_panorama
from sttn.training.perspective import PerspectivePath
from sttn.training.recipes import Recipe, Recipes, SampleConfig, View
from sttn.training.rendering import Rendering, render
from sttn.training.shards import Material, read_shard, write_shards
from sttn.training.surfaces import panorama_frames

CPU = torch.device("cpu")
RASTER = (96, 48)


def sky() -> np.ndarray:
    """Smooth, with a bright patch straight ahead: (64, 128, 3) float16."""
    light = np.full((64, 128, 3), 0.1, np.float32)
    light[:, :, 0] += np.linspace(0, 0.2, 128)
    light[30:34, 62:66] = 40.0
    return light.astype(np.float16)


def outlook(pan: float = 0.0, exposure: float = 1.0, focal: float = 100.0) -> Outlook:
    path = PerspectivePath(
        focal=focal,
        velocity=np.zeros(3),
        angles=np.array([pan, 0, 0]),
        turning=np.zeros(3),
        sway=np.zeros((4, 2, 6)),
    )
    return Outlook(
        panorama=0, rays=path.rays(np.zeros(1), RASTER).astype(np.float32), exposure=exposure
    )


def seen(panorama: np.ndarray, some: Outlook) -> np.ndarray:
    """The first frame in the working encoding, (H, W, 3)."""
    corpus = Corpus(photographs=[], movies=[], panoramas=[panorama])
    return panorama_frames(some, corpus, RASTER[::-1], CPU)[0].permute(1, 2, 0).numpy()


def recipe(background: Outlook) -> Recipe:
    return Recipe(
        clip=0,
        background=background,
        objects=(),
        gains=np.ones((1, 3), np.float32),
        mirrored=False,
        noise=0.0,
        jpeg_quality=None,
        masks=np.zeros((1, *RASTER[::-1]), np.bool_),
        seed=0,
    )


def test_a_camera_sees_a_panorama_exposed_and_encoded():
    """Straight ahead is the middle, in the encoding that plates have."""
    frame = seen(sky(), outlook(exposure=2.0))

    expected = encode(2 * sky()[31, 63].astype(np.float32))
    np.testing.assert_allclose(frame[23:25, 47:49].mean(axis=(0, 1)), expected, atol=1e-3)
    assert frame[23, 47].min() > 1.1


def test_numbered_panoramas_are_no_movie(tmp_path):
    """A library of skies: what is numbered and not alike is looked around in, not played."""
    rng = np.random.default_rng(0)
    for number in range(6):
        light = cv2.resize(rng.uniform(0, 1, (2, 4, 3)).astype(np.float32) ** 2, (64, 32))
        cv2.imwrite(str(tmp_path / f"sky_{number:03d}.hdr"), light)

    corpus = read_corpus(tmp_path)

    assert (len(corpus.panoramas), len(corpus.movies)) == (6, 0)


def test_a_panorama_has_no_seam():
    """Its left edge continues its right one."""
    panorama = sky()
    panorama[:, :64] = panorama[:, :63:-1]

    row = seen(panorama, outlook(pan=np.pi))[20, :, 0]

    assert np.abs(np.diff(row)).max() < 0.01


def test_to_the_right_is_to_the_right():
    """A camera that pans to the right sees the panorama's right half."""
    left, right = (seen(sky(), outlook(pan=pan))[..., 0].mean() for pan in (-1.2, 1.2))

    assert right > left + 0.05


def test_a_panorama_finer_than_the_raster_is_averaged_in_light():
    """Stars neither flicker nor vanish."""
    stars = np.zeros((1024, 2048, 3), np.float16)
    stars[::2, ::2] = 0.4

    frame = seen(stars, outlook(focal=50.0))

    np.testing.assert_allclose(frame, encode(np.float32([0.1]))[0], atol=0.05)


def test_highlights_are_divided_by_the_peak_and_not_cut_off():
    """As the node does for plates: what it calls white is the brightest but a thousandth."""
    truth, given, _ = render(
        [recipe(outlook())], Corpus(photographs=[], movies=[], panoramas=[sky()]), CPU
    )

    codes = seen(sky(), outlook())
    shown = (truth[0, 0].permute(1, 2, 0).numpy() + 1) / 2
    peak = np.percentile(codes, 99.9)
    assert peak > 1.1
    np.testing.assert_allclose(shown, np.clip(codes / peak, 0, 1), atol=2e-3)
    assert torch.equal(truth, given)


def test_a_clip_seen_again_is_exposed_for_what_its_hole_leaves_visible():
    """Or what a network sees would depend on the hole that came first: another one after a run was
    stopped, or where several processes share it.
    """
    corpus = Corpus(photographs=[], movies=[], panoramas=[sky()])
    hidden = np.zeros((1, *RASTER[::-1]), np.bool_)
    hidden[:, 16:32, 32:64] = True
    bare = recipe(outlook())
    draw = Rendering(corpus, CPU, kept=1)

    dark, bright = (draw([replace(bare, masks=masks)]).truth for masks in (bare.masks, hidden))

    fresh = render([replace(bare, masks=hidden)], corpus, CPU).truth
    torch.testing.assert_close(bright, fresh, rtol=0, atol=0)
    assert bright.mean() > dark.mean()


def test_exposures_are_drawn_so_that_highlights_occur():
    """Plates are under- and overexposed; the network meets both."""
    panorama = np.full((32, 64, 3), MIDDLE_GRAY, np.float16)
    bright = [
        seen(panorama, random_outlook(1, np.arange(5.0), RASTER, np.random.default_rng(n))).max()
        for n in range(60)
    ]

    assert 0.05 < np.mean(np.array(bright) > 1) < 0.5
    assert np.min(bright) < 0.3


@pytest.mark.parametrize(("share", "kind"), [(0.0, View), (1.0, Outlook)])
def test_the_share_of_panoramas_is_what_the_settings_say(corpus, share, kind):
    """A run without them can be compared with one that has them."""
    config = SampleConfig(
        width=96, height=48, movie_share=0.0, scene_share=0.0, panorama_share=share
    )
    both = Corpus(photographs=corpus.photographs, movies=[], panoramas=[sky()])
    recipes = Recipes(both, config, seed=0, count=6)

    assert {type(recipes[index].background) for index in range(6)} == {kind}


def write_exr(path: Path, pixels: np.ndarray) -> None:
    oiio = pytest.importorskip("OpenImageIO")
    file = oiio.ImageOutput.create(str(path))
    file.open(str(path), oiio.ImageSpec(*pixels.shape[1::-1], 3, oiio.HALF))
    file.write_image(pixels)
    file.close()


@pytest.mark.parametrize("suffix", [".hdr", ".exr"])
def test_panoramas_are_read_and_exposed_to_middle_gray(tmp_path, suffix):
    """Files come in whatever unit; a drawn exposure wants one."""
    light = np.repeat(sky().astype(np.float32), 2, axis=0).repeat(2, axis=1)
    path = tmp_path / f"sky{suffix}"
    if suffix == ".hdr":
        cv2.imwrite(str(path), 10 * light[..., ::-1])
    else:
        write_exr(path, 10 * light)

    (panorama,) = read_corpus(tmp_path, CorpusLimits(panorama_height=64)).panoramas

    assert panorama.dtype == np.float16
    wanted = sky().astype(np.float32)
    wanted *= MIDDLE_GRAY / np.median(wanted.mean(axis=-1))
    np.testing.assert_allclose(panorama, wanted, rtol=0.02)


def test_what_is_no_panorama_is_left_out_by_name(tmp_path, caplog):
    """A texture among the panoramas is not bent around the camera."""
    cv2.imwrite(str(tmp_path / "wall.hdr"), np.ones((20, 30, 3), np.float32))
    cv2.imwrite(str(tmp_path / "night.hdr"), np.zeros((20, 40, 3), np.float32))
    (tmp_path / "broken.hdr").write_bytes(b"nothing")

    with pytest.raises(FootageError, match="panorama"):
        read_corpus(tmp_path)

    for told in ("wall.hdr is 30x20", "night.hdr is black", "broken.hdr"):
        assert told in caplog.text


def test_without_openimageio_the_message_says_what_to_do(tmp_path, monkeypatch):
    """A training machine has only torch, numpy and OpenCV."""
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)

    with pytest.raises(FootageError, match="pip install openimageio, or pack"):
        read_panorama(tmp_path / "sky.exr", 64)


def test_shards_carry_panoramas_to_machines_that_read_no_exr(tmp_path, monkeypatch):
    """To the bit, with numpy alone."""
    monkeypatch.setitem(sys.modules, "OpenImageIO", None)
    (path,) = write_shards([("sky", Material(panoramas=[sky()]))], tmp_path, megabytes=1)

    (panorama,) = read_shard(path).panoramas

    np.testing.assert_array_equal(panorama, sky())


def test_some_panoramas_are_held_out_where_there_are_enough():
    """Validation clips are never trained on; few panoramas are needed for training."""
    photographs = [np.full((9, 9, 3), value, np.uint8) for value in range(24)]
    movies = [np.full((2, 9, 9, 3), value, np.uint8) for value in range(13)]
    for count, left in ((3, 3), (14, 12)):
        panoramas = [np.full((2, 4, 3), n, np.float16) for n in range(count)]

        training, held_out = Corpus(
            photographs=photographs, movies=movies, panoramas=panoramas
        ).split()

        assert len(training.panoramas) == left
        assert len(held_out.panoramas) == (0 if count == 3 else 2)


def test_real_panoramas_make_clips_with_highlights(shared):
    """Radiance and OpenEXR files as people publish them."""
    pytest.importorskip("OpenImageIO")
    corpus = read_corpus(shared / "train" / "hdri", CorpusLimits(panorama_height=256))
    recipes = Recipes(corpus, SampleConfig(width=96, height=48), seed=0, count=12)

    peaks = []
    for index in range(12):
        truth, given, _ = render([recipes[index]], corpus, CPU)
        assert truth.isfinite().all()
        assert given.abs().max() <= 1
        background = recipes[index].background
        peaks.append(panorama_frames(background, corpus, RASTER[::-1], CPU).max())
    assert len(corpus.panoramas) > 5
    assert sum(value > 1 for value in peaks) > 3
