"""The network computes the same with and without gradients, on machines with and without oneDNN."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sttn.model.convolutions import Convolutions


def layers(kind: type[nn.Sequential]) -> nn.Sequential:
    torch.manual_seed(0)
    return kind(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(16, 16, 3, padding=2, dilation=2),
        nn.LeakyReLU(0.1, inplace=True),
        nn.Conv2d(16, 4, 3, padding=1),
    )


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float64, torch.float16])
def test_in_one_call_as_in_two(precision):
    """Whoever trains and whoever fills get the same network, activations or none at the end."""
    plain = layers(nn.Sequential).to(precision)
    convolutions = layers(Convolutions).to(precision)
    images = torch.randn(2, 3, 24, 36).to(precision)
    expected = plain(images)

    with torch.no_grad():
        fused = convolutions(images)

    assert convolutions.state_dict().keys() == plain.state_dict().keys()
    apart = 0.02 if precision in (torch.bfloat16, torch.float16) else 1e-5
    torch.testing.assert_close(fused, expected, rtol=apart, atol=apart)
    torch.testing.assert_close(convolutions(images), expected, rtol=0, atol=0)


def test_gradients_pass():
    """Training goes through both layers."""
    convolutions = layers(Convolutions)

    convolutions(torch.randn(1, 3, 12, 12)).sum().backward()

    assert all(parameter.grad.abs().sum() > 0 for parameter in convolutions.parameters())


def test_operations_are_counted():
    """The benchmark's share of the peak counts what one call does as it would count two."""
    images = torch.randn(2, 3, 24, 36)
    with torch.no_grad(), FlopCounterMode(display=False) as fused:
        layers(Convolutions)(images)
    with torch.no_grad(), FlopCounterMode(display=False) as plain:
        layers(nn.Sequential)(images)

    assert fused.get_total_flops() == plain.get_total_flops() > 0
