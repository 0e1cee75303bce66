"""A job and what happened to it, told to whoever watches."""

import asyncio
import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field
from itertools import chain

from server.protocol import inpaint_pb2 as pb


@dataclass(eq=False)
class Job:
    """One clip being completed."""

    request: pb.SubmitRequest
    owner: str
    """Whose turn it takes."""
    reserved_bytes: int = 0
    """Room kept in the store for results that are still to come."""
    events: list[pb.JobEvent] = field(default_factory=list)
    """In order; their numbers rise, but some may be missing where a server was started again."""
    results: dict[int, pb.FrameReady] = field(default_factory=dict)
    """Completed frames by index, and where their pixels come from."""
    unfetched: Counter[str] = field(default_factory=Counter)
    """Digests of results that nobody downloaded yet; frames may be alike."""
    prepared: float = 0.0
    """Share in [0, 1] of what is looked for before frames can be filled."""
    running: bool = False
    cancel_reason: str | None = None
    """Why it is stopped; None where it is not."""
    deaths: int = 0
    """Times the model process died of it."""
    watchers: int = 0
    ended_at: float = 0.0
    """Seconds since the epoch."""
    _left: float = field(default_factory=time.monotonic)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def restored(
        cls, request: pb.SubmitRequest, events: Iterable[pb.JobEvent], written_at: float
    ) -> "Job":
        """A job as a server before this one left it.

        Args:
            request: The job, with its owner as ``client``.
            events: What happened, under the numbers by which it was told.
            written_at: When the last of it was written down, in seconds since the epoch.
        """
        job = cls(request, request.client)
        for event in events:
            if job.ended:  # written down when it was cancelled; its process had more to say
                job.cancel_reason = job.events.pop().finished.message
            job._take(event)
        if job.ended:
            # Whoever still wants its frames comes back and watches it.
            job.ended_at, job._left = written_at, -math.inf
        return job

    @property
    def job_id(self) -> str:
        """The client's name for it."""
        return self.request.job_id

    @property
    def ended(self) -> bool:
        """Nothing more will happen."""
        return bool(self.events) and self.events[-1].WhichOneof("event") == "finished"

    @property
    def wanted(self) -> int:
        """Frames to be returned."""
        return sum(frame.role == pb.PLATE for frame in self.request.frames)

    @property
    def next_number(self) -> int:
        """Of the event that comes next."""
        return self.events[-1].number + 1 if self.events else 0

    def tell(self, event: pb.JobEvent) -> None:
        """Add an event and wake the watchers."""
        event.number = self.next_number
        self._take(event)
        if self.ended:
            self.ended_at = time.time()
        self._news.set()
        self._news = asyncio.Event()

    def _take(self, event: pb.JobEvent) -> None:
        self.events.append(event)
        if event.WhichOneof("event") == "frame_ready":
            ready = event.frame_ready
            self.results[ready.index] = ready
            self.unfetched.update(result_digests(ready))
        elif event.WhichOneof("event") == "progress":
            self.prepared = event.progress.prepared

    async def watch(self, first: int) -> AsyncGenerator[pb.JobEvent, None]:
        """Events from a number on, those of the past first, until the job has ended."""
        number = first
        self.watchers += 1
        try:
            while True:
                news = self._news
                place = bisect_left(self.events, number, key=lambda event: event.number)
                while place < len(self.events):
                    yield self.events[place]
                    number = self.events[place].number + 1
                    place += 1
                if self.ended:
                    return
                await news.wait()
        finally:
            self.watchers -= 1
            self._left = time.monotonic()

    def fetched(self, digest: str) -> None:
        """Somebody downloaded a content to its end."""
        if digest in self.unfetched:
            self._left = time.monotonic()
            self.unfetched[digest] -= 1
            if not self.unfetched[digest]:
                del self.unfetched[digest]

    def unwatched_seconds(self) -> float:
        """For how long nobody has watched it, or fetched what came of it."""
        return 0.0 if self.watchers else time.monotonic() - self._left

    def digests(self) -> list[str]:
        """Every content the job reads."""
        return [
            image.digest for frame in self.request.frames for image in (frame.plate, frame.mask)
        ]

    def contents(self) -> list[str]:
        """Every content that has to be kept for it: what it reads and what it has made."""
        return [*self.digests(), *chain.from_iterable(map(result_digests, self.results.values()))]

    def progress(self) -> pb.Progress:
        """How far it is."""
        return pb.Progress(
            frames_done=len(self.results), frames=self.wanted, prepared=self.prepared
        )

    def described(self) -> pb.Job:
        """Where it stands."""
        state = pb.ENDED if self.ended else pb.RUNNING if self.running else pb.WAITING
        return pb.Job(
            job_id=self.job_id,
            state=state,
            progress=self.progress(),
            events=self.next_number,
            finished=self.events[-1].finished if self.ended else None,
        )


def result_digests(ready: pb.FrameReady) -> list[str]:
    """The contents that a completed frame consists of."""
    images = [ready.image, *([ready.origins] if ready.HasField("origins") else [])]
    return [image.digest for image in images]
