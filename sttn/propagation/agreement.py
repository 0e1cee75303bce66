"""What is offered for a place, counted as votes: what others show too is more likely true.

How far a candidate misses the margin says little about single places inside a hole. Weights that
follow it alone choose one candidate where the mean of those that agree is nearer to the truth.
"""

import torch
from torch import Tensor

SHARE = 0.4
"""Power of its weight by evidence that a candidate votes with, and is chosen by. Less is nearer to
the truth in the mean, and softer. On 35 frames of 7 real clips: evidence alone 22.65 dB, sharpness
0.82 of the truth's; with votes, 0.4 gave 22.80 and 0.79, 0.3 gave 22.83 and 0.78."""

ALIKE = 0.03
"""Difference, the root of its mean square over channels, at which others vote with exp(-1/2)."""

LEAST_VOTE = -20.0
"""Logarithm of the smallest vote: much smaller ones are denormal, and slow."""


def agreed(scores: Tensor, pixels: Tensor) -> Tensor:
    """Scores by evidence and by agreement.

    Args:
        scores: (K, N), logarithms of what each candidate is worth by evidence.
        pixels: (K, C, N) in [0, 1], what each shows.

    Returns:
        (K, N), logarithms of what each is worth by both; together they are worth what they were.
    """
    own = torch.log_softmax(SHARE * scores, dim=0)
    worth = own.exp()
    votes = worth.clone()
    scaled = pixels.transpose(0, 1) * ((0.5 / pixels.shape[1]) ** 0.5 / ALIKE)
    for k in range(len(own) - 1):
        apart = (scaled[:, k + 1 :] - scaled[:, k, None]).square_().sum(0)
        alike = apart.neg_().clamp_(min=LEAST_VOTE).exp_()
        votes[k] += (alike * worth[k + 1 :]).sum(0)
        votes[k + 1 :] += alike * worth[k]
    both = torch.log_softmax(own + votes.log(), dim=0)
    return both + scores.logsumexp(dim=0)
