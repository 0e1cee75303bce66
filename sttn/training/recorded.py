"""A training step's work, recorded once on a GPU and repeated, which the CPU need not launch."""

from collections.abc import Callable

import torch
from torch import Tensor

from sttn.device import ran_out_of_memory
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
        device: The GPU.

    Whatever the work raises is raised, memory that ran out while it was recorded too.
    """

    def __init__(self, work: Callable[[Clips], Figures], device: torch.device) -> None:
        self._work = work
        self._stream = torch.cuda.Stream(device)
        self._calls = 0
        self._recording: tuple[torch.cuda.CUDAGraph, Clips, Figures] | None = None

    def __call__(self, clips: Clips) -> Figures:
        """Do the work; what it gives is valid until the next call."""
        self._calls += 1
        if self._calls <= FIRST:
            return self._launched(clips)
        if self._recording is None:
            self._recording = self._record(clips)
        graph, kept, figures = self._recording
        for ours, theirs in zip(kept, clips, strict=True):
            ours.copy_(theirs)
        graph.replay()
        return figures

    def _launched(self, clips: Clips) -> Figures:
        """Do the work on the stream that is going to be recorded.

        A weight's gradient goes to the stream on which it was first asked for as long as anything
        remembers that, as spectral norm does; another one cannot be recorded.
        """
        here = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            figures = self._work(clips)
        here.wait_stream(self._stream)
        return figures

    def _record(self, clips: Clips) -> tuple[torch.cuda.CUDAGraph, Clips, Figures]:
        """The work, the clips that it reads, and what it gives."""
        kept = Clips(*(tensor.clone() for tensor in clips))
        graph = torch.cuda.CUDAGraph()
        # Another thread renders meanwhile, and may allocate memory.
        recording = torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local")
        try:
            with torch.cuda.device(self._stream.device), recording:
                return graph, kept, self._work(kept)
        except RuntimeError as error:
            # Ending a recording that failed is told as an error of its own.
            if error.__context__ is not None and ran_out_of_memory(error.__context__):
                raise error.__context__ from None
            raise
