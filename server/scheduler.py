"""Jobs by name, whose turn it is, and the model processes that carry them out."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection

from server.admission import frame_bytes, require_place, require_valid
from server.config import LimitsConfig
from server.errors import (
    STATUS_CODES,
    DrainingError,
    InvalidRequestError,
    ModelError,
    ProcessDiedError,
    RefusedError,
    StoreFullError,
    UnknownDigestError,
    UnknownJobError,
)
from server.jobs import Job, result_digests
from server.journal import JobJournal
from server.logs import log_job
from server.messages import CutsFound, FrameDone, JobDone, Prepared, Run
from server.metrics import Metrics
from server.plates import PlateStore
from server.protocol import inpaint_pb2 as pb
from server.protocol.codec import CodecError
from server.turns import Turns
from server.workers import Worker, Workers

logger = logging.getLogger(__name__)

DEATHS = 3
"""Times a model process may die of one job."""

LOOK_SECONDS = 0.2
"""Time between two looks whether a device is up that can load a model."""

RETRY_SECONDS = 30.0
"""When a client is told to come back while nothing is known about the jobs before it."""


class Scheduler:
    """Takes jobs, hands them to model processes, keeps what came of them.

    Belongs to the event loop, which never waits for a model process.
    """

    def __init__(
        self, workers: Workers, store: PlateStore, limits: LimitsConfig, metrics: Metrics
    ) -> None:
        self._workers = workers
        self._store = store
        self._limits = limits
        self._metrics = metrics
        self._journal = JobJournal(store.folder / "jobs")
        self._jobs: dict[str, Job] = {}
        self._turns = Turns()
        self._changed = asyncio.Event()
        self.draining = False
        self.frames_completed = 0
        workers.on_frame = self._on_frame
        workers.on_cuts = self._on_cuts
        workers.on_prepared = self._on_prepared
        workers.on_done = self._on_done
        workers.on_death = self._on_death
        workers.on_idle = self._dispatch
        store.spare = self._spare
        store.let_go = self._forget

    def restore(self) -> None:
        """Go on with the jobs that a server before this one left."""
        for job in self._journal.read():
            if self._is_whole(job):
                self._jobs[job.job_id] = job
                self._store.pin(job.contents())
            else:
                self._journal.forget(job.job_id)
        waiting = [job for job in self._jobs.values() if not job.ended]
        for job in sorted(waiting, key=lambda job: not job.results):  # what has begun goes on first
            if job.cancel_reason is not None:
                self._end(job, _cancelled(job))
                continue
            try:
                self._reserve(job)
            except StoreFullError as error:
                self._end(job, _failed(str(error), STATUS_CODES[type(error)].name))
                continue
            log_job(job, "restored", frames_done=len(job.results))
            self._turns.add(job)
            self._watch_over(job)
        self._dispatch()

    async def load_missing(self) -> None:
        """Load what restored jobs name, and an administrator had loaded; they wait for it.

        Those whose model cannot be loaded end and say why.
        """
        named = {job.request.model for job in self._turns}
        for model in sorted(named.difference(self._workers.loaded)):
            try:
                await self._load(model)
            except (ModelError, OSError) as error:  # such as a folder that cannot be listed
                for job in [job for job in self._turns if job.request.model == model]:
                    self._turns.remove(job)
                    self._end(job, _failed(str(error), STATUS_CODES[ModelError].name))
            self._dispatch()

    async def _load(self, model: str) -> None:
        for attempt in range(1, DEATHS + 1):
            while not self._workers.alive:
                await asyncio.sleep(LOOK_SECONDS)
            try:
                return await self._workers.load(model)
            except ModelError:
                if attempt == DEATHS:  # until then it may have been the process, not the file
                    raise

    def submit(self, request: pb.SubmitRequest, owner: str) -> Job:
        """Queue a job; the one that is there already if its name is known.

        Args:
            request: The job.
            owner: Whose turn it takes.

        Raises:
            InvalidRequestError: no name, no frames, images that do not belong together, or another
                job has the name.
            UnknownDigestError: a content was not uploaded.
            ModelError: no such model.
            ServerBusyError: the queue is full.
            StoreFullError: no room for what will come of it.
            DrainingError: the server is about to stop.
        """
        if request.job_id in self._jobs:
            job = self._jobs[request.job_id]
            _require_same(job, request)
            return job
        if self.draining:
            raise DrainingError("the server is about to stop and takes no new jobs")
        require_valid(request, self._limits)
        self._require_present(request.frames)
        self._workers.require_model(request.model)
        self._require_place(owner)
        kept = pb.SubmitRequest()
        kept.CopyFrom(request)
        kept.client, kept.model = owner, request.model or self._workers.default
        job = Job(kept, owner)
        self._store.pin(job.digests())
        try:
            self._reserve(job)
        except StoreFullError:
            self._store.unpin(job.digests())
            raise
        self._jobs[job.job_id] = job
        self._journal.begin(kept)
        self._turns.add(job)
        ahead = list(self._turns).index(job)
        self._tell(job, pb.JobEvent(queued=pb.Queued(jobs_ahead=ahead)))
        log_job(job, "queued", frames=job.wanted)
        self._watch_over(job)
        self._dispatch()
        return job

    def job(self, job_id: str) -> Job:
        """A job by name.

        Raises:
            UnknownJobError: there is none.
        """
        try:
            return self._jobs[job_id]
        except KeyError:
            raise UnknownJobError(f"no job {job_id[:80]!r}; submit it again") from None

    def cancel(self, job: Job, reason: str) -> None:
        """Stop a job within one window, or before it starts."""
        if job.ended or job.cancel_reason is not None:
            return
        job.cancel_reason = reason
        if self._turns.remove(job):
            self._metrics.waiting.set(len(self._turns))
            self._end(job, _cancelled(job))
        else:
            # Its end is told once its process has stopped, and certain from now on.
            end = pb.JobEvent(number=job.next_number, finished=_cancelled(job))
            self._journal.add(job.job_id, end)
            self._workers.stop(job.job_id)
            asyncio.get_running_loop().call_later(self._limits.stop_seconds, self._insist, job)

    def unload(self, model: str) -> None:
        """Let a model go.

        Raises:
            ModelError: it is not loaded.
            RefusedError: it is the default, or jobs name it.
        """
        names = [job.job_id for job in self.active() if job.request.model == model]
        if names:
            raise RefusedError(
                f"{model} is named by jobs that run or wait ({len(names)}, such as {names[0]}); "
                "cancel them, or come back when they have ended"
            )
        self._workers.unload(model)

    def expire(self, seconds: float) -> None:
        """Forget jobs that ended so long ago; their frames need not be kept any more."""
        for job in self._ended():
            if job.ended_at < time.time() - seconds:
                self._forget(job)

    def active(self) -> list[Job]:
        """Running jobs, then waiting ones in the order in which they would run."""
        running = [job for job in self._jobs.values() if job.running]
        return [*running, *self._turns]

    def fetched(self, digest: str) -> None:
        """Somebody downloaded a content to its end."""
        for job in self._jobs.values():
            job.fetched(digest)
        self._changed.set()

    async def drained(self) -> None:
        """Refuse new jobs; wait until those that are here are done, and their frames fetched."""
        self.draining = True
        while self.active():
            await self._change()
        patience = time.monotonic() + self._limits.drain_seconds
        while any(map(self._is_awaited, self._jobs.values())) and time.monotonic() < patience:
            await self._change()

    def _is_awaited(self, job: Job) -> bool:
        gone = job.unwatched_seconds() > self._limits.abandoned_seconds
        return bool(job.unfetched) and job.cancel_reason is None and not gone

    async def _change(self) -> None:
        self._changed.clear()
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), timeout=0.5)

    def _dispatch(self) -> None:
        while (worker := self._workers.idle()) is not None:
            job = self._turns.next(self._can_run)
            if job is None:
                break
            job.running = True
            log_job(job, "started", device=worker.device, frames_done=len(job.results))
            done = frozenset(job.results)
            if len(done) == job.wanted:  # the process died with its last word
                self._end(job, pb.Finished(outcome=pb.Finished.COMPLETED))
                continue
            self._tell_other_weights(job)
            key = self._workers.key(job.request.model)
            unproven = self._store.unproven(job.digests())
            request = job.request.SerializeToString()
            self._workers.run(worker, Run(job.job_id, key, request, done, unproven))
            for ahead, other in enumerate(self._turns):
                self._tell(other, pb.JobEvent(queued=pb.Queued(jobs_ahead=ahead)))
        self._metrics.waiting.set(len(self._turns))

    def _tell_other_weights(self, job: Job) -> None:
        # A farm that updated overnight: a job goes on, and whoever looks at it shall know.
        name = job.request.model
        held = self._workers.weights(name)
        if others := sum(ready.weights not in ("", held) for ready in job.results.values()):
            notice = f"{name} is other weights now than {others} of the frames were completed with"
            self._tell(job, pb.JobEvent(notice=pb.Notice(message=notice)))

    def _can_run(self, job: Job) -> bool:
        return job.request.model in self._workers.loaded

    def _on_frame(self, message: FrameDone) -> None:
        job = self._jobs[message.job_id]
        ready = pb.FrameReady.FromString(message.ready)
        for digest in result_digests(ready):
            self._store.adopt(digest, message.files[digest])
            self._store.pin([digest])
        share = job.reserved_bytes // max(1, job.wanted - len(job.results))
        job.reserved_bytes -= share
        self._store.release(share)
        with contextlib.suppress(StoreFullError):  # which the log tells when house is kept
            self._store.keep_room()
        self._metrics.frames.inc()
        self.frames_completed += 1
        self._tell(job, pb.JobEvent(frame_ready=ready))
        self._tell(job, pb.JobEvent(progress=job.progress()))

    def _on_cuts(self, message: CutsFound) -> None:
        job = self._jobs[message.job_id]
        if not job.results:  # told already, where a process died and another one goes on
            self._tell(job, pb.JobEvent(cuts=pb.Cuts(indices=message.indices)))

    def _on_prepared(self, message: Prepared) -> None:
        job = self._jobs[message.job_id]
        if message.share > job.prepared:  # a process that goes on for another begins anew
            progress = job.progress()
            progress.prepared = message.share
            self._tell(job, pb.JobEvent(progress=progress))

    def _on_done(self, message: JobDone) -> None:
        job = self._jobs[message.job_id]
        finished = pb.Finished(outcome=pb.Finished.COMPLETED)
        if message.cancelled:
            finished = _cancelled(job)
        elif message.error is not None:
            finished = _failed(message.error, message.code)
        self._end(job, finished, trace=message.trace)

    def _on_death(self, worker: Worker, job_id: str | None) -> None:
        job = self._jobs[job_id] if job_id is not None else None
        if job is None:
            return
        job.running = False
        job.deaths += 1
        notice = f"the model process died ({worker.device}) and is started again"
        self._tell(job, pb.JobEvent(notice=pb.Notice(message=notice)))
        if job.cancel_reason is not None:
            self._end(job, _cancelled(job))
        elif job.deaths >= DEATHS:
            reason = (
                f"the model process died {DEATHS} times of this job; try a smaller model raster"
            )
            self._end(job, _failed(reason, STATUS_CODES[ProcessDiedError].name))
        else:
            log_job(job, "requeued", deaths=job.deaths, frames_done=len(job.results))
            self._turns.put_back(job)
            self._dispatch()  # another device may be free

    def _end(self, job: Job, finished: pb.Finished, trace: str | None = None) -> None:
        job.running = False
        self._store.release(job.reserved_bytes)
        job.reserved_bytes = 0
        self._tell(job, pb.JobEvent(finished=finished))
        outcome = pb.Finished.Outcome.Name(finished.outcome)
        self._metrics.jobs.labels(outcome=outcome.lower()).inc()
        log_job(
            job,
            outcome.lower(),
            frames_done=len(job.results),
            reason=finished.message or None,
            trace=trace,
        )
        for old in self._ended()[: -self._limits.kept_jobs]:
            self._forget(old)
        self._changed.set()

    def _tell(self, job: Job, event: pb.JobEvent) -> None:
        job.tell(event)
        self._journal.add(job.job_id, event)

    def _watch_over(self, job: Job) -> None:
        # An artist's host that crashed does not hold the queue for ever.
        patience = self._limits.abandoned_seconds

        def look() -> None:
            if job.ended:
                return
            if job.unwatched_seconds() >= patience:
                self.cancel(job, f"nobody watched for {patience:g} s")
                return
            wait = patience - job.unwatched_seconds()
            asyncio.get_running_loop().call_later(max(0.05, wait), look)

        asyncio.get_running_loop().call_later(patience, look)

    def _is_whole(self, job: Job) -> bool:
        # Whoever reads its contents proves them.
        try:
            frame_bytes(job.request)
            return not self._store.missing(job.contents())
        except (InvalidRequestError, CodecError) as error:
            logger.warning("job %s was damaged on disk and is forgotten: %s", job.job_id, error)
            return False

    def _reserve(self, job: Job) -> None:
        size = frame_bytes(job.request) * (job.wanted - len(job.results))
        self._store.reserve(size, job.contents())
        job.reserved_bytes = size

    def _require_place(self, owner: str) -> None:
        require_place(
            "jobs are waiting",
            (self._turns.of(owner), self._limits.queue_length),
            (len(self._turns), self._limits.whole_queue),
            self._seconds_to_a_place(),
        )

    def _seconds_to_a_place(self) -> float:
        rate = sum(worker.frames_per_second for worker in self._workers.all)
        frames = sum(job.wanted - len(job.results) for job in self.active()[:1])
        return max(1.0, frames / rate) if rate else RETRY_SECONDS

    def _require_present(self, frames: Collection[pb.ClipFrame]) -> None:
        digests = {
            image.digest: (kind, index)
            for index, frame in enumerate(frames)
            for kind, image in (("plate", frame.plate), ("mask", frame.mask))
        }
        for digest in self._store.missing(digests):
            kind, index = digests[digest]
            raise UnknownDigestError(f"the {kind} of frame {index} was not uploaded")

    def _insist(self, job: Job) -> None:
        if not job.ended:
            self._workers.end(job.job_id)

    def _ended(self) -> list[Job]:
        # Those first that ended first.
        ended = [job for job in self._jobs.values() if job.ended]
        return sorted(ended, key=lambda job: job.ended_at)

    def _spare(self) -> list[Job]:
        # Where room is needed: those whose frames were fetched, then those nobody came back for.
        idle = [job for job in self._ended() if not self._is_awaited(job)]
        return sorted(idle, key=lambda job: bool(job.unfetched))

    def _forget(self, job: Job) -> None:
        self._store.unpin(job.contents(), job.ended_at)
        self._journal.forget(job.job_id)
        del self._jobs[job.job_id]


def _require_same(job: Job, request: pb.SubmitRequest) -> None:
    # Whoever names jobs after shots would get the frames of an earlier version as if made now.
    asked = pb.SubmitRequest()
    asked.CopyFrom(request)
    asked.client, asked.model = job.owner, request.model or job.request.model
    if asked != job.request:
        raise InvalidRequestError(
            f"job {job.job_id[:80]!r} is here already, with other frames or settings; give each "
            "job a job_id of its own"
        )


def _cancelled(job: Job) -> pb.Finished:
    return pb.Finished(outcome=pb.Finished.CANCELLED, message=job.cancel_reason or "")


def _failed(message: str, code: str) -> pb.Finished:
    return pb.Finished(outcome=pb.Finished.FAILED, message=message, code=code)
