"""Flows and what is done with them."""

import cv2
import numpy as np

from sttn.propagation.flow import DisFlow, grid, warped


def test_flow_does_not_depend_on_what_was_looked_at_before():
    """Frames done before, with a tiny hole, change no fill: a job taken up again is the same."""
    noise = np.random.default_rng(0).uniform(0, 255, (170, 170, 3)).astype(np.float32)
    wall = ((cv2.GaussianBlur(noise, (0, 0), 2) - 128) * 4 + 128).clip(0, 255).astype(np.uint8)
    start, end, corner = wall[:150, :150], wall[2:152, 3:153], np.ascontiguousarray(wall[:42, :42])
    once, again = DisFlow(), DisFlow()

    again(corner, corner)

    np.testing.assert_array_equal(again(start, end), once(start, end))


def test_holes_of_many_sizes_leave_nothing_behind():
    """A server runs for weeks, and every hole has a size of its own."""
    for width in range(1, 40):
        warped(np.zeros((5, width), np.float32), np.zeros((5, width, 2), np.float32))

    assert grid.cache_info().currsize <= 8
