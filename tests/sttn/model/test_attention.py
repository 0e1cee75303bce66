"""Attention against its equations, written out slowly."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sttn.model import Generator, ModelConfig
from sttn.model.attention import (
    PatchAttention,
    attend,
    attention_weights,
    from_patches,
    hidden_patches,
    packed,
    to_patches,
    with_lent,
)


@given(st.integers(1, 2), st.integers(1, 3), st.sampled_from([1, 2, 3]), st.integers(1, 3))
def test_patches_go_back_where_they_came_from(batch, frames, divisor, channels):
    """No pixel changes places between two blocks."""
    features = torch.randn(batch, frames, 6, 12, channels)
    patch = (6 // divisor, 12 // divisor)

    patches = to_patches(features, *patch)

    assert patches.shape == (batch, frames * divisor**2, 72 // divisor**2 * channels)
    torch.testing.assert_close(from_patches(patches, frames, (6, 12), patch), features)


def test_attend_is_equations_3_to_5():
    """Weights are a softmax over visible keys only."""
    query, key, value = (torch.randn(1, 4, 6, dtype=torch.float64) for _ in range(3))
    hidden = torch.tensor([[[False, True, False, False]]])

    result = attend(query, key, value, hidden)

    for i in range(4):
        visible = [j for j in range(4) if j != 1]
        scores = torch.stack([query[0, i] @ key[0, j] / 6**0.5 for j in visible])
        weights = scores.exp() / scores.exp().sum()
        expected = sum(w * value[0, j] for w, j in zip(weights, visible, strict=True))
        torch.testing.assert_close(result[0, i], expected)


@pytest.mark.parametrize("share", [0.1, 0.5])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
def test_hidden_keys_weigh_nothing_whatever_their_share(share, precision):
    """A few are scored and pushed down, many are left out: nothing of them shows either way."""
    torch.manual_seed(1)
    query, key, value = (torch.randn(1, 20, 8).to(precision) for _ in range(3))
    hidden = (torch.arange(20) < 20 * share).reshape(1, 1, 20)
    worse = torch.where(hidden.mT, torch.tensor(100.0, dtype=precision), value)

    result = attend(query, key, value, hidden)

    torch.testing.assert_close(attend(query, key, worse, hidden), result, rtol=0, atol=0)
    visible = attend(query, key[:, ~hidden[0, 0]], value[:, ~hidden[0, 0]], None)
    apart = 0.02 if precision == torch.bfloat16 else 1e-5
    torch.testing.assert_close(result, visible, rtol=apart, atol=apart)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64, torch.bfloat16])
def test_where_all_keys_are_hidden_all_weigh_the_same(precision):
    """A window whose patches all lie in holes gets their mean, never NaN."""
    query, key, value = (torch.randn(1, 5, 8).to(precision) for _ in range(3))

    result = attend(query, key, value, torch.ones(1, 1, 5, dtype=torch.bool))

    apart = 0.02 if precision == torch.bfloat16 else 1e-5
    expected = value.mean(1, keepdim=True).expand_as(result)
    torch.testing.assert_close(result, expected, rtol=apart, atol=apart)


def test_a_patch_is_hidden_when_more_than_half_of_it_is_hole():
    """Half is still visible, as in the release."""
    mask = torch.zeros(1, 1, 1, 2, 4)
    mask[..., 0, 0] = mask[..., 1, 0] = 1  # half of the left patch
    mask[..., 0, 2:] = mask[..., 1, 2] = 1  # three quarters of the right one

    assert hidden_patches(mask, 2, 2).tolist() == [[[False, True]]]


def test_pixels_in_holes_never_reach_the_result_of_a_masked_network():
    """What lies under a matte leaks nowhere, because holes are emptied before encoding."""
    torch.manual_seed(0)
    generator = Generator(ModelConfig(channels=16, blocks=1)).eval()
    frames, mask = torch.rand(1, 2, 3, 48, 48), torch.zeros(1, 2, 1, 48, 48)
    mask[..., 10:30, 10:30] = 1
    other = torch.where(mask > 0, torch.rand_like(frames), frames)

    with torch.no_grad():
        results = [generator(clip * (1 - mask), mask) for clip in (frames, other)]

    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


def test_what_frames_lent_before_is_what_they_offer_beside_others():
    """References are looked at once per clip, and offer every window the same."""
    torch.manual_seed(0)
    layer = PatchAttention(8, (1, 3))
    features = torch.rand(2, 5, 6, 12, 8)
    lent = packed(layer.offered(features[:, 2:]), 3)

    together = with_lent(layer.offered(features[:, :2]), lent)

    for found, expected in zip(together, layer.offered(features), strict=True):
        torch.testing.assert_close(found, expected)
    assert lent[:, :, :, :1].shape == packed(layer.offered(features[:, 2:3]), 1).shape


@pytest.mark.parametrize(("dtype", "apart"), [(torch.float32, 3e-6), (torch.bfloat16, 0.01)])
def test_weights_are_as_exact_as_their_type(dtype, apart):
    """A whole frame's patch is a long dot product; bfloat16 rounds it once."""
    torch.manual_seed(0)
    query, key = (torch.randn(1, 6, 100_000).to(dtype) for _ in range(2))

    weights = attention_weights(query, key, None)

    exact = attention_weights(query.double(), key.double(), None)
    assert weights.dtype is dtype
    torch.testing.assert_close(weights.double(), exact, rtol=0, atol=apart)
