"""Texture for what no frame shows: an artist expects gravel to go on as gravel, not as a blur."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sttn.propagation.closing import closed, grown
from sttn.texture import synthesized
from sttn.texture.patches import SIDE, patches, voted
from sttn.texture.search import Search
from sttn.texture.synthesis import SEEN_AROUND


def guessed(truth: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A membrane over the hole: the colors of its edge and no texture."""
    return np.where(hole[..., None], closed(truth, ~hole), truth).astype(np.float32)


def decibel(image: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> float:
    return float(-10 * np.log10(np.square((image - truth)[hole]).mean()))


def sharpness(image: np.ndarray, hole: np.ndarray) -> float:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(gray, cv2.CV_32F))[hole].mean())


@pytest.fixture
def bricks() -> np.ndarray:
    """(96, 144, 3), a wall that repeats every 12 by 20 pixels."""
    y, x = np.mgrid[:96, :144]
    mortar = (y % 12 < 2) | ((x + 10 * (y // 12 % 2)) % 20 < 2)
    wall = np.where(mortar, 0.75, 0.35 + 0.1 * np.sin(x * 0.63) * np.sin(y * 0.52))
    return np.dstack([wall, wall * 0.7, wall * 0.6]).astype(np.float32)


@pytest.fixture
def hole() -> np.ndarray:
    mask = np.zeros((96, 144), np.bool_)
    cv2.ellipse(view := mask.astype(np.uint8), (75, 48), (18, 14), 0, 0, 360, 1, -1)
    return view > 0


def test_a_wall_goes_on_behind_what_is_removed(bricks, hole):
    """Mortar meets mortar: no blur, no blob."""
    guess = guessed(bricks, hole)

    filled = synthesized(guess, hole)

    assert decibel(filled.pixels, bricks, hole) > decibel(guess, bricks, hole) + 5
    assert sharpness(filled.pixels, hole) > 0.8 * sharpness(bricks, hole)
    away = ~grown(hole, SEEN_AROUND + 3)
    np.testing.assert_array_equal(filled.pixels[away], bricks[away])


def test_a_large_hole_is_not_paved_with_one_patch(monkeypatch):
    """Gravel that repeats like tiles is seen at once, however well each of them fits."""
    noise = np.random.default_rng(3).random((96, 144, 1)).astype(np.float32)
    gravel = np.repeat(cv2.GaussianBlur(noise, (0, 0), 1.5)[..., None], 3, axis=2)
    hole = np.zeros(gravel.shape[:2], np.bool_)
    hole[24:72, 40:104] = True
    guess = guessed(gravel, hole)

    def uses() -> np.ndarray:
        places = synthesized(guess, hole).places[hole]
        return np.unique(places, axis=0, return_counts=True)[1]

    various = uses()
    monkeypatch.setattr("sttn.texture.search.REPEATS", 0)
    paved = uses()
    assert len(various) > 1.1 * len(paved)
    assert various.max() < paved.max() / 2


def test_the_same_shot_is_filled_the_same_way_twice(bricks, hole):
    """A farm that renders a frame again must not change it."""
    guess = guessed(bricks, hole)
    np.testing.assert_array_equal(synthesized(guess, hole).pixels, synthesized(guess, hole).pixels)


def test_places_tell_where_texture_is_from(bricks, hole):
    """The node fetches fine detail there: it must be what is shown."""
    filled = synthesized(guessed(bricks, hole), hole)

    x, y = filled.places[hole].astype(int).T
    assert not hole[y, x].any()
    assert np.abs(bricks[y, x] - filled.pixels[hole]).mean() < 0.03


def test_what_was_filled_before_is_not_copied(bricks, hole):
    """It is softer than the plate, and would make all that is made of it soft."""
    unseen = hole.copy()
    unseen[20:76, 20:60] = True
    image = guessed(bricks, hole)
    image[unseen & ~hole] = cv2.GaussianBlur(bricks, (0, 0), 2)[unseen & ~hole]

    filled, from_all = synthesized(image, hole, unseen=unseen), synthesized(image, hole)

    x, y = filled.places[hole].astype(int).T
    assert not unseen[y, x].any()
    assert sharpness(filled.pixels, hole) > 1.1 * sharpness(from_all.pixels, hole)


def test_large_rasters_copy_what_a_smaller_image_found(bricks, hole, monkeypatch):
    """Memory for patches does not grow with the raster; the wall goes on all the same."""
    guess = guessed(bricks, hole)
    monkeypatch.setattr("sttn.texture.synthesis.LARGEST", 96 * 144 // 2)

    filled = synthesized(guess, hole)

    assert decibel(filled.pixels, bricks, hole) > decibel(guess, bricks, hole)
    assert sharpness(filled.pixels, hole) > 0.8 * sharpness(bricks, hole)
    x, y = filled.places[hole].astype(int).T
    np.testing.assert_array_equal(filled.pixels[hole], bricks[y, x])
    monkeypatch.setattr("sttn.texture.synthesis.LARGEST", 30)
    assert synthesized(guess, hole) is None, "too small to hold a whole patch"


def test_where_nothing_whole_is_known_there_is_no_texture(bricks):
    """A matte over nearly the whole frame: the network's word stands."""
    hole = np.ones((96, 144), np.bool_)
    assert synthesized(bricks, hole) is None
    hole[:, :4] = False  # narrower than a patch
    assert synthesized(bricks, hole) is None


def test_however_deep_a_hole_there_is_a_number_everywhere():
    """A matte over most of a wide plate: one pixel that is none would spread over the fill."""
    image = np.random.default_rng(0).uniform(0.2, 0.8, (16, 500, 3)).astype(np.float32)
    hole = np.zeros((16, 500), np.bool_)
    hole[:, 40:] = True

    filled = synthesized(image, hole)

    assert 0.2 - 1e-4 <= filled.pixels.min() <= filled.pixels.max() <= 0.8 + 1e-4


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_hole_is_filled_from_what_is_known(data):
    """Holes at borders, in pieces, thin or large: known colors inside, no changes far outside."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    height, width = data.draw(st.integers(16, 60)), data.draw(st.integers(16, 60))
    image = rng.uniform(0.2, 0.8, (height, width, 3)).astype(np.float32)
    hole = np.zeros((height, width), np.bool_)
    for _ in range(data.draw(st.integers(1, 3))):
        top, left = rng.integers(0, height), rng.integers(0, width)
        hole[top : top + rng.integers(1, height), left : left + rng.integers(1, width)] = True
    image[hole] = 0.5

    filled = synthesized(image, hole)

    if filled is None:
        return
    away = ~grown(hole, SEEN_AROUND + 3)
    np.testing.assert_array_equal(filled.pixels[away], image[away])
    low, high = image[~hole].min(0), image[~hole].max(0)
    assert (filled.pixels[hole] >= low - 1e-4).all()
    assert (filled.pixels[hole] <= high + 1e-4).all()
    x, y = filled.places[hole].astype(int).T
    assert not hole[y, x].any()


def test_patches_that_agree_vote_for_the_image_they_are_of():
    """What every patch says is what is there."""
    image = torch.rand(4, 17, 23)
    everywhere = torch.arange(17 * 23)

    laid = voted(patches(image), torch.rand(17 * 23) + 0.1, everywhere, 2.0, (17, 23))

    reach = SIDE // 2  # patches at the border repeat the border's pixels
    inner = (slice(None), slice(reach, -reach), slice(reach, -reach))
    torch.testing.assert_close(laid[inner], image[inner])


def test_a_search_by_neighbors_comes_close_to_comparing_all(monkeypatch):
    """Large holes are searched in a fraction of the time, and nothing forbidden is found."""
    image = torch.from_numpy(
        cv2.GaussianBlur(np.random.default_rng(1).random((80, 90, 4), np.float32), (0, 0), 2)
    ).permute(2, 0, 1)
    rows = patches(image)
    allowed = torch.ones(80, 90, dtype=torch.bool)
    allowed[:, 40:60] = False
    asked = torch.arange(80 * 90).reshape(80, 90)[20:50, 42:56].flatten()
    search = Search(rows, torch.zeros(80 * 90, 2), allowed, asked)
    queries = rows[asked]

    best = search.nearest(queries, None)
    start = (asked + 25).clamp(max=80 * 90 - 1)
    monkeypatch.setattr("sttn.texture.search.COMPARED_WHOLE", 0)
    for _ in range(6):
        start = search.nearest(queries, start)

    def missed(places):
        return float((rows[places] - queries).square().sum(1).mean())

    assert allowed.flatten()[start].all()
    assert missed(best) <= missed(start) < 1.6 * missed(best)
