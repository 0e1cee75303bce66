"""What tests of the engine share."""

import pytest
import torch

from sttn.model import Generator, ModelConfig
from sttn.training.state import initialize


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    generator = Generator(ModelConfig(channels=16, blocks=2)).eval()
    initialize(generator)
    return generator
