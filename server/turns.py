"""Whose job runs next."""

from collections import deque
from collections.abc import Callable, Iterator

from server.jobs import Job


class Turns:
    """Waiting jobs; owners take turns, and each owner's jobs keep their order.

    A farm that submits a hundred shots delays an artist's one by a single shot.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[Job]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[Job]:
        """In the order in which they would run."""
        longest = max(map(len, self._lines.values()), default=0)
        for place in range(longest):
            for line in self._lines.values():
                if place < len(line):
                    yield line[place]

    def of(self, owner: str) -> int:
        """How many of an owner's jobs wait."""
        return len(self._lines.get(owner, ()))

    def add(self, job: Job) -> None:
        """At the end of its owner's line."""
        self._lines.setdefault(job.owner, deque()).append(job)

    def put_back(self, job: Job) -> None:
        """Before everything else: it had its turn already."""
        line = self._lines.pop(job.owner, deque())
        line.appendleft(job)
        self._lines = {job.owner: line, **self._lines}

    def next(self, can_run: Callable[[Job], bool] = lambda job: True) -> Job | None:
        """The job whose turn it is, of those that can run; its owner goes to the end."""
        job = next(filter(can_run, self), None)
        if job is not None:
            line = self._lines.pop(job.owner)
            line.remove(job)
            if line:
                self._lines[job.owner] = line
        return job

    def remove(self, job: Job) -> bool:
        """Take a job out; False where it does not wait."""
        line = self._lines.get(job.owner, deque())
        if job not in line:
            return False
        line.remove(job)
        if not line:
            del self._lines[job.owner]
        return True
