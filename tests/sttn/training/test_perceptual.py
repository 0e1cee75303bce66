"""Table 8 can be repeated by whoever holds a VGG-16."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sttn.errors import CheckpointError
from sttn.training.config import TrainingConfig
from sttn.training.perceptual import VggFeatures, perceptual_loss, style_loss
from sttn.training.processes import Processes
from sttn.training.recipes import Recipes
from sttn.training.rendering import render
from sttn.training.state import TrainingState
from sttn.training.trainer import Step, train


def test_features_are_those_of_three_poolings(vgg):
    """Names and strides are torchvision's."""
    pooled = VggFeatures(vgg)(torch.zeros(2, 3, 32, 48))

    assert [tuple(features.shape[1:]) for features in pooled] == [
        (64, 16, 24),
        (128, 8, 12),
        (256, 4, 6),
    ]


def test_losses_are_nothing_for_equals_and_style_knows_no_place(vgg):
    """Style compares which textures there are, not where."""
    features = VggFeatures(vgg)
    picture = torch.rand(1, 3, 32, 32) * 2 - 1

    same, moved = features(picture), [f.flip(-1) for f in features(picture)]

    assert perceptual_loss(same, same) == 0
    assert perceptual_loss(same, moved) > 0
    assert style_loss(same, moved).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
def test_a_run_trains_on_them(tmp_path, corpus, tiny, vgg):
    """The objective's figures are logged."""
    config = replace(tiny, steps=2, perceptual_weight=0.1, style_weight=10.0, vgg=vgg)

    train(config, corpus, tmp_path, torch.device("cpu"))

    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["perceptual"] > 0
    assert last["style"] > 0


def test_a_vgg_without_a_weight_is_not_run(corpus, tiny):
    """Switched off, it takes neither time nor memory."""
    config = replace(tiny, batch=1, vgg=Path("none.pth"))
    cpu = torch.device("cpu")
    state = TrainingState(config, cpu)
    recipe = Recipes(corpus, config.sample, seed=1, count=1)[0]

    figures = Step(config, state, cpu, Processes())([render([recipe], corpus, cpu)])

    assert "style" not in figures


def test_files_that_are_no_vgg_are_refused(tmp_path):
    """The message names what is missing."""
    save_file({"features.0.weight": torch.zeros(64, 3, 3, 3)}, tmp_path / "odd.safetensors")

    with pytest.raises(CheckpointError, match=r"missing or misshapen features\.0\.bias"):
        VggFeatures(tmp_path / "odd.safetensors")
    with pytest.raises(CheckpointError, match="cannot read"):
        VggFeatures(tmp_path / "none.pth")
    (tmp_path / "page.pth").write_bytes(b"error: 404")
    with pytest.raises(CheckpointError, match="cannot read"):
        VggFeatures(tmp_path / "page.pth")
    with pytest.raises(ValueError, match="want vgg"):
        TrainingConfig(style_weight=1.0)
