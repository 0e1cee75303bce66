"""Weights files as users hand them over."""

import json
import math

import pytest
import torch
from safetensors.torch import save_file

from sttn.errors import CheckpointError
from sttn.model import Generator, ModelConfig, load_generator, save_generator
from sttn.settings.weights import DEFAULT_WEIGHTS

SMALL = ModelConfig(channels=16, blocks=1)


def test_weights_survive_the_file(tmp_path):
    """What training wrote is what the server computes with, size of the network included."""
    generator = Generator(SMALL, trained_pixels=864 * 480)
    path = tmp_path / "weights.safetensors"

    save_generator(generator, path, torch.float32)

    read = load_generator(path)
    assert read.config == load_generator(str(path)).config == SMALL
    assert read.trained_pixels == 864 * 480
    for name, tensor in generator.state_dict().items():
        torch.testing.assert_close(read.state_dict()[name], tensor, rtol=0, atol=0)


def test_weights_of_another_network_are_refused_by_name(tmp_path):
    """The user hears which tensors do not fit."""
    generator = Generator(SMALL)
    tensors = dict(generator.state_dict())
    del tensors["encoder.0.bias"]
    tensors["decoder.6.weight"] = torch.zeros(3, 5, 3, 3)
    tensors["extra"] = torch.zeros(1)
    path = tmp_path / "odd.safetensors"
    header = '{"channels": 16, "blocks": 1, "patch_divisors": [1, 3, 6, 12]}'
    save_file(tensors, path, {"model": header})

    with pytest.raises(CheckpointError) as refusal:
        load_generator(path)

    for told in ("missing: encoder.0.bias", "unexpected: extra", "decoder.6.weight (3, 5, 3, 3)"):
        assert told in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "told"), [(None, "no weights at"), (b"not weights", "not a safetensors file")]
)
def test_unusable_files_are_refused(tmp_path, content, told):
    """A wrong path or a broken file is one clear line."""
    path = tmp_path / "weights.safetensors"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CheckpointError, match=told):
        load_generator(path)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"mask_attention": "no"}, "mask_attention must be true or false, got 'no'"),
        ({"channels": 16.0}, "must be whole numbers"),
        ({"channels": 4_000_000}, r"misshapen: .* \.\.\. and \d+ more$"),
        ({"channels": 4 * 10**12}, "Storage size"),
        ({"channels": 4 * 10**30}, "Overflow"),
        ({"blocks": 10**9}, r"1000000000 blocks, but \d+ tensors"),
        ({"trained_pixels": -5}, "trained_pixels must be a whole number above 0, got -5"),
        ({"trained_pixels": math.inf}, "trained_pixels must be a whole number above 0, got inf"),
        (None, "the 'model' header cannot be used"),
    ],
)
def test_headers_that_describe_no_network_are_refused(tmp_path, wrong, told):
    """A damaged file is one line, at once, and takes no memory."""
    size = {"channels": 16, "blocks": 1, "patch_divisors": [1, 3, 6, 12]}
    header = "[" * 100_000 if wrong is None else json.dumps({**size, **wrong})
    path = tmp_path / "odd.safetensors"
    save_file(Generator(SMALL).state_dict(), path, {"model": header})

    with pytest.raises(CheckpointError, match=told) as refusal:
        load_generator(path)

    assert "\n" not in str(refusal.value)


def test_shipped_weights_load():
    """A fresh install can work at once."""
    generator = load_generator(DEFAULT_WEIGHTS)

    assert sum(tensor.numel() for tensor in generator.parameters()) > 1_000_000


@pytest.mark.parametrize(
    "wrong",
    [{"blocks": 0}, {"channels": 250}, {"patch_divisors": (5,)}, {"patch_divisors": ()}],
)
def test_impossible_networks_are_refused(wrong):
    """A typo in a preset is caught before training."""
    with pytest.raises(ValueError, match="must"):
        ModelConfig(**wrong)


def test_weights_that_are_not_finite_are_neither_read_nor_written(tmp_path):
    """A server that starts with them fills every hole with black."""
    generator = Generator(SMALL)
    path = tmp_path / "weights.safetensors"
    with torch.no_grad():
        generator.encoder[0].bias[0] = 1e5
    save_generator(generator, path, torch.float32)

    with pytest.raises(CheckpointError, match=r"not finite in float16: encoder\.0\.bias$"):
        save_generator(generator, path, torch.float16)
    assert load_generator(path).encoder[0].bias[0] == 1e5

    tensors = dict(generator.state_dict())
    tensors["encoder.0.bias"][1] = float("nan")
    header = '{"channels": 16, "blocks": 1, "patch_divisors": [1, 3, 6, 12]}'
    save_file(tensors, path, {"model": header})
    with pytest.raises(CheckpointError, match=r"weights that are not finite: encoder\.0\.bias$"):
        load_generator(path)
