"""Whoever holds the authors' checkpoint can use it, and hears why where it cannot be used."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sttn.errors import CheckpointError
from sttn.model import Generator, ModelConfig, load_generator


@pytest.fixture
def released() -> Generator:
    torch.manual_seed(0)
    return Generator(ModelConfig(channels=16, blocks=2, mask_attention=False))


def test_a_published_checkpoint_is_recognized(tmp_path, released):
    """Size and unmasked attention follow from the file."""
    path = tmp_path / "sttn.pth"
    torch.save({"netG": released.state_dict()}, path)

    read = load_generator(path)

    assert read.config == released.config
    for name, tensor in released.state_dict().items():
        torch.testing.assert_close(read.state_dict()[name], tensor, rtol=0, atol=0)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("alone", [False, True])
def test_a_generator_may_lie_alone_and_be_named_as_by_several_gpus(
    tmp_path, released, alone, prefix
):
    """Whoever trains the authors' code on, on several GPUs, saves it so."""
    tensors = {f"{prefix}{name}": value.half() for name, value in released.state_dict().items()}
    path = tmp_path / "sttn.PTH"
    torch.save(tensors if alone else {"netG": tensors}, path)

    read = load_generator(path)

    assert read.config == released.config
    assert torch.equal(read.encoder[0].weight, released.encoder[0].weight.half().float())


def test_names_and_shapes_of_the_real_file_load(tmp_path, shared):
    """The published generator has these tensors."""
    shapes = json.loads((shared / "reference" / "generator_keys.json").read_text())
    path = tmp_path / "sttn.pth"
    torch.save({"netG": {name: torch.zeros(shape) for name, shape in shapes.items()}}, path)

    assert load_generator(path).config == ModelConfig(mask_attention=False)


def test_it_is_converted_once(tmp_path, released):
    """Afterwards it is a weights file like any other."""
    torch.save({"netG": released.state_dict()}, tmp_path / "sttn.pth")

    done = subprocess.run(
        [sys.executable, "-m", "sttn.model", "sttn.pth", "sttn.safetensors"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "sttn.safetensors: " in done.stdout
    assert load_generator(tmp_path / "sttn.safetensors").config == released.config


def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path, released):
    """Missing, unexpected and misshapen tensors are told apart."""
    tensors = dict(released.state_dict())
    del tensors["decoder.2.bias"]
    tensors["transformer.3000.extra"] = torch.zeros(1)
    tensors["encoder.0.bias"] = tensors["encoder.0.bias"].to(torch.complex64)
    tensors["transformer.1.attention.key_embedding.bias"] = torch.zeros(7)
    path = tmp_path / "odd.pth"
    torch.save({"netG": tensors}, path)

    with pytest.raises(CheckpointError) as refusal:
        load_generator(path)

    for told in (
        "missing: decoder.2.bias",
        "unexpected: transformer.3000.extra",
        "not of floating-point numbers: encoder.0.bias",
        "transformer.1.attention.key_embedding.bias (7,) instead of (16,)",
    ):
        assert told in str(refusal.value)


class Malicious:
    def __reduce__(self):
        return (Path.touch, (Path("touched"),))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a checkpoint"),
        (b"not a checkpoint", "not a checkpoint"),
        (b"error: 404", "not a checkpoint"),
        (b"GIF89a..", "not a checkpoint"),
        (pickle.dumps(Malicious(), protocol=2), "not a checkpoint"),
        ({"netD": {}}, "no generator"),
        ([1, 2], "no generator"),
        ({"netG": [1]}, "no generator"),
        ({"netG": {1: torch.zeros(3)}}, "no generator"),
    ],
)
def test_other_files_are_refused_and_run_nothing(tmp_path, monkeypatch, content, told):
    """A file from a stranger cannot run code."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "odd.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)

    with pytest.raises(CheckpointError, match=told):
        load_generator(path)

    assert not (tmp_path / "touched").exists()


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    """Exit code 2, nothing written."""
    done = subprocess.run(
        [sys.executable, "-m", "sttn.model", "missing.pth", "out.safetensors"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "missing.pth" in done.stderr
    assert not list(tmp_path.iterdir())
