"""One queue, one thread that computes, and the jobs by name."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from server.errors import (
    InvalidRequestError,
    ServerBusyError,
    UnknownDigestError,
    UnknownJobError,
    status_code,
)
from server.jobs import Job
from server.plates import PlateStore
from server.protocol import codec
from server.protocol import inpaint_pb2 as pb
from sttn.errors import CancelledError

logger = logging.getLogger(__name__)

KEPT_JOBS = 100
"""Ended jobs whose events and frames are kept for clients that come back."""


class CompleteClip(Protocol):
    """The engine as the scheduler sees it: ``sttn.inference.completed_frames``, bound."""

    def __call__(
        self,
        frames: Sequence[NDArray[Any]],
        masks: Sequence[NDArray[np.bool_]],
        *,
        cancelled: Callable[[], bool],
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield index and completed frame, in order."""


class StoredImages(Sequence[NDArray[Any]]):
    """Images of a clip, read from the store when they are needed."""

    def __init__(
        self,
        store: PlateStore,
        images: list[pb.Image],
        convert: Callable[[NDArray[Any]], NDArray[Any]],
    ) -> None:
        self._store = store
        self._images = images
        self._convert = convert

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NDArray[Any]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | Sequence[NDArray[Any]]:
        if isinstance(index, slice):
            return StoredImages(self._store, self._images[index], self._convert)
        image = self._images[index]
        return self._convert(codec.decode_image(image, self._store.read(image.digest)))


def _plate(pixels: NDArray[Any]) -> NDArray[np.float32]:
    return pixels.astype(np.float32)


def _mask(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    return pixels[..., 0] > 0


class Scheduler:
    """Takes jobs, runs them one after another, keeps what came of them."""

    def __init__(self, engine: CompleteClip, store: PlateStore, queue_length: int) -> None:
        self._engine = engine
        self._store = store
        self._queue_length = queue_length
        self._jobs: dict[str, Job] = {}
        self._waiting: list[Job] = []
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False

    def submit(self, request: pb.SubmitRequest) -> Job:
        """Queue a job; the one that is there already if its name is known.

        Raises:
            InvalidRequestError: no name, no frames, or images that do not belong together.
            UnknownDigestError: a content was not uploaded.
            ServerBusyError: the queue is full.
        """
        if request.job_id in self._jobs:
            return self._jobs[request.job_id]
        if not request.job_id:
            raise InvalidRequestError("the job has no job_id")
        if not request.frames:
            raise InvalidRequestError("the clip has no frames")
        for index, frame in enumerate(request.frames):
            self._require_usable(index, frame, request.frames[0])
        if len(self._waiting) >= self._queue_length:
            raise ServerBusyError(
                f"{len(self._waiting)} jobs are waiting already; try again in a few minutes"
            )
        job = Job(request.job_id, list(request.frames))
        self._forget_old()
        self._store.pin(job.digests())
        self._jobs[job.job_id] = job
        job.tell(pb.JobEvent(queued=pb.Queued(jobs_ahead=len(self._waiting))))
        self._waiting.append(job)
        self._work.set()
        return job

    def job(self, job_id: str) -> Job:
        """A job by name.

        Raises:
            UnknownJobError: there is none.
        """
        try:
            return self._jobs[job_id]
        except KeyError:
            raise UnknownJobError(f"no job {job_id!r}; submit it again") from None

    def cancel(self, job: Job) -> None:
        """Stop a job within one window, or before it starts."""
        job.cancelled.set()
        if job in self._waiting:
            self._waiting.remove(job)
            _end(job, pb.Finished.CANCELLED, "cancelled before it started")

    async def stop(self) -> None:
        """Stop everything that waits or runs, and wait until nothing runs any more."""
        self._stopping = True
        for job in self._jobs.values():
            if not job.ended:
                self.cancel(job)
        await self._idle.wait()

    async def run(self) -> None:
        """Work through the queue until cancelled."""
        while True:
            while not self._waiting:
                self._work.clear()
                await self._work.wait()
            job = self._waiting.pop(0)
            for ahead, other in enumerate(self._waiting):
                other.tell(pb.JobEvent(queued=pb.Queued(jobs_ahead=ahead)))
            self._idle.clear()
            await asyncio.to_thread(self._compute, job, asyncio.get_running_loop())
            self._idle.set()

    def _compute(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        # In a thread of its own; everything it tells goes back through the loop.
        def tell(event: pb.JobEvent) -> None:
            loop.call_soon_threadsafe(job.tell, event)

        count = len(job.frames)
        logger.info("job %s started, %d frames", job.job_id, count)
        frames = StoredImages(self._store, [frame.plate for frame in job.frames], _plate)
        masks = StoredImages(self._store, [frame.mask for frame in job.frames], _mask)
        outcome, message = pb.Finished.COMPLETED, ""
        try:
            for index, frame in self._engine(frames, masks, cancelled=job.cancelled.is_set):
                image, content = codec.encode_image(frame, ("R", "G", "B"))
                self._store.pin([image.digest])
                self._store.put(content)
                tell(pb.JobEvent(frame_ready=pb.FrameReady(index=index, image=image)))
                tell(pb.JobEvent(progress=pb.Progress(frames_done=index + 1, frames=count)))
        except CancelledError as error:
            outcome, message = pb.Finished.CANCELLED, str(error)
            if self._stopping:
                outcome, message = pb.Finished.FAILED, "the server was stopped"
        except Exception as error:
            if status_code(error) is None:
                logger.exception("job %s failed", job.job_id)
            outcome = pb.Finished.FAILED
            message = str(error) or type(error).__name__
        logger.info("job %s ended: %s", job.job_id, pb.Finished.Outcome.Name(outcome))
        loop.call_soon_threadsafe(_end, job, outcome, message)

    def _require_usable(self, index: int, frame: pb.ClipFrame, first: pb.ClipFrame) -> None:
        for kind, image, channels in (("plate", frame.plate, 3), ("mask", frame.mask, 1)):
            codec.image_bytes(image)
            if len(image.channels) != channels:
                raise InvalidRequestError(
                    f"the {kind} of frame {index} has {len(image.channels)} channels, "
                    f"not {channels}"
                )
            if (image.width, image.height) != (first.plate.width, first.plate.height):
                raise InvalidRequestError(
                    f"the {kind} of frame {index} is {image.width}x{image.height}, the first "
                    f"plate {first.plate.width}x{first.plate.height}"
                )
            if image.digest not in self._store:
                raise UnknownDigestError(f"the {kind} of frame {index} was not uploaded")

    def _forget_old(self) -> None:
        ended = [job for job in self._jobs.values() if job.ended]
        for job in ended[: max(0, len(ended) - KEPT_JOBS + 1)]:
            self._store.unpin(job.digests() + job.results())
            del self._jobs[job.job_id]


def _end(job: Job, outcome: pb.Finished.Outcome, message: str) -> None:
    job.tell(pb.JobEvent(finished=pb.Finished(outcome=outcome, message=message)))
