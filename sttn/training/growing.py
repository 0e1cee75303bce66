"""Makes trained weights larger, so that a larger network begins where they are.

What is new computes from all there is, at random, and says nothing yet to what was there: its
weights there are zero, and the first steps change that. So the larger network fills as the smaller
one did (after Chen et al., Net2Net, 2016, whose new units are copies instead).
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from sttn.errors import CheckpointError
from sttn.model import Generator
from sttn.model.generator import TransformerBlock
from sttn.training.state import initialize


@torch.no_grad()
def grown(generator: Generator, channels: int, blocks: int, seed: int = 0) -> Generator:
    """A generator with more channels and blocks that computes the same.

    Args:
        generator: Trained; left as it is.
        channels: As :attr:`ModelConfig.channels`, no fewer than it has.
        blocks: As :attr:`ModelConfig.blocks`, no fewer than it has; new ones come last.
        seed: Of what is new.

    Raises:
        CheckpointError: it has more channels or blocks.
        ValueError: no network has that many channels.
    """
    old = generator.config
    if channels < old.channels or blocks < old.blocks:
        raise CheckpointError(
            f"the weights have {old.channels} channels and {old.blocks} blocks; they cannot shrink "
            f"to {channels} and {blocks}"
        )
    torch.manual_seed(seed)
    larger = Generator(replace(old, channels=channels, blocks=blocks), generator.trained_pixels)
    initialize(larger)
    heads = len(old.patch_divisors)
    ratio = channels / old.channels
    tensors = larger.state_dict()
    for name, trained in generator.state_dict().items():
        fresh = tensors[name]
        rows = _places(len(trained), len(fresh), heads if "_embedding" in name else 1)
        if "key_embedding" in name:
            fresh.zero_()  # so that no score changes
        if "query_embedding" in name:
            trained = trained * math.sqrt(ratio)  # scores are divided by the root of their length
        if trained.ndim == 1:
            fresh[rows] = trained
            continue
        columns = _places(trained.shape[1], fresh.shape[1], heads if "output_linear" in name else 1)
        fresh[rows] = 0
        fresh[rows[:, None], columns] = trained
    for block in list(larger.transformer)[old.blocks :]:
        assert isinstance(block, TransformerBlock)
        for says in (block.attention.output_linear[0], block.feed_forward.conv[2]):
            for parameter in says.parameters():  # nothing yet, where a residual branch ends
                parameter.zero_()
    return larger.eval()


def _places(few: int, many: int, groups: int) -> Tensor:
    """Where trained channels lie among more of them, when each group begins with its own."""
    within = torch.arange(few) % (few // groups)
    return within + torch.arange(groups).repeat_interleave(few // groups) * (many // groups)
