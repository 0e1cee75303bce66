"""What no frame shows is made up once and carried along: it must neither swim nor pop."""

from threading import Event
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch

from sttn.errors import CancelledError
from sttn.inference import MemoryBudget, WindowConfig, complete, completed_frames
from sttn.inference.anchors import SPACING
from sttn.model import Generator, ModelConfig
from sttn.propagation import Propagation
from sttn.texture.search import Search


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(ModelConfig(channels=16, blocks=1)).eval()


@pytest.fixture(scope="module")
def gravel() -> tuple[np.ndarray, np.ndarray]:
    """40 frames (96, 144, 3) by a camera that stands, and a hole that never moves."""
    rng = np.random.default_rng(5)
    ground = cv2.GaussianBlur(rng.uniform(0, 255, (96, 144, 3)).astype(np.float32), (0, 0), 1.2)
    ground = ((ground - 127) * 2.5 + 127).clip(0, 255)
    noise = rng.normal(0, 1.5, (40, 96, 144, 3))
    frames = (ground + noise).clip(0, 255).round().astype(np.uint8)
    masks = np.zeros(frames.shape[:3], np.bool_)
    masks[:, 30:66, 60:96] = True
    frames[masks] = 0
    return frames, masks


class Filled(NamedTuple):
    """What the presets' own settings make of a clip."""

    frames: np.ndarray
    origins: dict[int, np.ndarray]
    """By frame."""
    asked: int
    """Frames that the network made up."""


@pytest.fixture(scope="module")
def filled(gravel, generator) -> Filled:
    """The gravel, once for all who look at it."""
    frames, masks = gravel
    decoded, decode, origins = [], generator.decode, {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator, "decode", lambda x, **k: decoded.append(len(x)) or decode(x, **k))
        fills = dict(completed_frames(frames, masks, generator, origins=origins.__setitem__))
    return Filled(np.stack([fills[index] for index in range(len(frames))]), origins, sum(decoded))


def sharpness(frames: np.ndarray, masks: np.ndarray) -> float:
    gray = (cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) for frame in frames)
    edges = np.stack([np.abs(cv2.Laplacian(each, cv2.CV_32F)) for each in gray])
    return float(edges[masks].mean())


def test_gravel_goes_on_under_a_matte_that_never_moves(gravel, generator, filled):
    """The plainest removal: something lies on the ground, the camera stands."""
    frames, masks = gravel
    beside = np.roll(masks, 45, axis=2)

    result = filled.frames
    few = slice(6)
    soft = complete(frames[few], masks[few], generator, WindowConfig(texture=False))

    np.testing.assert_array_equal(result[~masks], frames[~masks])
    assert sharpness(result, masks) > 0.6 * sharpness(frames, beside)
    assert sharpness(result[few], masks[few]) > 2 * sharpness(soft, masks[few])
    # Less than the plate's own noise changes, anchors and what lies between them alike.
    changes = np.abs(np.diff(result.astype(np.float32), axis=0))[masks[1:]].reshape(39, -1)
    assert changes.mean(1).max() < 1.5


def test_a_blurred_frame_lends_no_texture(gravel, generator, filled):
    """Somebody bumped into the tripod as the camera began to run."""
    frames, masks = gravel
    shaken = frames.copy()
    shaken[0] = cv2.blur(frames[0], (9, 9))
    shaken[masks] = 0

    result = complete(shaken, masks, generator)

    assert sharpness(result[4:], masks[4:]) > 0.9 * sharpness(filled.frames[4:], masks[4:])


def test_the_network_is_asked_once_in_a_while(filled):
    """What it makes up is carried along, so it costs less than frame by frame."""
    assert 1 <= filled.asked <= 1 + len(filled.frames) // SPACING


def test_cancelling_does_not_wait_for_texture(gravel, generator, monkeypatch):
    """A large hole's takes twenty seconds, in which an artist would see nothing happen."""
    frames, masks = (part[:2] for part in gravel)
    rounds, nearest = [], Search.nearest
    monkeypatch.setattr(Search, "nearest", lambda *a: rounds.append(1) or nearest(*a))

    with pytest.raises(CancelledError):
        list(completed_frames(frames, masks, generator, cancelled=lambda: bool(rounds)))

    assert len(rounds) == 1


