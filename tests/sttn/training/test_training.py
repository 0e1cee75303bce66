"""A real run, small: it learns, it stops, it goes on."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from sttn.errors import CheckpointError, FootageError
from sttn.model import ModelConfig, load_generator
from sttn.training.corpus import Corpus, read_corpus
from sttn.training.losses import hole_loss, valid_loss
from sttn.training.masks import random_masks
from sttn.training.samples import SampleConfig, Samples, random_times
from sttn.training.trainer import TrainingConfig, learning_rate, train

TINY = TrainingConfig(
    model=ModelConfig(channels=16, blocks=1),
    sample=SampleConfig(width=48, height=48, frames=3),
    steps=6,
    decay_steps=2,
    warmup_steps=2,
    batch=2,
)


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    photograph = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
    movie = np.stack([photograph[:96, index : index + 128] for index in range(20)])
    return Corpus(photographs=[photograph], movies=[movie])


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only wait for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def log(run: Path) -> list[dict[str, float]]:
    """What a run wrote after each step."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_losses_are_equations_6_and_7():
    """Each is the mean error of its own region, however large the region is."""
    truth = torch.zeros(1, 2, 3, 4, 4)
    mask = torch.zeros(1, 2, 1, 4, 4)
    mask[:, :, :, 0, :2] = 1
    completed = torch.where(mask > 0, 0.5, 0.25).expand_as(truth)

    assert hole_loss(completed, truth, mask).item() == pytest.approx(0.5)
    assert valid_loss(completed, truth, mask).item() == pytest.approx(0.25)
    assert hole_loss(completed, truth, torch.zeros_like(mask)).item() == 0


def test_masks_stand_still_or_move_and_leave_something_to_copy():
    """Half of all holes are stationary, as in the paper."""
    still = 0
    for seed in range(200):
        masks = random_masks(np.arange(5.0), 96, 192, np.random.default_rng(seed))
        still += (masks == masks[0]).all()
        assert masks.any()
        assert masks.mean() < 0.6

    assert 75 < still < 135


@pytest.mark.parametrize("length", [3, 5, 50])
def test_sample_times_rise_and_stay_on_the_timeline(length):
    """Short movies repeat frames rather than fail."""
    for seed in range(30):
        times = random_times(5, length, np.random.default_rng(seed))

        assert (np.diff(times) >= 0).all()
        assert times.min() >= 0
        assert times.max() < length


def test_samples_are_the_same_for_the_same_seed(corpus):
    """A run can be repeated."""
    first, again, other = (
        Samples(corpus, SampleConfig(), seed=seed, count=4)[2] for seed in (1, 1, 2)
    )

    torch.testing.assert_close(first[0], again[0], rtol=0, atol=0)
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (5, 3, 96, 192)
    assert first[0].abs().max() <= 1
    assert set(first[1].unique().tolist()) <= {0.0, 1.0}


def test_learning_rate_rises_stays_and_falls():
    """Warm-up, plateau and decay are where the configuration says."""
    config = TrainingConfig(steps=100, decay_steps=40, warmup_steps=10, learning_rate=1.0)

    assert learning_rate(config, 0) == pytest.approx(0.1)
    assert learning_rate(config, 30) == pytest.approx(1.0)
    assert learning_rate(config, 80) == pytest.approx(0.525)
    assert learning_rate(config, 99) < 0.06


@pytest.mark.slow
def test_a_run_stopped_and_resumed_ends_with_the_same_weights(tmp_path, corpus):
    """A killed night on the farm costs nothing but its last minutes."""
    whole = train(TINY, corpus, tmp_path / "whole", torch.device("cpu"))
    half = TrainingConfig(**{**vars(TINY), "steps": 4})
    # The schedule of the shorter run differs only where it decays.
    half = TrainingConfig(**{**vars(half), "decay_steps": 0})
    train(half, corpus, tmp_path / "parts", torch.device("cpu"))
    parts = train(TINY, corpus, tmp_path / "parts", torch.device("cpu"))

    for name, tensor in load_generator(whole).state_dict().items():
        torch.testing.assert_close(load_generator(parts).state_dict()[name], tensor)
    assert [line["step"] for line in log(tmp_path / "parts")] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_training_learns(tmp_path, corpus):
    """Both losses fall on a corpus of one photograph and one movie."""
    config = TrainingConfig(
        **{**vars(TINY), "steps": 120, "learning_rate": 3e-3, "decay_steps": 20}
    )

    train(config, corpus, tmp_path, torch.device("cpu"))

    lines = log(tmp_path)
    for loss in ("hole", "valid"):
        first, last = (np.mean([line[loss] for line in part]) for part in (lines[:9], lines[-20:]))
        assert last < 0.85 * first


@pytest.mark.slow
def test_a_run_of_another_size_is_not_overwritten(tmp_path, corpus):
    """Two experiments in one folder are refused."""
    train(TINY, corpus, tmp_path, torch.device("cpu"))
    larger = TrainingConfig(**{**vars(TINY), "model": ModelConfig(channels=32, blocks=1)})

    with pytest.raises(CheckpointError, match="another --output"):
        train(larger, corpus, tmp_path, torch.device("cpu"))


def test_unreadable_material_is_named_and_left_out(tmp_path, caplog):
    """A broken download does not stop a run, nor pass unseen."""
    sizes = {"photograph_short_side": 64, "movie_short_side": 64, "movie_frames": 5}
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "broken.mp4").write_bytes(b"no movie")

    with pytest.raises(FootageError, match="neither"):
        read_corpus(tmp_path, **sizes)
    cv2.imwrite(str(tmp_path / "good.png"), np.zeros((80, 90, 3), np.uint8))
    corpus = read_corpus(tmp_path, **sizes)

    assert len(corpus.photographs) == 1
    assert "broken.jpg" in caplog.text
    assert "broken.mp4" in caplog.text
