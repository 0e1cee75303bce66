"""Clips with true parallax: planes in space, seen as a camera sees them."""

import cv2
import numpy as np
import pytest
import torch

from sttn.training.corpus import Corpus
from sttn.training.cutouts import cutout
from sttn.training.perspective import PerspectivePath
from sttn.training.recipes import Recipes, SampleConfig, View
from sttn.training.rendering import render
from sttn.training.scenes import Card, Scene, Wall, random_scene
from sttn.training.surfaces import scene_frames

CPU = torch.device("cpu")
RASTER = (96, 48)
RIGHT, DOWN, AHEAD = np.eye(3)


def path(velocity: tuple[float, float, float] = (0, 0, 0), tilt: float = 0.0) -> PerspectivePath:
    """A camera on rails, with a lens of 100 pixels."""
    return PerspectivePath(
        focal=100.0,
        velocity=np.array(velocity),
        angles=np.array([0, tilt, 0]),
        turning=np.zeros(3),
        sway=np.zeros((4, 2, 6)),
    )


def wall(maps: np.ndarray, photograph: int = 0, lookups: int = 1) -> Wall:
    return Wall(photograph=photograph, maps=maps.astype(np.float32), gain=1.0, lookups=lookups)


def seen(walls: list[Wall], photographs: list[np.ndarray], *cards: Card) -> np.ndarray:
    """The first frame, (H, W, 3) in [0, 255]."""
    scene = Scene(walls=tuple(walls), cards=cards)
    corpus = Corpus(photographs=photographs, movies=[])
    frames = scene_frames(scene, corpus, RASTER[::-1], CPU)
    return frames[0].permute(1, 2, 0).numpy() * 255


def flat(value: int) -> np.ndarray:
    return np.full((64, 64, 3), value, np.uint8)


def test_twice_as_near_moves_twice_as_far():
    """True parallax: pixels move by focal length times way over depth."""
    times, moved = np.array([0.0, 1.0]), []
    for depth in (2.0, 4.0):
        maps = path(velocity=(0.1, 0, 0)).maps(depth * AHEAD, RIGHT, DOWN, times, RASTER)
        there = np.linalg.inv(maps) @ [0, 0, 1]
        moved.append(np.diff(there[:, 0] / there[:, 2])[0])

    assert moved == pytest.approx([-5.0, -2.5])


def test_a_surface_seen_from_the_front_is_the_photograph():
    """Pixel centers meet pixel centers."""
    photograph = np.random.default_rng(0).integers(0, 255, (48, 96, 3), dtype=np.uint8)
    maps = np.eye(3)[np.newaxis]

    frame = seen([wall(maps)], [photograph])

    # Halves want even pieces, so of 48 rows and three halves all 48 are used.
    np.testing.assert_allclose(frame, photograph, atol=0.02)


def test_what_lies_beyond_a_photograph_is_its_mirror_image():
    """The ground has no end."""
    photograph = np.zeros((64, 64, 3), np.uint8)
    photograph[:, 60:] = 200
    shifted = np.array([[[1, 0, 10], [0, 1, 0], [0, 0, 1]]])

    row = seen([wall(shifted)], [photograph])[10, :, 0]

    assert (row[51:57] > 199).all()
    assert row[48] == row[59] == 0


def test_ground_and_backdrop_meet_where_they_meet_in_space():
    """The foot of a wall ten units away, seen from a height of one, lies 100 / 10 pixels down."""
    camera, now = path(), np.zeros(1)
    ground = wall(camera.maps(np.zeros(3), RIGHT, AHEAD, now, RASTER))
    backdrop = wall(camera.maps(10 * AHEAD, RIGHT, DOWN, now, RASTER), photograph=1)

    for walls in ([ground, backdrop], [backdrop, ground]):
        column = seen(walls, [flat(50), flat(200)])[:, 40, 0]

        foot = (48 - 1) / 2 + 10
        assert (column[: int(foot)] > 199).all()
        assert (column[int(foot) + 2 :] < 51).all()


def test_a_card_hides_what_is_behind_and_ends_at_the_ground():
    """Opaque inside its outline; what is buried does not show."""
    camera, now = path(), np.zeros(1)
    ground = wall(camera.maps(np.zeros(3), RIGHT, AHEAD, now, RASTER))
    backdrop = wall(camera.maps(10 * AHEAD, RIGHT, DOWN, now, RASTER), photograph=1)
    corner = np.array([-1.0, -0.5, 5])
    maps = camera.maps(corner, RIGHT / 32, DOWN / 32, now, RASTER)
    card = Card(
        photograph=2,
        corner=(0, 0),
        gain=1.0,
        fewer=1,
        shape=np.full((64, 64), 255, np.uint8),
        maps=maps.astype(np.float32),
        box=(20, 0, 60, 48),
    )

    frame = seen([ground, backdrop], [flat(50), flat(200), flat(120)], card)[..., 0]

    middle = (48 - 1) / 2
    assert frame[int(middle + 12) : int(middle + 19), 40] == pytest.approx(120, abs=0.1)
    assert frame[int(middle + 22), 40] == pytest.approx(50, abs=0.1)
    assert frame[int(middle + 8), 40] == pytest.approx(200, abs=0.1)


