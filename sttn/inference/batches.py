"""Work on several items at once, as many as fit into memory."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import torch

from sttn.errors import OutOfMemoryError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches:
    """Remembers how many items fit, so that running out of memory is found out once."""

    def __init__(self, what: str, largest: int) -> None:
        self._what = what
        self._size = largest

    def over(
        self, items: Sequence[Item], work: Callable[[Sequence[Item]], Result]
    ) -> Iterator[Result]:
        """Work on all items in order, halving the batch whenever memory runs out.

        Raises:
            OutOfMemoryError: one item alone does not fit.
        """
        done = 0
        while done < len(items):
            batch = items[done : done + self._size]
            try:
                result = work(batch)
            except (RuntimeError, MemoryError) as error:
                if not _ran_out_of_memory(error):
                    raise
                if len(batch) == 1:
                    raise OutOfMemoryError(
                        f"not enough memory for one {self._what}; "
                        "use a smaller raster or fewer references"
                    ) from error
                self._size = len(batch) // 2
            else:
                done += len(batch)
                yield result
                continue
            # Outside the except block, whose traceback still holds the tensors.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def _ran_out_of_memory(error: BaseException) -> bool:
    # PyTorch raises OutOfMemoryError for devices and a bare RuntimeError for the CPU.
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        "can't allocate memory" in str(error)
    )
