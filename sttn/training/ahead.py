"""Renders the next batch while a GPU computes with the present one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch

from sttn.training.recipes import Recipe
from sttn.training.rendering import Clips, Rendering

Parts = Sequence[Clips]
"""A batch, in the parts that are computed one after the other."""


def rendered(
    batches: Iterable[Sequence[Recipe]], render: Rendering, device: torch.device, parts: int
) -> Iterator[tuple[Sequence[Recipe], Parts]]:
    """Each batch of recipes, and what it looks like.

    On a GPU the batch after it is rendered meanwhile, by a thread with a stream of its own: what
    launches most of a picture's many small kernels is the CPU, and it would have nothing to do.

    Args:
        batches: Recipes; ``parts`` divides how many each has.
        render: Renders them.
        device: Where it does.
        parts: Rounds of accumulation.
    """
    if device.type != "cuda":
        for recipes in batches:
            yield recipes, _parts(recipes, render, parts)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="rendering") as thread:
        stream = torch.cuda.Stream(device)
        pending = None
        for recipes in batches:
            work = partial(_aside, stream, partial(_parts, recipes, render, parts))
            following = recipes, thread.submit(work)
            if pending is not None:
                yield pending[0], _here(device, *pending[1].result())
            pending = following
        if pending is not None:
            yield pending[0], _here(device, *pending[1].result())


def _parts(recipes: Sequence[Recipe], render: Rendering, parts: int) -> Parts:
    size = len(recipes) // parts
    return [render(recipes[start : start + size]) for start in range(0, len(recipes), size)]


def _aside(stream: torch.cuda.Stream, work: Callable[[], Parts]) -> tuple[Parts, torch.cuda.Event]:
    """What work gives on a stream, and when it is there."""
    with torch.cuda.stream(stream):
        return work(), stream.record_event()


def _here(device: torch.device, parts: Parts, there: torch.cuda.Event) -> Parts:
    """Let this thread's stream wait for what another one made, and keep its memory meanwhile."""
    current = torch.cuda.current_stream(device)
    current.wait_event(there)
    for clips in parts:
        for tensor in clips:
            tensor.record_stream(current)
    return parts
