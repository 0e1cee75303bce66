"""A job and what happened to it, told to whoever watches."""

import asyncio
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from server.protocol import inpaint_pb2 as pb


@dataclass(eq=False)
class Job:
    """One clip being completed. Everything but ``cancelled`` belongs to the event loop."""

    job_id: str
    frames: list[pb.ClipFrame]
    cancelled: threading.Event = field(default_factory=threading.Event)
    events: list[pb.JobEvent] = field(default_factory=list)
    watchers: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def ended(self) -> bool:
        """Nothing more will happen."""
        return bool(self.events) and self.events[-1].WhichOneof("event") == "finished"

    def tell(self, event: pb.JobEvent) -> None:
        """Add an event and wake the watchers."""
        event.number = len(self.events)
        self.events.append(event)
        self._news.set()
        self._news = asyncio.Event()

    async def watch(self, first: int) -> AsyncIterator[pb.JobEvent]:
        """Events from a number on, those of the past first, until the job has ended."""
        number = first
        while True:
            news = self._news
            while number < len(self.events):
                yield self.events[number]
                number += 1
            if self.ended:
                return
            await news.wait()

    def digests(self) -> list[str]:
        """Every content the job reads."""
        return [image.digest for frame in self.frames for image in (frame.plate, frame.mask)]

    def results(self) -> list[str]:
        """Every content the job has made."""
        return [
            event.frame_ready.image.digest
            for event in self.events
            if event.WhichOneof("event") == "frame_ready"
        ]
