"""Training on a GPU: both networks learn in bfloat16, and a run that stopped goes on."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from sttn.model import ModelConfig
from sttn.training.ahead import rendered
from sttn.training.config import TrainingConfig
from sttn.training.corpus import Corpus
from sttn.training.panoramas import Outlook
from sttn.training.recipes import Excerpt, Recipe, Recipes, SampleConfig, View
from sttn.training.rendering import Rendering, render
from sttn.training.scenes import Scene
from sttn.training.state import TrainingState
from sttn.training.trainer import train
from tests.sttn.training.runs import log

pytestmark = pytest.mark.gpu

RUN = TrainingConfig(
    model=ModelConfig(channels=16, blocks=1),
    sample=SampleConfig(width=48, height=48, frames=3, panorama_share=0.3),
    steps=4,
    decay_steps=0,
    warmup_steps=2,
    batch=2,
    learning_rate=2e-4,
    average=0.9,
    adversarial_weight=0.01,
    bfloat16=True,
    validate_every=0,
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """Something of every kind."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    photograph = cv2.resize(coarse, (240, 180), interpolation=cv2.INTER_CUBIC)
    movie = np.stack([photograph[:96, index : index + 144] for index in range(20)])
    panorama = cv2.resize(coarse, (256, 128)).astype(np.float16) / 128
    return Corpus(photographs=[photograph], movies=[movie], panoramas=[panorama])


def test_both_networks_learn_in_bfloat16_what_they_learn_in_float32(tmp_path, corpus, device):
    """Nights on a rented card; its curve within the rounding that a CPU keeps to."""
    for half in (False, True):
        train(replace(RUN, bfloat16=half), corpus, tmp_path / str(half), device)

    for loss in ("hole", "valid", "discriminator", "adversarial"):
        exact, rounded = (log(tmp_path / str(half), loss) for half in (False, True))
        assert len(rounded) == RUN.steps
        assert np.isfinite(rounded).all()
        if loss != "adversarial":  # a small difference of large scores
            np.testing.assert_allclose(rounded, exact, rtol=0.03)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_recorded_steps_learn_what_launched_ones_do(
    monkeypatch, tmp_path, corpus, device, bfloat16
):
    """Who reads a curve need not know from which step on the card repeats what it was told."""
    config = replace(RUN, bfloat16=bfloat16, steps=8)
    train(config, corpus, tmp_path / "recorded", device)
    monkeypatch.setattr("sttn.training.recorded.FIRST", 100)
    train(config, corpus, tmp_path / "launched", device)

    for loss in ("hole", "valid", "discriminator"):
        recorded, launched = (log(tmp_path / name, loss) for name in ("recorded", "launched"))
        assert len(recorded) == len(launched) == 8
        np.testing.assert_allclose(recorded, launched, rtol=1e-2 if bfloat16 else 2e-3)


def test_what_is_rendered_meanwhile_is_what_was_asked_for(corpus, device):
    """Batches reach the networks in order and whole, also those that are used again."""
    recipes = Recipes(corpus, RUN.sample, seed=0, count=36, reuse=3)
    batches = [[recipes[index] for index in range(first, first + 4)] for first in range(0, 36, 4)]

    ahead = rendered(batches, Rendering(corpus, device, kept=8), device, 2)
    for wanted, (told, parts) in zip(batches, ahead, strict=True):
        assert told is wanted
        for some, clips in zip((wanted[:2], wanted[2:]), parts, strict=True):
            for found, expected in zip(clips, render(some, corpus, device), strict=True):
                torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("bfloat16", [False, True])
def test_a_run_stopped_and_resumed_goes_on_as_if_it_had_not(tmp_path, corpus, device, bfloat16):
    """A killed night costs its last minutes: all that was saved is back on the card, bit for bit.

    What comes after is compared within rounding: cards add gradients up in any order.
    """
    config = replace(RUN, bfloat16=bfloat16)
    train(config, corpus, tmp_path / "whole", device)
    train(replace(config, steps=2), corpus, tmp_path / "parts", device)
    saved = torch.load(tmp_path / "parts" / "checkpoint-00000002.pt", weights_only=True)

    state = TrainingState(config, device)
    state.resume(tmp_path / "parts", device)
    train(config, corpus, tmp_path / "parts", device)

    networks = state.generator, state.discriminator
    for name, network in zip(("generator", "discriminator"), networks, strict=True):
        for key, tensor in network.state_dict().items():
            assert tensor.device.type == device.type
            torch.testing.assert_close(tensor.cpu(), saved[name][key].cpu(), rtol=0, atol=0)
    for optimizer, kept in zip(state.optimizers, saved["optimizers"], strict=True):
        for index, moments in kept["state"].items():
            for name in ("exp_avg", "exp_avg_sq"):
                back = optimizer.state_dict()["state"][index][name]
                assert back.device.type == device.type
                torch.testing.assert_close(back.cpu(), moments[name].cpu(), rtol=0, atol=0)
    for loss in ("hole", "valid", "discriminator"):
        whole, parts = (log(tmp_path / name, loss) for name in ("whole", "parts"))
        assert len(parts) == RUN.steps
        np.testing.assert_allclose(parts, whole, rtol=5e-3 if bfloat16 else 1e-3)


@pytest.mark.parametrize("kind", [View, Scene, Excerpt, Outlook])
def test_a_card_renders_the_clips_that_a_cpu_does(corpus, device, kind):
    """A run moved to another machine learns from the same clips."""
    recipe = first_of(kind, corpus)

    there, here = (render([recipe], corpus, where) for where in (device, torch.device("cpu")))

    for name, one, other in zip(("truth", "given", "mask"), there, here, strict=True):
        apart = (one.cpu() - other).abs() * 127.5
        assert apart.mean() < 0.05, name
        assert (apart > 1).float().mean() < 0.005, name
    assert there[0].std() > 0.05
    torch.testing.assert_close(there[2].cpu(), here[2], rtol=0, atol=0)


def test_noise_and_jpeg_traces_are_laid_over_on_the_card(corpus, device):
    """What a network is given there is as spoilt as on a CPU; the grain is another."""
    recipe = replace(first_of(Excerpt, corpus), noise=0.02, jpeg_quality=60, seed=3)

    truth, given, _ = render([recipe], corpus, device)
    again = render([recipe], corpus, device)[1]
    on_cpu = render([recipe], corpus, torch.device("cpu"))

    torch.testing.assert_close(given, again, rtol=0, atol=0)
    spoilt, expected = ((given - truth).std(), (on_cpu[1] - on_cpu[0]).std())
    assert spoilt.item() == pytest.approx(expected.item(), rel=0.05)


def first_of(kind: type, corpus: Corpus) -> Recipe:
    """The first clip of a kind of background, without noise, which devices draw by other lots."""
    for recipe in Recipes(corpus, replace(RUN.sample, traces_share=0.0), seed=0, count=60):
        if isinstance(recipe.background, kind):
            return recipe
    raise AssertionError(f"none of 60 clips is a {kind.__name__}")
