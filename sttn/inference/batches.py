"""Work on several items at once, as many as fit into memory."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from sttn.device import give_back_memory, in_memory, ran_out_of_memory

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches:
    """Remembers how many items fit, so that running out of memory is found out once."""

    def __init__(self, what: str, largest: int) -> None:
        self._advice = f"not enough memory for one {what}; use a smaller raster or fewer references"
        self._size = largest

    def over(
        self, items: Sequence[Item], work: Callable[[Sequence[Item]], Result]
    ) -> Iterator[Result]:
        """Work on all items in order, halving the batch whenever memory runs out.

        One alone is tried twice: what else is at work may have given memory back.

        Raises:
            OutOfMemoryError: one item alone does not fit.
        """
        done = 0
        while done < len(items):
            batch = items[done : done + self._size]
            alone = len(batch) == 1
            try:
                result = in_memory(partial(work, batch), self._advice) if alone else work(batch)
            except (RuntimeError, MemoryError) as error:
                if alone or not ran_out_of_memory(error):
                    raise
                self._size = len(batch) // 2
            else:
                done += len(batch)
                yield result
                continue
            # Outside the except block, whose traceback still holds the tensors.
            give_back_memory()
