"""Examples in docstrings are true."""

import doctest

from sttn.inference import windows


def test_examples_in_docstrings():
    """What a reader sees is what the function answers."""
    result = doctest.testmod(windows)

    assert result.attempted > 0
    assert result.failed == 0