def test_the_far_ground_does_not_glitter():
    """A pattern finer than a pixel becomes its mean, not noise that moves."""
    checks = (np.indices((64, 64)).sum(axis=0) % 2 * 200).astype(np.uint8)
    photograph = np.repeat(checks[..., np.newaxis], 3, axis=2)
    maps = path(tilt=0.1).maps(np.zeros(3), RIGHT / 40, AHEAD / 40, np.zeros(1), RASTER)

    frame = seen([wall(maps, lookups=4)], [photograph])

    far = frame[(48 // 2) - 8 : 48 // 2]
    assert far.std() < 15
    assert far.mean() == pytest.approx(100, abs=10)


def test_a_ground_at_a_flat_angle_stays_sharp_across():
    """One lookup per pixel would blur lines that lead away as far as those that cross."""
    lines = (np.arange(64) % 8 < 4)[np.newaxis, :, np.newaxis] * np.full((64, 64, 3), 200)
    maps = path(tilt=0.1).maps(np.zeros(3), RIGHT / 40, AHEAD / 40, np.zeros(1), RASTER)

    contrasts = [
        seen([wall(maps, lookups=lookups)], [lines.astype(np.uint8)])[28, :, 0].std()
        for lookups in (1, 4)
    ]

    assert contrasts[1] > 1.3 * contrasts[0]


def test_a_card_finer_than_the_raster_is_averaged_and_lit():
    """No aliasing, no shift by half a pixel, and light as drawn."""
    photograph = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    twice = np.array([[[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1.0]]], np.float32)
    card = Card(
        photograph=0,
        corner=(0, 0),
        shape=np.full((64, 64), 255, np.uint8),
        maps=twice,
        gain=0.5,
        fewer=2,
        box=(0, 0, 96, 48),
    )
    behind = wall(np.diag([1, 1, 0.5])[np.newaxis], photograph=1)

    frame = seen([behind], [photograph, flat(0)], card)

    expected = cv2.resize(photograph, (32, 32), interpolation=cv2.INTER_AREA) / 2
    np.testing.assert_allclose(frame[:31, :31], expected[:31, :31], atol=0.5)
    assert (frame[33:] == 0).all()


def test_scenes_move_as_a_hand_held_camera_does():
    """A pixel to some per frame, and every ray meets something."""
    x, y = np.meshgrid(np.arange(0, 432, 24), np.arange(0, 240, 24))
    pixels = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    paces, spreads = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scene = random_scene([(720, 1080)], np.arange(5.0), (432, 240), rng)
        depths = np.stack([(wall.maps[0] @ pixels)[2] for wall in scene.walls])
        assert (depths.max(axis=0) > 0).all()
        moved = np.stack([_moved(wall.maps, pixels) for wall in scene.walls])
        flow = np.take_along_axis(moved, depths.argmax(axis=0)[np.newaxis], axis=0)
        paces.append(np.median(flow))
        spreads.append(np.ptp(np.percentile(flow, [10, 90])))

    assert 1 < np.median(paces) < 4
    assert np.max(paces) < 20
    assert np.median(spreads) > 0.5


def _moved(maps: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """By how many pixels what is seen moves from the first frame to the second."""
    there = np.linalg.inv(maps[1].astype(float)) @ maps[0] @ pixels
    return np.linalg.norm(there[:2] / there[2] - pixels[:2], axis=0)


@pytest.mark.parametrize(("share", "kind"), [(0.0, View), (1.0, Scene)])
def test_the_share_of_scenes_is_what_the_settings_say(corpus, share, kind):
    """A run without scenes can be compared with one that has them."""
    config = SampleConfig(width=96, height=48, movie_share=0.0, scene_share=share)
    recipes = Recipes(corpus, config, seed=0, count=6)

    assert {type(recipes[index].background) for index in range(6)} == {kind}


def test_long_clips_of_consecutive_frames_are_smooth(corpus):
    """Films of a recipe show whether a network's fills swim."""
    config = SampleConfig(
        width=96, height=48, frames=60, consecutive_share=1.0, movie_share=0.0, scene_share=1.0
    )
    recipe = Recipes(corpus, config, seed=4, count=1)[0]

    truth, _, _ = render([recipe], corpus, CPU)

    assert truth.shape == (1, 60, 3, 48, 96)
    steps = truth[0].diff(dim=0).abs().mean(dim=(1, 2, 3))
    assert steps.max() < 0.25 * (truth[0, 0] - truth[0, 30]).abs().mean() + 0.1


@pytest.mark.parametrize("seed", range(20))
def test_outlines_have_something_in_them_and_soft_edges(seed):
    """A card without an outline would be no card, and hard edges flicker."""
    shape = cutout(60, 40, np.random.default_rng(seed))

    assert shape.shape == (60, 40)
    assert (shape > 200).mean() > 0.01
    assert ((shape > 20) & (shape < 235)).any()
    assert (shape[0] < 130).all()


def test_scenes_are_made_of_small_photographs_too():
    """A corpus of thumbnails is no reason to stop."""
    corpus = Corpus(photographs=[np.full((9, 7, 3), 90, np.uint8)], movies=[])
    config = SampleConfig(width=48, height=48, scene_share=1.0, traces_share=0.0)

    truth, _, _ = render([Recipes(corpus, config, seed=1, count=1)[0]], corpus, CPU)

    assert truth.isfinite().all()