@pytest.fixture
def dense(monkeypatch):
    """Every other frame is an anchor, without texture, and no frame is looked for ahead."""
    monkeypatch.setattr("sttn.inference.anchors.SPACING", 2)
    monkeypatch.setattr("sttn.inference.anchors.CHOICE", 1)
    monkeypatch.setattr("sttn.inference.anchors.synthesized", lambda *_: None)
    monkeypatch.setattr("sttn.inference.holes.AHEAD", 0)


def test_cancelling_does_not_wait_for_an_anchors_real_pixels(gravel, generator, dense, monkeypatch):
    """An anchor lies too far ahead to have been begun: its frame's motion has to be found first."""
    frames, masks = (part[:3] for part in gravel)
    fill, begun, heard, in_time = Propagation.fill, Event(), Event(), []

    def slow(stage, index):
        if index == 2:
            begun.set()
            in_time.append(heard.wait(20))
        return fill(stage, index)

    def cancelled():
        if begun.is_set():
            heard.set()
        return begun.is_set()

    monkeypatch.setattr(Propagation, "fill", slow)
    with pytest.raises(CancelledError):
        list(completed_frames(frames, masks, generator, cancelled=cancelled))

    assert in_time == [True]


def test_frames_done_before_change_nothing_in_those_that_follow(gravel, generator, filled):
    """A farm that goes on after a crash must not show where."""
    rest = complete(*gravel, generator, handles=range(23))

    np.testing.assert_array_equal(rest, filled.frames[23:])


def test_going_on_looks_for_an_anchors_real_pixels_once(gravel, generator, dense, monkeypatch):
    """A farm that goes on at the end of a long shot waits for all anchors before, not twice."""
    frames, masks = (part[:7] for part in gravel)
    asked, fill = [], Propagation.fill
    monkeypatch.setattr(Propagation, "fill", lambda s, i: asked.append(i) or fill(s, i))

    budget = MemoryBudget(real_pixels_gigabytes=0)
    list(completed_frames(frames, masks, generator, handles=range(6), budget=budget))

    assert sorted(index for index in asked if index < 5) == [0, 2, 4]


def test_made_up_places_tell_where_their_texture_is_from(gravel, filled):
    """Plates larger than the model raster get their fine detail from there."""
    frames, masks = gravel

    for index in (0, 7, SPACING, 25):
        frame, x, y, share, real = np.moveaxis(filled.origins[index], -1, 0)
        np.testing.assert_array_equal(real, ~masks[index], "no frame shows what is behind")
        sure = masks[index] & (share > 0.5)
        assert sure.sum() > 0.5 * masks[index].sum()
        places = np.rint([y[sure], x[sure]]).astype(int)
        assert not masks[frame[sure].astype(int), places[0], places[1]].any()
        shown = frames[frame[sure].astype(int), places[0], places[1]].astype(float)
        assert np.abs(shown - filled.frames[index][sure]).mean() < 20


def test_an_artists_frame_is_an_anchor_as_it_is(gravel, generator):
    """What somebody painted is what shows, not what is made up."""
    frames, masks = (part.copy() for part in gravel)
    frames[SPACING][masks[SPACING]] = 200
    masks[SPACING] = False

    result = complete(frames, masks, generator, clean=[SPACING])

    inside = result[masks[np.arange(40) != SPACING]]
    assert np.abs(inside.astype(float) - 200).mean() < 12


def test_texture_that_is_carried_far_stays_sharp(generator):
    """A long hand-held shot: what is carried through every anchor would go soft on the way."""
    rng = np.random.default_rng(7)
    ground = cv2.GaussianBlur(rng.uniform(0, 255, (120, 170, 3)).astype(np.float32), (0, 0), 1.2)
    ground = ((ground - 127) * 2.5 + 127).clip(0, 255)
    at = 12 + 8 * np.sin(np.cumsum(rng.normal(0, 0.35, (58, 2)), axis=0) / 8)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    views = [
        cv2.warpAffine(ground, np.array([[1, 0, x], [0, 1, y]]), (144, 96), flags=flags)
        for x, y in at
    ]
    truth = np.stack(views).clip(0, 255).round().astype(np.uint8)
    masks = np.zeros(truth.shape[:3], np.bool_)
    masks[:, 24:72, 50:100] = True
    frames = np.where(masks[..., None], np.uint8(0), truth)
    some = slice(3 * SPACING, 3 * SPACING + 8)

    result = complete(frames, masks, generator)

    assert sharpness(result[some], masks[some]) > 0.8 * sharpness(truth[some], masks[some])
