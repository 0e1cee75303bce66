"""Clips to train on: drawn by lot, the same for the same seed."""

import threading
from contextlib import nullcontext
from dataclasses import replace
from threading import Event
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from sttn.training import rendering
from sttn.training.ahead import rendered
from sttn.training.corpus import Corpus
from sttn.training.jpeg import with_jpeg_traces
from sttn.training.masks import random_masks
from sttn.training.recipes import (
    POOLED,
    Excerpt,
    MovingObject,
    Recipe,
    Recipes,
    SampleConfig,
    View,
    random_times,
)
from sttn.training.rendering import render

CPU = torch.device("cpu")


def drawn(corpus, seed: int, index: int = 2, **changes: object):
    config = SampleConfig(**{"width": 96, "height": 48, **changes})
    recipe = Recipes(corpus, config, seed=seed, count=4)[index]
    return render([recipe], corpus, CPU)


def view(to_x: float, to_y: float, scale: float = 1.0) -> View:
    maps = np.array([[[[scale, 0, to_x], [0, scale, to_y]]]], np.float32)
    return View(photograph=0, maps=maps)


def recipe(background: View | Excerpt, **changes: object) -> Recipe:
    plain = {
        "clip": 0,
        "background": background,
        "objects": (),
        "gains": np.ones((1, 3), np.float32),
        "mirrored": False,
        "noise": 0.0,
        "jpeg_quality": None,
        "masks": np.zeros((1, 48, 48), np.bool_),
        "seed": 0,
    }
    return Recipe(**{**plain, **changes})


def as_bytes(clip: torch.Tensor) -> np.ndarray:
    """The first frame, (H, W, 3) in [0, 255]."""
    return ((clip[0, 0] + 1) * 127.5).permute(1, 2, 0).numpy()


def test_masks_stand_still_or_move_and_leave_something_to_copy():
    """Half of all holes are stationary, as in the paper."""
    still = 0
    for seed in range(200):
        masks = random_masks(np.arange(5.0), 96, 192, np.random.default_rng(seed))
        still += (masks == masks[0]).all()
        assert masks.any()
        assert masks.mean() < 0.6

    assert 75 < still < 135


def test_holes_are_as_large_as_the_settings_say(corpus):
    """The paper's runs see holes of a third of the raster to nearly all of it, along each side."""
    config = SampleConfig(
        width=96, height=48, hole_height=(0.3334, 1.0), hole_width=(0.3334, 1.0), movie_share=1.0
    )
    recipes = Recipes(corpus, config, seed=0, count=60)

    holes = [recipes[index].masks[2] for index in range(60)]
    whole = [hole for hole in holes if not (hole[0].any() or hole[-1].any())]  # none cut off
    heights = [hole.any(axis=1).sum() for hole in whole]
    assert min(heights) >= 14
    assert max(heights) > 40
    assert max(hole.any(axis=0).sum() for hole in holes) > 80


def test_whole_frames_of_movies_are_resized_to_the_raster(corpus):
    """As the paper does, whatever shape a movie has."""
    config = SampleConfig(width=48, height=48, movie_share=1.0, whole_frames=True)

    background = Recipes(corpus, config, seed=0, count=1)[0].background

    assert isinstance(background, Excerpt)
    assert background.box == (0, 0, 128, 96)


@pytest.mark.parametrize("sides", [(0.0, 0.5), (0.6, 0.5), (0.5, 1.1)])
def test_holes_that_cannot_be_are_refused(sides):
    """Nothing to fill, or more than there is."""
    with pytest.raises(ValueError, match="hole_width must rise within"):
        SampleConfig(hole_width=sides)


@pytest.mark.parametrize(("timeline", "longest"), [(0, 150), (20, 20), (50, 50)])
def test_scattered_frames_lie_as_far_apart_as_is_said(timeline, longest):
    """The paper's runs take frames from all over a video, so that distant ones are learned from."""
    corpus = Corpus(photographs=[], movies=[np.zeros((150, 27, 48, 3), np.uint8)])
    config = SampleConfig(width=48, height=48, timeline=timeline, consecutive_share=0.0)
    recipes = Recipes(corpus, config, seed=0, count=60)

    frames = [recipes[index].background.frames for index in range(60)]

    assert 0.8 * longest < max(np.ptp(some) for some in frames) < longest
    with pytest.raises(ValueError, match="timeline must be at least 0, got -1"):
        SampleConfig(timeline=-1)


