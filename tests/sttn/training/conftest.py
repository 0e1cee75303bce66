"""A corpus and a run small enough for tests."""

import cv2
import numpy as np
import pytest
import torch

from sttn.model import ModelConfig
from sttn.training.config import TrainingConfig
from sttn.training.corpus import Corpus
from sttn.training.recipes import SampleConfig
from tests.conftest import usual_signals


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)
    photograph = cv2.resize(coarse, (160, 120), interpolation=cv2.INTER_CUBIC)
    movie = np.stack([photograph[:96, index : index + 128] for index in range(20)])
    return Corpus(photographs=[photograph], movies=[movie])


@pytest.fixture(scope="session")
def tiny() -> TrainingConfig:
    return TrainingConfig(
        model=ModelConfig(channels=16, blocks=1),
        sample=SampleConfig(width=48, height=48, frames=3),
        steps=6,
        decay_steps=0,
        warmup_steps=2,
        batch=2,
        average=0.9,
        adversarial_weight=0.0,
        validate_every=0,
    )


@pytest.fixture(autouse=True)
def as_before():
    """The command takes signals for Ctrl-C, in the process that calls it."""
    with usual_signals():
        yield


@pytest.fixture(autouse=True)
def one_thread():
    """Networks this small only wait for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
