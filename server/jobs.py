"""A job and what happened to it, told to whoever watches."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator
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
    results: dict[int, pb.FrameReady] = field(default_factory=dict)
    """Completed frames by index, and where their pixels come from."""
    unfetched: Counter[str] = field(default_factory=Counter)
    """Digests of results that nobody downloaded yet; frames may be alike."""
    running: bool = False
    cancelled: bool = False
    deaths: int = 0
    """Times the model process died of it."""
    watchers: int = 0
    _left: float = field(default_factory=time.monotonic)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

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

    def tell(self, event: pb.JobEvent) -> None:
        """Add an event and wake the watchers."""
        event.number = len(self.events)
        self.events.append(event)
        if event.WhichOneof("event") == "frame_ready":
            ready = event.frame_ready
            self.results[ready.index] = ready
            self.unfetched.update(result_digests(ready))
        self._news.set()
        self._news = asyncio.Event()

    async def watch(self, first: int) -> AsyncGenerator[pb.JobEvent, None]:
        """Events from a number on, those of the past first, until the job has ended."""
        number = first
        self.watchers += 1
        try:
            while True:
                news = self._news
                while number < len(self.events):
                    yield self.events[number]
                    number += 1
                if self.ended:
                    return
                await news.wait()
        finally:
            self.watchers -= 1
            self._left = time.monotonic()

    def fetched(self, digest: str) -> None:
        """Somebody downloaded a content to its end."""
        self.unfetched.subtract([digest] if digest in self.unfetched else [])
        self.unfetched = +self.unfetched

    def unwatched_seconds(self) -> float:
        """For how long nobody has watched."""
        return 0.0 if self.watchers else time.monotonic() - self._left

    def digests(self) -> list[str]:
        """Every content the job reads."""
        return [
            image.digest for frame in self.request.frames for image in (frame.plate, frame.mask)
        ]

    def contents(self) -> list[str]:
        """Every content that has to be kept for it: what it reads and what it has made."""
        return [*self.digests(), *chain.from_iterable(map(result_digests, self.results.values()))]

    def described(self) -> pb.Job:
        """Where it stands."""
        state = pb.ENDED if self.ended else pb.RUNNING if self.running else pb.WAITING
        return pb.Job(
            job_id=self.job_id,
            state=state,
            progress=pb.Progress(frames_done=len(self.results), frames=self.wanted),
            events=len(self.events),
            finished=self.events[-1].finished if self.ended else None,
        )


def result_digests(ready: pb.FrameReady) -> list[str]:
    """The contents that a completed frame consists of."""
    images = [ready.image, *([ready.origins] if ready.HasField("origins") else [])]
    return [image.digest for image in images]