@pytest.mark.parametrize("length", [3, 5, 50])
def test_sample_times_rise_and_stay_on_the_timeline(length):
    """Short movies repeat frames rather than fail."""
    for seed in range(30):
        times = random_times(5, length, np.random.default_rng(seed))

        assert (np.diff(times) >= 0).all()
        assert times.min() >= 0
        assert times.max() < length


@pytest.mark.parametrize("movie_share", [0.0, 1.0])
def test_clips_are_the_same_for_the_same_seed(corpus, movie_share):
    """A run can be repeated."""
    first, again, other = (drawn(corpus, seed, movie_share=movie_share) for seed in (1, 1, 2))

    for one, two in zip(first, again, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
    truth, given, mask = first
    assert not torch.equal(truth, other[0])
    assert truth.shape == given.shape == (1, 5, 3, 48, 96)
    assert truth.abs().max() <= 1
    assert set(mask.unique().tolist()) <= {0.0, 1.0}


def test_a_view_is_the_photograph_where_the_camera_looks(corpus):
    """Pixel centers meet pixel centers."""
    truth, _, _ = render([recipe(view(30, 20))], corpus, CPU)

    np.testing.assert_allclose(as_bytes(truth), corpus.photographs[0][20:68, 30:78], atol=0.01)


def test_a_camera_far_away_sees_the_photograph_reduced(corpus):
    """No aliasing, and no shift by half a pixel."""
    truth, _, _ = render([recipe(view(0.5, 0.5, scale=2.0))], corpus, CPU)

    expected = cv2.resize(corpus.photographs[0], (80, 60), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(as_bytes(truth), expected[:48, :48], atol=1)


def test_an_excerpt_is_the_movie(corpus):
    """Frames and box are those of the recipe."""
    excerpt = Excerpt(movie=0, frames=np.array([7]), box=(10, 20, 48, 48))

    truth, _, _ = render([recipe(excerpt)], corpus, CPU)

    np.testing.assert_allclose(as_bytes(truth), corpus.movies[0][7, 20:68, 10:58], atol=0.01)


def test_an_object_covers_what_lies_behind_it_and_smears_when_it_moves(corpus):
    """Opaque inside, untouched outside, in between while the shutter is open."""
    shape = np.full((10, 10), 255, np.uint8)
    maps = np.array([[[[1, 0, -20 + s], [0, 1, -20]] for s in (0.0, 2.0)]], np.float32)
    texture = View(photograph=0, maps=np.repeat(view(100, 60).maps, 2, axis=1))
    passing = MovingObject(texture=texture, shape=shape, maps=maps)

    bare, _, _ = render([recipe(view(0, 0))], corpus, CPU)
    truth, _, _ = render([recipe(view(0, 0), objects=(passing,))], corpus, CPU)

    there, behind = as_bytes(truth), as_bytes(bare)
    front = corpus.photographs[0][60:108, 100:148].astype(np.float32)
    np.testing.assert_allclose(there[24, 24], front[24, 24], atol=0.1)
    np.testing.assert_allclose(there[24, 19], (front[24, 19] + behind[24, 19]) / 2, atol=0.1)
    np.testing.assert_allclose(there[40:], behind[40:], atol=0.01)


def test_noise_and_jpeg_reach_the_input_and_never_the_truth(corpus):
    """The network learns to fill with clean pixels, whatever surrounds them."""
    clean, _, _ = render([recipe(view(0, 0))], corpus, CPU)
    truth, given, _ = render([recipe(view(0, 0), noise=0.02, jpeg_quality=40)], corpus, CPU)

    torch.testing.assert_close(truth, clean, rtol=0, atol=0)
    assert 0.01 < (given - truth).abs().mean() < 0.1


def test_locked_off_clips_show_nowhere_what_their_hole_hides(corpus):
    """Neither camera nor hole moves; objects still pass, in some."""
    still = 0
    for index in range(8):
        config = SampleConfig(
            width=96, height=48, movie_share=0.0, traces_share=0.0, locked_off_share=1.0
        )
        drawn_by_lot = Recipes(corpus, config, seed=0, count=8)[index]
        truth, _, mask = render([drawn_by_lot], corpus, CPU)
        assert torch.equal(mask, mask[:, :1].expand_as(mask))
        if not drawn_by_lot.objects:
            gains = torch.from_numpy(drawn_by_lot.gains)[:, :, None, None]
            alike = ((truth[0] + 1) / gains)[:, :, 8:40, 8:88]
            dark = (truth[0, :, :, 8:40, 8:88] < 0.99).all(dim=0)
            apart = (alike - alike[:1]).abs().amax(dim=0)
            assert apart[dark].max() < 0.01
            still += 1
    assert 0 < still < 8


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_jpeg_traces_are_those_of_a_real_encoder(corpus, quality):
    """What OpenCV's encoder does to the same picture, without color subsampling."""
    picture = corpus.photographs[0][:96, :144]
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    flags += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    _, content = cv2.imencode(".jpg", picture[..., ::-1], flags)
    expected = cv2.imdecode(content, cv2.IMREAD_COLOR)[..., ::-1].astype(np.float32)

    frames = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    result = with_jpeg_traces(frames, quality)[0].permute(1, 2, 0).numpy() * 255

    assert np.abs(result - expected).mean() < 0.7  # the encoder rounds to 8 bits on the way


@pytest.mark.parametrize(
    "wrong",
    [{"width": 100}, {"height": 0}, {"frames": 1}, {"movie_share": 1.1}, {"locked_off_share": -1}],
)
def test_clips_that_cannot_be_made_are_refused(wrong):
    """A typo in a preset is caught before training."""
    with pytest.raises(ValueError, match="must"):
        SampleConfig(**wrong)


def test_clips_seen_again_have_another_hole(corpus, monkeypatch):
    """What a GPU renders is used several times; each clip about as often as is said."""
    sample = SampleConfig(width=48, height=48, frames=3, movie_share=0.9)
    recipes = Recipes(corpus, sample, seed=0, count=3000, reuse=2)
    seen = [recipes[index] for index in range(1000, 1500)]

    by_clip = {}
    for recipe in seen:
        by_clip.setdefault(recipe.clip, []).append(recipe)
    several = [alike for alike in by_clip.values() if len(alike) > 1][:20]
    assert len(several) == 20
    for first, second, *_ in several:
        assert not np.array_equal(first.masks, second.masks)
        one, other = (
            render([replace(each, masks=first.masks)], corpus, CPU) for each in (first, second)
        )
        torch.testing.assert_close(one.truth, other.truth, rtol=0, atol=0)
    whole = range(500 + POOLED, 750)  # whose every chance lies among these
    assert 1.5 < np.mean([len(by_clip.get(clip, [])) for clip in whole]) < 2.5
    done = []
    monkeypatch.setattr(rendering, "_render", lambda recipe, *_: done.append(recipe.clip) or 0)
    draw = rendering.Rendering(corpus, CPU, kept=POOLED)
    for recipe in seen:
        draw._frames(recipe)
    assert sorted(done) == sorted(by_clip)


def test_a_clip_seen_again_is_rendered_once(corpus, monkeypatch):
    """Which is what reuse is for; the oldest are forgotten."""
    recipes = Recipes(corpus, SampleConfig(width=48, height=48, frames=2), seed=0, count=9)
    done = []
    real = rendering._render
    monkeypatch.setattr(
        rendering, "_render", lambda recipe, *how: (done.append(recipe.clip), real(recipe, *how))[1]
    )
    draw = rendering.Rendering(corpus, CPU, kept=2)

    for number in (0, 1, 0, 1, 2, 1, 0):
        clips = draw([recipes[number]])
        fresh = render([recipes[number]], corpus, CPU)
        done.pop()
        torch.testing.assert_close(clips.given, fresh.given, rtol=0, atol=0)

    assert done == [0, 1, 2, 0]


def test_a_run_that_is_stopped_waits_for_none_of_what_was_to_be_rendered(monkeypatch):
    """Ctrl-C on a GPU: what is being rendered is finished, what waits its turn is not."""
    event = SimpleNamespace()
    stream = SimpleNamespace(record_event=lambda: event, wait_event=lambda _: None)
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda device: stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda *_: None)
    begun, go_on = [], Event()

    def slow(recipes):
        begun.append(recipes)
        if len(begun) > 1:
            go_on.wait(60)
        return rendering.Clips(*torch.zeros(3, 1))

    batches = rendered([["first"], ["second"], *[["later"]] * 8], slow, torch.device("cuda"), 1)

    assert next(batches)[0] == ["first"]
    threading.Timer(0.2, go_on.set).start()
    batches.close()

    assert begun in ([["first"]], [["first"], ["second"]])
