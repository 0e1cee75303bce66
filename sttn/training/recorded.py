"""A training step's work, recorded once on a GPU and repeated, which the CPU need not launch."""

from collections.abc import Callable

import torch
from torch import Tensor

from sttn.training.rendering import Clips

Figures = dict[str, Tensor]

FIRST = 3
"""Calls before the one that is recorded: what is only prepared once must not be recorded."""


class Recorded:
    """Work on clips of one size that waits for nothing, as a CUDA graph.

    Launching two thousand small kernels takes longer than they do. From the fourth call on the
    gradients that the work leaves lie where they lay before, and may not be taken away.

    Args:
        work: Takes clips; what it gives are losses, and gradients of parameters that have none.
    """

    def __init__(self, work: Callable[[Clips], Figures]) -> None:
        self._work = work
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._clips: Clips | None = None
        self._figures: Figures = {}

    @property
    def is_there(self) -> bool:
        """Whether the work is repeated from now on."""
        return self._graph is not None

    def __call__(self, clips: Clips) -> Figures:
        """Do the work; what it gives is valid until the next call."""
        self._calls += 1
        if self._calls <= FIRST:
            return self._work(clips)
        if self._graph is None or self._clips is None:
            self._record(clips)
        assert self._graph is not None
        assert self._clips is not None
        for ours, theirs in zip(self._clips, clips, strict=True):
            ours.copy_(theirs)
        self._graph.replay()
        return self._figures

    def _record(self, clips: Clips) -> None:
        self._clips = Clips(*(tensor.clone() for tensor in clips))
        self._graph = torch.cuda.CUDAGraph()
        # Another thread renders meanwhile, and may allocate memory.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._figures = self._work(self._clips)
