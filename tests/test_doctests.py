"""Examples in docstrings are true."""

import doctest
from importlib import import_module

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "host_examples.exchange.ranges",
        "sttn.footage",
        "sttn.inference.windows",
        "sttn.model.cost",
        "sttn.model.region",
        "sttn.training.losses",
        "sttn.training.perceptual",
    ],
)
def test_examples_in_docstrings(module):
    """What a reader sees is what the function answers."""
    result = doctest.testmod(import_module(module))

    assert result.attempted > 0
    assert result.failed == 0
