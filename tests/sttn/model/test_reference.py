"""Number-by-number agreement with the released network, on weights made by rule."""

import json
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sttn.model import Discriminator, Generator, ModelConfig

REFERENCE = Path(__file__).parents[4] / "shared" / "reference"
pytestmark = pytest.mark.skipif(not REFERENCE.is_dir(), reason=f"no vectors at {REFERENCE}")


def weights_by_rule(network: nn.Module, gain: float) -> None:
    """Fill a network as the reference's README says."""
    state = network.state_dict()
    for name, tensor in state.items():
        if name.endswith(("weight_u", "weight_v")):
            continue
        seed = np.random.default_rng(zlib.crc32(name.encode()))
        values = torch.from_numpy(seed.standard_normal(tuple(tensor.shape), dtype=np.float32))
        fan_in = np.prod(tensor.shape[1:]) if tensor.ndim > 1 else 1.0
        scale = 0.02 if name.endswith("bias") else gain * np.sqrt(2.0 / fan_in)
        tensor.copy_(values * float(scale))
    for name in [name for name in state if name.endswith("weight_orig")]:
        matrix = state[name].flatten(1)
        left, _, right = torch.linalg.svd(matrix, full_matrices=False)
        state[name.replace("weight_orig", "weight_u")].copy_(left[:, 0])
        state[name.replace("weight_orig", "weight_v")].copy_(right[0])


@pytest.fixture(scope="module")
def window() -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (1, 5, 3, 240, 432) and mask (1, 5, 1, 240, 432)."""
    low = np.random.default_rng(7).uniform(-1, 1, (5, 3, 15, 27)).astype(np.float32)
    frames = functional.interpolate(
        torch.from_numpy(low), size=(240, 432), mode="bilinear", align_corners=False
    )
    mask = torch.zeros(5, 1, 240, 432)
    for t in range(5):
        mask[t, :, 40 + 8 * t : 160 + 8 * t, 100 + 20 * t : 220 + 20 * t] = 1
    return frames[None], mask[None]


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    with np.load(REFERENCE / "generator_forward.npz") as archive:
        return dict(archive)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["unmasked", "masked"])
def test_generator_agrees_with_the_released_network(variant, window, vectors):
    """Published checkpoints give the published pixels."""
    generator = Generator(ModelConfig(mask_attention=variant == "masked")).eval()
    weights_by_rule(generator, gain=0.7)
    frames, mask = window

    with torch.no_grad():
        completed = generator(frames * (1 - mask), mask)[0]

    np.testing.assert_allclose(completed[..., ::3, ::3].numpy(), vectors[variant], atol=1e-4)


def test_encoder_agrees_with_the_released_network(window, vectors):
    """Features cached by the engine are the published ones."""
    generator = Generator().eval()
    weights_by_rule(generator, gain=0.7)
    frames, mask = window

    with torch.no_grad():
        features = generator.encode((frames * (1 - mask))[0])

    np.testing.assert_allclose(
        features[:, ::4, ::4, ::16].permute(0, 3, 1, 2).numpy(), vectors["encoder"], atol=1e-4
    )


def test_discriminator_agrees_with_the_released_network(window, vectors):
    """Adversarial training starts from the published discriminator."""
    discriminator = Discriminator().eval()
    weights_by_rule(discriminator, gain=1.0)

    with torch.no_grad():
        scores = discriminator(window[0])

    np.testing.assert_allclose(scores.numpy(), vectors["discriminator"], atol=1e-4)


@pytest.mark.parametrize(
    ("network", "keys"),
    [(Generator, "generator_keys.json"), (Discriminator, "discriminator_keys.json")],
)
def test_tensor_names_are_those_of_published_checkpoints(network, keys):
    """A published .pth loads without renaming."""
    expected = json.loads((REFERENCE / keys).read_text())

    actual = {name: list(tensor.shape) for name, tensor in network().state_dict().items()}

    assert actual == expected
