"""The paper's tables, repeated by whoever has the time: what rows train, and what is printed."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sttn.errors import CheckpointError
from sttn.evaluation import tables
from sttn.evaluation.cases import ProtocolConfig
from sttn.evaluation.command import table_command
from sttn.evaluation.tables import TABLES
from sttn.model import Generator, load_generator, save_generator
from sttn.training.config import TrainingConfig
from sttn.training.corpus import Corpus, CorpusLimits
from sttn.training.presets import read_preset


@pytest.mark.parametrize("number", TABLES)
def test_the_full_model_ends_every_table(number):
    """30.67 dB on DAVIS, with the paper's own settings, as the last row."""
    last = TABLES[number][-1]
    config = TrainingConfig()

    assert (last.published.psnr, last.published.ssim) == (30.67, 95.60)
    assert last.training(config) == config


def test_rows_differ_in_what_the_table_is_about(tmp_path):
    """And in nothing else."""
    config = read_preset(Path("davis"))
    vgg = TrainingConfig(vgg=tmp_path / "vgg.pth")

    patches = [row.training(config).model.patch_divisors for row in TABLES[2]]
    blocks = [row.training(config).model.blocks for row in TABLES[3]]
    masked = [row.training(config).model.mask_attention for row in TABLES[7]]
    losses = [row.training(vgg) for row in TABLES[8]]

    assert patches == [(1,), (3,), (6,), (12,), (1, 3, 6, 12)]
    assert blocks == [2, 4, 6, 8]
    assert masked == [False, True]
    assert [loss.adversarial_weight for loss in losses] == [0, 0.01]
    assert [loss.perceptual_weight > 0 for loss in losses] == [True, False]
    assert len({row.training(config) for row in TABLES[6]}) == 1


def test_a_run_that_weighs_style_alone_keeps_its_weights(tmp_path):
    """Whoever names one of the two weights has named both."""
    config = TrainingConfig(vgg=tmp_path / "vgg.pth", style_weight=7.0)

    loss = TABLES[8][0].training(config)

    assert (loss.perceptual_weight, loss.style_weight) == (0, 7)


def test_table_8_wants_its_vgg():
    """Refused before anything is trained."""
    with pytest.raises(ValueError, match="want vgg"):
        TABLES[8][0].training(TrainingConfig())


@pytest.fixture
def trained_on(monkeypatch):
    """The corpora that were trained on, by what only pretends to."""
    corpora = []

    def train(config, corpus, run, device, start):
        corpora.append(corpus)
        run.mkdir(parents=True)
        (run / "log.jsonl").write_text(json.dumps({"step": config.steps}) + "\n")
        save_generator(Generator(config.model), run / "generator.safetensors", torch.float16)

    monkeypatch.setattr(tables, "train", train)
    return corpora


def test_a_row_is_trained_anew_on_other_material(tmp_path, trained_on):
    """Weights of another corpus must not stand in a table."""
    first, other = (
        Corpus(photographs=[np.full((60, 60, 3), gray, np.uint8)], movies=[]) for gray in (0, 1)
    )
    config = read_preset(Path("tiny"))

    for corpus in (first, other, first):
        tables.trained(TABLES[6], config, corpus, tmp_path, torch.device("cpu"))

    assert trained_on == [first, other]


def test_what_learns_the_same_is_trained_once(tmp_path, trained_on):
    """Whoever goes on after a week with more workers, or has a VGG lie elsewhere for Table 8."""
    corpus = Corpus(photographs=[np.zeros((60, 60, 3), np.uint8)], movies=[])
    config = read_preset(Path("tiny"))
    without_vgg = TABLES[8][1:]

    for changes in (
        {},
        {"workers": 3, "checkpoint_minutes": 60.0, "checkpoints_kept": 1},
        {"validate_every": 0, "rejected_limit": 3, "vgg": Path("vgg.pth")},
        {"seed": 1},
    ):
        changed = replace(config, **changes)
        tables.trained(without_vgg, changed, corpus, tmp_path, torch.device("cpu"))

    assert len(trained_on) == 2


def test_rows_begin_with_the_weights_that_are_given(tmp_path, trained_on, weights):
    """The paper's runs on DAVIS begin with those on YouTube-VOS; other weights are another run."""
    corpus = Corpus(photographs=[np.zeros((60, 60, 3), np.uint8)], movies=[])
    config = tables.sized(TABLES[6], TrainingConfig(), load_generator(weights))
    other = tmp_path / "other.safetensors"
    save_generator(Generator(config.model), other, torch.float16)

    for start in (None, weights, other, weights):
        tables.trained(TABLES[6], config, corpus, tmp_path / "runs", torch.device("cpu"), start)

    assert config.model == load_generator(weights).config
    assert len(trained_on) == 3
    with pytest.raises(CheckpointError, match=r"the row 'x2' trains ModelConfig.*blocks=2"):
        tables.sized(TABLES[3], TrainingConfig(), load_generator(weights))


@pytest.mark.slow
def test_a_table_is_trained_evaluated_and_printed(clips, weights, tmp_path, capsys):
    """Table 6 shares one training; a second call trains nothing and prints the same. Whoever has
    less memory limits what is kept of the corpus, as for sttn-train.
    """
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    rng = np.random.default_rng(0)
    cv2.imwrite(str(corpus / "a.png"), rng.integers(0, 256, (120, 160, 3)))
    config = read_preset(Path("tiny"))
    command = table_command(
        config.__class__(**{**vars(config), "steps": 2, "decay_steps": 1, "warmup_steps": 1})
    )

    one_clip = ProtocolConfig(pattern="bank")
    small = CorpusLimits(photograph_short_side=60)
    given = {"device": "cpu", "protocol": one_clip, "limits": small, "start": weights}
    printed = []
    for _ in range(2):
        command(6, corpus, clips, tmp_path / "out", **given)
        printed.append(capsys.readouterr().out)

    told = json.loads((tmp_path / "out" / "table6" / "results.json").read_text())["settings"]
    assert (told["start"], told["limits"]["photograph_short_side"]) == (str(weights), 60)
    (run,) = (tmp_path / "out" / "trained").iterdir()
    assert load_generator(run / "generator.safetensors").config.blocks == 1
    assert printed[0] == printed[1]
    lines = printed[0].splitlines()
    assert lines[0].startswith("Table 6: distant frames")
    assert lines[1].startswith("s > T")
    assert lines[3].split()[-4:] == ["30.67", "95.6", "0.1779", "0.149"]
    assert (tmp_path / "out" / "table6" / "index.html").is_file()
    assert torch.isfinite(next(load_generator(run / "generator.safetensors").parameters())).all()
