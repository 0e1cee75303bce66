"""Larger networks that begin where trained ones are."""

import pytest
import torch

from sttn.errors import CheckpointError
from sttn.model import Generator, ModelConfig, load_generator
from sttn.training.command import grow_command
from sttn.training.growing import grown
from sttn.training.state import initialize


@pytest.fixture
def clip():
    rng = torch.Generator().manual_seed(1)
    frames = torch.rand(1, 3, 3, 48, 96, generator=rng) * 2 - 1
    mask = (torch.rand(1, 3, 1, 48, 96, generator=rng) > 0.7).float()
    return frames * (1 - mask), mask


def trained(**size):
    torch.manual_seed(0)
    network = Generator(ModelConfig(**size), 96 * 48)
    initialize(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))  # biases too
    return network


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize(("channels", "blocks"), [(16, 2), (16, 4), (48, 2), (64, 3)])
def test_a_grown_network_fills_as_before(clip, masked, channels, blocks):
    """A studio goes on from weights that took weeks, with a larger network."""
    small = trained(channels=16, blocks=2, mask_attention=masked)

    larger = grown(small, channels, blocks)

    assert larger.config == ModelConfig(channels=channels, blocks=blocks, mask_attention=masked)
    assert larger.trained_pixels == small.trained_pixels
    with torch.no_grad():
        torch.testing.assert_close(larger(*clip), small(*clip), rtol=0, atol=1e-5)


def test_all_that_is_new_learns(clip):
    """New channels and blocks are no dead weight: two steps later gradients reach all of it."""
    larger = grown(trained(channels=16, blocks=1), 32, 2).train()
    optimizer = torch.optim.SGD(larger.parameters(), lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        larger(*clip).square().mean().backward()
        optimizer.step()

    for name, parameter in larger.named_parameters():
        rows = parameter.grad.flatten(1).abs().amax(1) if parameter.ndim > 1 else parameter.grad
        assert (rows.abs() > 0).all(), name


def test_the_seed_says_what_is_new():
    """A run that is repeated begins with the same numbers."""
    small = trained(channels=16, blocks=1)
    one, same, other = (grown(small, 32, 1, seed) for seed in (0, 0, 1))

    name = "encoder.0.weight"
    assert torch.equal(one.state_dict()[name], same.state_dict()[name])
    assert not torch.equal(one.state_dict()[name], other.state_dict()[name])


@pytest.mark.parametrize(
    ("channels", "blocks", "told"), [(112, 6, "112 and 6"), (128, 5, "128 and 5")]
)
def test_a_network_cannot_shrink(channels, blocks, told):
    """Nothing learned is thrown away unasked."""
    with pytest.raises(CheckpointError, match=f"128 channels and 6 blocks; .* {told}"):
        grown(load_generator(), channels, blocks)


@pytest.mark.parametrize("size", [{"channels": 0}, {"blocks": 0}])
def test_a_size_of_nothing_is_no_default(tmp_path, size):
    """A slip of the keyboard is told, and nothing is written."""
    with pytest.raises(CheckpointError, match="cannot shrink"):
        grow_command(tmp_path / "larger.safetensors", **size)
    assert not list(tmp_path.iterdir())


def test_a_size_that_no_network_has_is_told():
    """Heads share channels evenly."""
    with pytest.raises(ValueError, match="multiple of 16"):
        grown(load_generator(), 130, 6)
