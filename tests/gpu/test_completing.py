"""The engine on a GPU: the CPU's picture, the same twice, in memory that does not grow."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch

from sttn.inference import complete, completed_frames
from sttn.model.attention import attend, from_patches, to_patches
from tests.gpu.footage import apart, clip, window_of

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]

WAYS = [
    (preset, propagate)
    for preset in ("released", "thorough", "balanced")
    for propagate in (False, True)
]
"""Presets, with the network alone and with real pixels."""


FRAMES, MASKS = clip(9)


@pytest.fixture(scope="module")
def completed(shipped):
    """What one of the shipped networks makes of the clip; computed once."""

    @cache
    def once(network: str, preset: str, propagate: bool) -> np.ndarray:
        generator, window = getattr(shipped, network), window_of(preset, propagate)
        return complete(FRAMES, MASKS, generator, window)

    return once


@pytest.mark.parametrize("channels", [4, 24, 32, 64])
@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("patch", [(12, 24), (4, 6)])
def test_patches_are_cut_as_a_cpu_cuts_them(device, channels, kind, patch):
    """A head's channels are copied as longer numbers; gradients go back the same way."""
    part = torch.randn(2, 3, 12, 24, 4 * channels).to(kind).chunk(4, dim=-1)[1]
    here, there = part.detach().requires_grad_(), part.to(device).detach().requires_grad_()

    cut = [to_patches(features, *patch) for features in (here, there)]
    pieced = [from_patches(patches * 2, 3, (12, 24), patch) for patches in cut]
    for whole in pieced:
        (whole * whole).sum().backward()

    for one, other in (cut, pieced, (here.grad, there.grad)):
        torch.testing.assert_close(other.cpu(), one, rtol=0, atol=0)


@pytest.mark.parametrize(
    "shape",
    [(2, 5, 5, 20736), (2, 6, 6, 414720), (1, 18, 18, 414720), (1, 300, 200, 96)],
)
def test_attention_over_few_large_patches_is_shared_out_alike(device, shape):
    """The whole-frame head, whose dot products a GPU's cores take in pieces, of several windows."""
    count, asking, offering, length = shape
    rng = torch.Generator().manual_seed(0)
    query, key, value = (
        torch.randn(count, patches, length, generator=rng).requires_grad_()
        for patches in (asking, offering, offering)
    )
    hidden = torch.rand(count, 1, offering, generator=rng) > 0.6
    there = [tensor.detach().to(device).requires_grad_() for tensor in (query, key, value)]

    found = attend(*there, hidden.to(device))
    expected = attend(query, key, value, hidden)
    for result in (found, expected):
        result.square().mean().backward()

    torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-4)
    for one, other in zip((query, key, value), there, strict=True):
        scale = one.grad.abs().max().item()
        torch.testing.assert_close(other.grad.cpu(), one.grad, rtol=0, atol=1e-3 * scale)


@pytest.mark.parametrize(("preset", "propagate"), WAYS)
def test_a_gpu_completes_what_a_cpu_does(completed, preset, propagate):
    """Figures of an evaluation, and an artist's shot, do not depend on the machine."""
    there, here = (completed(network, preset, propagate) for network in ("there", "here"))

    np.testing.assert_array_equal(there[~MASKS], FRAMES[~MASKS])
    assert (there[MASKS] != FRAMES[MASKS]).mean() > 0.9
    assert apart(there, here, MASKS).mean() < 0.05


@pytest.mark.parametrize(("preset", "propagate"), WAYS)
def test_bfloat16_is_close_to_float32(completed, preset, propagate):
    """What servers compute in on such a card, as close as on a CPU."""
    half, full = (completed(network, preset, propagate) for network in ("half", "there"))

    np.testing.assert_array_equal(half[~MASKS], FRAMES[~MASKS])
    assert 0 < apart(half, full, MASKS).mean() < 1


@pytest.mark.parametrize("network", ["there", "half"])
@pytest.mark.parametrize(("preset", "propagate"), WAYS)
def test_the_same_input_gives_the_same_output(shipped, completed, network, preset, propagate):
    """A rerun on the farm matches the first, bit for bit."""
    window = window_of(preset, propagate)

    again = complete(FRAMES, MASKS, getattr(shipped, network), window)

    np.testing.assert_array_equal(again, completed(network, preset, propagate))


@pytest.mark.parametrize("preset", ["thorough", "balanced"])
def test_windows_computed_together_give_what_each_alone_does(shipped, preset):
    """An operator may try ``--batch`` on a new card."""
    frames, masks = clip(40)
    window = window_of(preset, False)

    alone, together = (
        np.stack([f for _, f in completed_frames(frames, masks, shipped.there, window, batch=n)])
        for n in (1, 4)
    )

    assert apart(together, alone, masks).max() < 0.05


@pytest.mark.parametrize(("propagate", "lengths"), [(False, (100, 300)), (True, (40, 100))])
def test_memory_does_not_grow_with_length(shipped, taken, propagate, lengths):
    """A card that has room for seconds of a shot has room for a minute of it."""
    window = replace(window_of("thorough", propagate), max_references=4)  # as many in both
    complete(FRAMES, MASKS, shipped.there, window)  # what libraries keep is taken before

    shorter, longer = (
        taken(partial(complete, *clip(length), shipped.there, window)) for length in lengths
    )

    assert longer < 1.1 * shorter


def test_a_card_that_is_nearly_full_is_made_do_with(card, tmp_path):
    """Beside an artist's other programs: smaller batches and the same picture, or one line of what
    would help, and the next job goes on.
    """
    path = tmp_path / "told.json"
    command = [sys.executable, "-m", "tests.gpu.scarce", str(card), str(path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    told = json.loads(path.read_text())
    largest = max(told["tried"])
    assert largest > max(told["tried"][told["tried"].index(largest) + 1 :]), told
    assert told["apart"] < 0.05
    assert "not enough memory for one" in told["error"]
    assert told["apart again"] == 0
