"""Training of the network that decides which real pixels to believe."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from sttn.errors import TrainingError
from sttn.propagation import load_fusion
from sttn.propagation.fusion import Fusion
from sttn.training.corpus import Corpus
from sttn.training.examples import GatheringConfig, gather, read_examples
from sttn.training.fusing import FusingConfig, train_fusion
from sttn.training.recipes import SampleConfig

TINY = SampleConfig(width=144, height=96, frames=9, consecutive_share=1.0, scene_share=0.5)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    rng = np.random.default_rng(0)
    photographs = [rng.integers(0, 255, (160, 240, 3), np.uint8) for _ in range(2)]
    corpus = Corpus(photographs=photographs, movies=[])
    folder = tmp_path_factory.mktemp("fusion")
    config = GatheringConfig(clips=3, clip=TINY)
    first = list(gather(corpus, config, folder))
    written = [path.stat().st_mtime_ns for path in first]
    assert list(gather(corpus, config, folder)) == first
    assert [path.stat().st_mtime_ns for path in first] == written  # gathered once
    return first


def test_examples_hold_what_the_network_sees_and_the_truth(files):
    """Training needs nothing else, and no corpus."""
    examples = [example for path in files for example in read_examples(path)]

    assert 3 <= len(examples) <= 9
    for example in examples:
        height, width = example.hole.shape
        assert height % 2 == width % 2 == 0
        assert example.offered.shape[-2:] == example.truth.shape[-2:] == (height, width)
        assert all(np.isfinite(array).all() for array in example)
        known = ~example.hole
        np.testing.assert_allclose(
            example.pixels[0][:, known], example.truth[:, known], atol=0.12
        )  # noise and JPEG traces are on the input only


def test_training_changes_what_is_believed(files):
    """Weights leave the mean by evidence and agreement, all of them finite, the same twice."""
    config = FusingConfig(steps=4, batch=2, crop=48, precision="float32")
    told = []

    fusion, psnr, untrained = train_fusion(files, config, lambda *t: told.append(t))
    again, _, _ = train_fusion(files, config, lambda *_: None)

    assert len(told) == 4
    assert np.isfinite([psnr, untrained]).all()
    assert fusion.score.weight.abs().max() > 0
    for a, b in zip(fusion.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize(("ratio", "chosen"), [(0.0, "float32"), (2.0, "bfloat16")])
def test_auto_trains_in_what_is_faster_here(files, monkeypatch, ratio, chosen):
    """A CPU that can only emulate bfloat16 took seven times as long for every step in it."""
    monkeypatch.setattr("sttn.device.bfloat16_speed", lambda: ratio)
    short = FusingConfig(steps=1, batch=1, crop=16)

    trained, asked = (
        train_fusion(files, config, lambda *_: None)[0]
        for config in (short, replace(short, precision=chosen))
    )

    for a, b in zip(trained.parameters(), asked.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_no_example_is_said(tmp_path):
    """Clips without a hole leave nothing to learn from."""
    np.savez(tmp_path / "1_00000.npz")

    with pytest.raises(TrainingError, match="no clip had a hole"):
        train_fusion([tmp_path / "1_00000.npz"], FusingConfig(), lambda *_: None)


@pytest.mark.parametrize("steps", [1, 19])
def test_any_number_of_steps_can_be_trained(files, steps):
    """What took an hour to gather is not lost to a short schedule."""
    _, psnr, _ = train_fusion(files, FusingConfig(steps=steps, batch=1, crop=16), lambda *_: None)

    assert np.isfinite(psnr)


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf])
def test_rates_that_teach_nothing_are_refused(rate):
    """At once, not after examples were gathered."""
    with pytest.raises(ValueError, match="learning_rate must be above 0"):
        FusingConfig(learning_rate=rate)


def test_weights_that_are_not_finite_are_never_handed_over(files):
    """A server would start with them and fill every hole with nothing."""
    config = FusingConfig(steps=5, batch=1, crop=16, learning_rate=1e30)

    with pytest.raises(TrainingError, match=r"after step \d are not finite; lower learning_rate"):
        train_fusion(files, config, lambda *_: None)


def test_the_shipped_network_is_a_trained_one():
    """What users get is not the untrained mean by evidence and agreement."""
    assert load_fusion(torch.device("cpu")).score.weight.abs().max() > 0.01
    assert Fusion().score.weight.abs().max() == 0
