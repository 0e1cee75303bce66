"""The RPCs of artists and farms, each carried out by the store or the scheduler."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from typing import BinaryIO, TypeAlias, TypeVar

import psutil

from server import shared_memory, uploads
from server.admission import Places, require_possible
from server.config import LimitsConfig
from server.contents import content_path, open_content
from server.errors import (
    BrokenUploadError,
    InvalidRequestError,
    OutOfRangeError,
    RefusedError,
    ServerError,
    disk_errors,
    status_code,
)
from server.metrics import Metrics
from server.plates import PlateStore
from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from server.protocol.channel import RETRY_AFTER, WATCHING
from server.protocol.chunks import Chunk
from server.scheduler import Scheduler
from server.security import Context, Gate
from server.workers import Workers

_Result = TypeVar("_Result")
_Part: TypeAlias = pb.UploadRequest | Chunk

WRITERS = max(1, (os.cpu_count() or 1) // 2)
"""Threads that hash and write uploads; on all cores they made small calls wait."""


@asynccontextmanager
async def status_codes(context: Context, metrics: Metrics) -> AsyncIterator[None]:
    """Turn an error raised on purpose inside the block into the RPC's status; bugs pass through."""
    try:
        yield
    except Exception as error:
        code = status_code(error)
        if code is None:
            raise
        metrics.refused.labels(code=code.name).inc()
        if isinstance(error, ServerError) and error.retry_seconds is not None:
            context.set_trailing_metadata([(RETRY_AFTER, f"{error.retry_seconds:.0f}")])
        await context.abort(code, str(error))


async def _done(work: "asyncio.Future[_Result]") -> _Result:
    """Wait for a thread.

    A call whose client goes away is cancelled, but no thread can be: the call ends only when its
    thread has, so that nobody else opens the file while it still writes.
    """
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return work.result()


async def _in_thread(work: Callable[..., _Result], *arguments: object) -> _Result:
    """Carry out what blocks, to its end; see :func:`_done`."""
    return await _done(asyncio.get_running_loop().run_in_executor(None, work, *arguments))


def _next_chunk(file: BinaryIO, offset: int) -> Chunk:
    return codec.chunk_at(offset, file.read(codec.CHUNK_BYTES))


class PlatesService(inpaint_pb2_grpc.PlatesServicer):
    """Contents in and out."""

    def __init__(
        self,
        store: PlateStore,
        scheduler: Scheduler,
        limits: LimitsConfig,
        metrics: Metrics,
        gate: Gate,
        shares_memory: bool,
    ) -> None:
        self._store = store
        self._scheduler = scheduler
        self._limits = limits
        self._metrics = metrics
        self._gate = gate
        self._uploads = Places("uploads", limits.uploads)
        self._downloads = Places("downloads", limits.downloads)
        self._shares_memory = shares_memory
        self._writers = ThreadPoolExecutor(WRITERS, thread_name_prefix="write-uploads")

    async def FindMissing(
        self, request: pb.FindMissingRequest, context: Context
    ) -> pb.FindMissingResponse:
        """Name the contents that have to be sent, and from which byte on."""
        async with status_codes(context, self._metrics):
            await self._store.prove(request.digests)
            missing = self._store.missing(request.digests)
            return pb.FindMissingResponse(
                missing=[
                    pb.FindMissingResponse.Missing(digest=digest, committed=committed)
                    for digest, committed in missing.items()
                ]
            )

    async def Upload(
        self, request_iterator: AsyncIterator[_Part], context: Context
    ) -> pb.UploadResponse:
        """Take one content in chunks; kept only when the client says it is finished."""
        async with status_codes(context, self._metrics):
            header = await self._header(request_iterator)
            if await self._is_here(header):
                return pb.UploadResponse(committed=header.size)
            caller = self._gate.caller(context)
            with self._uploads.taken(caller), self._store.upload(header) as upload:
                await _in_thread(upload.resume)
                await self._receive(upload, request_iterator)
                path = content_path(self._store.folder, header.digest)
                await _in_thread(upload.finish, path)
            return pb.UploadResponse(committed=header.size)

    async def Take(self, request: pb.TakeRequest, context: Context) -> pb.UploadResponse:
        """Copy one content from the memory of a client on this machine."""
        async with status_codes(context, self._metrics):
            self._require_shared_memory()
            header = pb.UploadHeader(digest=request.digest, size=request.size)
            if await self._is_here(header):
                return pb.UploadResponse(committed=header.size)
            caller = self._gate.caller(context)
            with self._uploads.taken(caller), self._store.upload(header) as upload:
                path = content_path(self._store.folder, header.digest)
                await _in_thread(shared_memory.take, request, upload, path)
            self._metrics.received.inc(request.size)
            return pb.UploadResponse(committed=header.size)

    async def Download(self, request: pb.DownloadRequest, context: Context) -> AsyncIterator[Chunk]:
        """Send one content in chunks, from an offset on."""
        async with status_codes(context, self._metrics):
            await self._store.prove([request.digest])
            with (
                self._downloads.taken(self._gate.caller(context)),
                disk_errors("cannot read"),
                open_content(self._store.folder, request.digest) as file,
            ):
                offset, size = request.offset, os.fstat(file.fileno()).st_size
                if offset > size:
                    raise OutOfRangeError(f"offset {offset} is beyond the {size} bytes there are")
                file.seek(offset)
                # One chunk at a time: a slow reader holds no more memory than that.
                while (chunk := await _in_thread(_next_chunk, file, offset)).data:
                    yield chunk
                    offset += len(chunk.data)
                    self._metrics.sent.inc(len(chunk.data))
            self._scheduler.fetched(request.digest)

    async def Give(self, request: pb.GiveRequest, context: Context) -> pb.GiveResponse:
        """Copy one content into the memory of a client on this machine."""
        async with status_codes(context, self._metrics):
            self._require_shared_memory()
            await self._store.prove([request.digest])
            with open_content(self._store.folder, request.digest) as file:
                size = await _in_thread(shared_memory.give, request, file)
            self._metrics.sent.inc(size)
            self._scheduler.fetched(request.digest)
            return pb.GiveResponse(size=size)

    async def _is_here(self, content: pb.UploadHeader) -> bool:
        require_possible(content, self._limits)
        await self._store.prove([content.digest])
        return content.digest in self._store

    async def _header(self, requests: AsyncIterator[_Part]) -> pb.UploadHeader:
        request = await self._next(requests)
        if not isinstance(request, pb.UploadRequest) or not request.HasField("header"):
            raise InvalidRequestError("an upload starts with its header")
        return request.header

    async def _next(self, requests: AsyncIterator[_Part]) -> _Part | None:
        # A client that lives and sends nothing shall not keep its place and its room for ever.
        patience = self._limits.upload_seconds
        try:
            return await asyncio.wait_for(anext(requests, None), patience)
        except asyncio.TimeoutError:
            raise BrokenUploadError(f"the upload sent nothing for {patience:g} s") from None

    async def _receive(self, upload: uploads.Upload, requests: AsyncIterator[_Part]) -> None:
        # While one chunk is hashed and written in a thread, the next one comes in.
        loop = asyncio.get_running_loop()
        writing: asyncio.Future[None] = loop.create_future()
        writing.set_result(None)
        finished = False
        try:
            while (request := await self._next(requests)) is not None:
                await _done(writing)
                if isinstance(request, Chunk):
                    writing = loop.run_in_executor(self._writers, self._append, upload, request)
                elif request.HasField("finish"):
                    finished = True
                    break
                else:
                    part = request.WhichOneof("part") or "empty part"
                    raise InvalidRequestError(f"an upload has no {part} here")
        finally:
            await _done(writing)
        if not finished:
            raise BrokenUploadError("the upload broke off before its finish")

    def _append(self, upload: uploads.Upload, chunk: Chunk) -> None:
        self._metrics.received.inc(upload.append(chunk))

    def _require_shared_memory(self) -> None:
        if not self._shares_memory:
            raise RefusedError(
                "shared memory is not enabled on this server (--shared-memory); "
                "upload and download instead"
            )


