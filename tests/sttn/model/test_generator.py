"""Parts of frames, computed alone: the engine relies on their being what whole frames show."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from sttn.model import Generator, ModelConfig
from sttn.model.cost import transformer_cost
from sttn.model.region import Region, Span, whole
from sttn.training.state import initialize

HEIGHT, WIDTH = 48, 96


def network(**changes: object) -> Generator:
    torch.manual_seed(0)
    generator = Generator(ModelConfig(**{"channels": 16, "blocks": 2, **changes})).eval()
    initialize(generator)
    return generator


@pytest.fixture(scope="module")
def window() -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (2, 3, 3, H, W), holes emptied, and mask (2, 3, 1, H, W)."""
    frames, mask = torch.rand(2, 3, 3, HEIGHT, WIDTH) * 2 - 1, torch.zeros(2, 3, 1, HEIGHT, WIDTH)
    mask[..., 12:30, 24:56] = 1  # whole cells, whole patches
    return frames * (1 - mask), mask


@settings(max_examples=25)
@given(
    st.tuples(st.integers(0, HEIGHT - 1), st.integers(1, HEIGHT)),
    st.tuples(st.integers(0, WIDTH - 1), st.integers(1, WIDTH)),
    st.integers(1, 3),
    st.booleans(),
)
def test_regions_are_the_same_parts_of_the_whole(window, rows, columns, wanted, mask_attention):
    """Nothing shows where a small hole ends, at any place, size and frame border; frames whose
    holes lie elsewhere are looked at elsewhere."""
    generator = network(mask_attention=mask_attention)
    frames, mask = window
    pixels = Region(rows[0], max(rows[0] + 1, rows[1]), columns[0], max(columns[0] + 1, columns[1]))

    opposite = pixels._replace(top=HEIGHT - pixels.bottom, bottom=HEIGHT - pixels.top)
    spans = [Span(0, wanted, pixels)] + [Span(i, i + 1, opposite) for i in range(wanted, 3)]

    with torch.no_grad():
        complete = generator(frames, mask)
        features = generator.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
        found = generator.transform(features, generator.feature_mask(mask), spans)
        parts = [
            generator.decode(each.flatten(0, 1), span.region, (HEIGHT, WIDTH))
            for each, span in zip(found, spans, strict=True)
        ]

    for part, span in zip(parts, spans, strict=True):
        expected = span.cut(complete.movedim(2, -1)).movedim(-1, 2)
        torch.testing.assert_close(
            part.unflatten(0, expected.shape[:2]), expected, rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("patch_divisors", [(1,), (3,), (6,), (12,), (1, 3, 6, 12)])
@pytest.mark.parametrize("blocks", [2, 4, 6, 8])
@pytest.mark.parametrize("size", [(48, 48), (48, 96), (96, 48)])
def test_every_network_of_the_ablations_runs_at_every_raster(patch_divisors, blocks, size):
    """Tables 2 and 3 can be trained, at any raster that is a multiple of 48."""
    generator = network(patch_divisors=patch_divisors, blocks=blocks)
    height, width = size

    with torch.no_grad():
        completed = generator(torch.zeros(1, 2, 3, *size), torch.zeros(1, 2, 1, *size))

    assert completed.shape == (1, 2, 3, height, width)
    assert completed.isfinite().all()


def test_weights_do_not_depend_on_the_raster_or_the_patches():
    """One file serves every model raster."""
    names = [dict(network(patch_divisors=d).named_parameters()) for d in ((1,), (1, 3, 6, 12))]

    assert {k: v.shape for k, v in names[0].items()} == {k: v.shape for k, v in names[1].items()}


def test_masked_attention_ignores_what_hidden_patches_hold(window):
    """Table 7: Eq. (4) is what the switch switches."""
    frames, mask = window
    noise = torch.rand(2, 3, HEIGHT // 4, WIDTH // 4, 16) * mask[:, :, 0, ::4, ::4, None]

    def apart(mask_attention: bool) -> float:
        generator = network(blocks=1, mask_attention=mask_attention, patch_divisors=(12,))
        with torch.no_grad():
            features = generator.encode(frames.flatten(0, 1)).unflatten(0, (2, 3))
            everything = Span(0, 3, whole((HEIGHT, WIDTH)))
            results = [
                generator.transform(f, generator.feature_mask(mask), [everything])[0]
                for f in (features, features + noise)
            ]
        # The convolutions reach 4 cells; further away only attention can carry the noise.
        return float((results[0] - results[1])[:, :, :, 20:].abs().max())

    assert apart(mask_attention=True) == 0
    assert apart(mask_attention=False) > 0


@pytest.mark.parametrize("patch_divisors", [(3,), (1, 3, 6, 12)])
@pytest.mark.parametrize("frames", [1, 4])
def test_equation_11_counts_what_is_computed(patch_divisors, frames):
    """Whoever sizes a machine by the formula gets what runs."""
    generator = network(patch_divisors=patch_divisors, mask_attention=False)
    features = torch.rand(1, frames, 24, 48, 16)

    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        generator.transform(features, None, [Span(0, frames, whole((96, 192)))])

    counts = counted.get_flop_counts()["Global"]
    cost = transformer_cost(generator.config, frames, height=96, width=192)
    named = {str(operation): count / 2 for operation, count in counts.items()}
    assert named["aten.bmm"] + named["aten.mm"] == cost.attention
    assert named["aten.convolution"] + named["mkldnn._convolution_pointwise"] == cost.convolutions
    assert cost.total == cost.attention + cost.convolutions
