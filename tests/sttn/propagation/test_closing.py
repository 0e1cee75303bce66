"""Margins of holes: every part of the fill relies on them reaching equally far everywhere."""

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sttn.propagation.closing import grown


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.floats(0, 0.05))
def test_a_mask_grows_equally_far_at_a_border(seed: int, pixels: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((23, 31)) < share
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    wide = np.pad(mask, 40).astype(np.uint8)

    found = grown(mask, pixels)

    assert np.array_equal(found, cv2.dilate(wide, disc)[40:-40, 40:-40] > 0)
    assert found is not mask