class InpaintService(inpaint_pb2_grpc.InpaintServicer):
    """Jobs: submit, watch, get, cancel; and what the server is doing."""

    def __init__(
        self,
        scheduler: Scheduler,
        workers: Workers,
        store: PlateStore,
        limits: LimitsConfig,
        metrics: Metrics,
        gate: Gate,
    ) -> None:
        self._scheduler = scheduler
        self._workers = workers
        self._store = store
        self._limits = limits
        self._metrics = metrics
        self._gate = gate
        self._started = time.monotonic()

    async def Submit(self, request: pb.SubmitRequest, context: Context) -> pb.SubmitResponse:
        """Queue a job."""
        async with status_codes(context, self._metrics):
            self._scheduler.submit(request, self._gate.owner(request.client, context))
            return pb.SubmitResponse()

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.JobEvent]:
        """Tell what happens to a job."""
        async with status_codes(context, self._metrics):
            job = self._scheduler.job(request.job_id)
        await context.send_initial_metadata(((WATCHING, "yes"),))
        async with aclosing(job.watch(request.first_event)) as events:
            async for event in events:
                yield event

    async def Get(self, request: pb.GetRequest, context: Context) -> pb.Job:
        """Tell where a job stands."""
        async with status_codes(context, self._metrics):
            return self._scheduler.job(request.job_id).described()

    async def Cancel(self, request: pb.CancelRequest, context: Context) -> pb.CancelResponse:
        """Stop a job within one window."""
        async with status_codes(context, self._metrics):
            job = self._scheduler.job(request.job_id)
            caller = self._gate.require_own(job, context)
            self._scheduler.cancel(job, f"cancelled by {caller}" if caller else "cancelled")
            return pb.CancelResponse()

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.Status:
        """Tell what the server is doing."""
        return pb.Status(
            workers=[worker.described() for worker in self._workers.all],
            jobs=[job.described() for job in self._scheduler.active()],
            store_bytes=self._store.used_bytes,
            store_limit_bytes=self._store.limit_bytes,
            uploads=self._store.uploads,
            queue_limit=self._limits.whole_queue,
            uptime_seconds=time.monotonic() - self._started,
            frames_completed=self._scheduler.frames_completed,
            draining=self._scheduler.draining,
            memory_bytes=psutil.Process().memory_info().rss,
        )
