"""Renders the next batches while a GPU computes with the present one."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import torch

from sttn.threads import made_ahead
from sttn.training.recipes import Recipe
from sttn.training.rendering import Clips, Rendering

AHEAD = 4
"""Batches that are rendered before they are asked for: some take many times as long as others."""

Parts = Sequence[Clips]
"""A batch, in the parts that are computed one after the other."""


def rendered(
    batches: Iterable[Sequence[Recipe]], render: Rendering, device: torch.device, parts: int
) -> Iterator[tuple[Sequence[Recipe], Parts]]:
    """Each batch of recipes, and what it looks like.

    On a GPU those after it are rendered meanwhile, by a thread with a stream of its own: what
    launches a picture's many small kernels is the CPU, which has nothing else to do.

    Args:
        batches: Recipes; ``parts`` divides how many each has.
        render: Renders them.
        device: Where it does.
        parts: Rounds of accumulation.
    """
    work = partial(_parts, render, parts)
    if device.type != "cuda":
        for recipes in batches:
            yield recipes, work(recipes)
        return
    aside = partial(_aside, torch.cuda.Stream(device), work)
    thread = ThreadPoolExecutor(1, thread_name_prefix="rendering")
    try:
        for recipes, (made, there) in made_ahead(batches, aside, thread, AHEAD):
            yield recipes, _here(device, made, there)
    finally:  # a run that is stopped needs none of what waits
        thread.shutdown(cancel_futures=True)


def _parts(render: Rendering, parts: int, recipes: Sequence[Recipe]) -> Parts:
    size = len(recipes) // parts
    return [render(recipes[start : start + size]) for start in range(0, len(recipes), size)]


def _aside(
    stream: torch.cuda.Stream, work: Callable[[Sequence[Recipe]], Parts], recipes: Sequence[Recipe]
) -> tuple[Parts, torch.cuda.Event]:
    """What work makes of recipes on a stream, and when it is there."""
    with torch.cuda.stream(stream):
        return work(recipes), stream.record_event()


def _here(device: torch.device, parts: Parts, there: torch.cuda.Event) -> Parts:
    """Let this thread's stream wait for what another one made, and keep its memory meanwhile."""
    current = torch.cuda.current_stream(device)
    current.wait_event(there)
    for clips in parts:
        for tensor in clips:
            tensor.record_stream(current)
    return parts
