"""What training shows the network must be what the node sends it."""

import numpy as np
import pytest
import torch

from node.color import encode
from sttn.encoding import encoded, peak


def test_the_encoding_is_the_nodes():
    """Two packages that may not know each other, one curve."""
    linear = np.concatenate([np.linspace(-0.1, 2, 2000), np.geomspace(1e-4, 65504, 500)])
    linear = linear.astype(np.float32)

    codes = encoded(torch.from_numpy(linear)).numpy()

    np.testing.assert_allclose(codes, encode(linear), atol=1e-6)


def test_the_peak_leaves_a_thousandth_above_and_never_lifts_a_dark_shot():
    """As the node measures it."""
    codes = torch.rand(20_000, generator=torch.Generator().manual_seed(0)) * 1.5

    assert peak(codes) == pytest.approx(np.percentile(codes.numpy(), 99.9), abs=1e-3)
    assert peak(codes / 2) == 1
    assert peak(codes[:0]) == 1
