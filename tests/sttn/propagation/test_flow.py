"""Flows and what is done with them."""

import numpy as np

from sttn.propagation.flow import grid, warped


def test_holes_of_many_sizes_leave_nothing_behind():
    """A server runs for weeks, and every hole has a size of its own."""
    for width in range(1, 40):
        warped(np.zeros((5, width), np.float32), np.zeros((5, width, 2), np.float32))

    assert grid.cache_info().currsize <= 8
