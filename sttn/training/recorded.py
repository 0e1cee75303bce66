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

    Launching two thousand small kernels takes longer than they do.

    Args:
        work: Takes clips, and changes what lies on the GPU; all that it needs there stays where it
            is, and what it frees is its own.
    """

    def __init__(self, work: Callable[[Clips], Figures]) -> None:
        self._work = work
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._clips: Clips | None = None
        self._figures: Figures = {}

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
