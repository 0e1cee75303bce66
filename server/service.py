"""The RPCs of inpaint.proto, each carried out by the store or the scheduler."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import grpc

from server.errors import BrokenUploadError, InvalidRequestError, status_code
from server.plates import PlateStore
from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from server.scheduler import Scheduler

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


@asynccontextmanager
async def _status_codes(context: Context) -> AsyncIterator[None]:
    """Turn an error raised on purpose inside the block into the RPC's status; bugs pass through."""
    try:
        yield
    except Exception as error:
        code = status_code(error)
        if code is None:
            raise
        await context.abort(code, str(error))


class PlatesService(inpaint_pb2_grpc.PlatesServicer):
    """Contents in and out."""

    def __init__(self, store: PlateStore) -> None:
        self._store = store

    async def FindMissing(
        self, request: pb.FindMissingRequest, context: Context
    ) -> pb.FindMissingResponse:
        """Name the contents that have to be sent, and from which byte on."""
        async with _status_codes(context):
            return pb.FindMissingResponse(
                missing=[
                    pb.FindMissingResponse.Missing(
                        digest=name, committed=self._store.committed(name)
                    )
                    for name in dict.fromkeys(request.digests)
                    if name not in self._store
                ]
            )

    async def Upload(
        self, request_iterator: AsyncIterator[pb.UploadRequest], context: Context
    ) -> pb.UploadResponse:
        """Take one content in chunks; kept only when the client says it is finished."""
        async with _status_codes(context):
            header: pb.UploadHeader | None = None
            async for request in request_iterator:
                part = request.WhichOneof("part")
                if header is None:
                    if part != "header":
                        raise InvalidRequestError("an upload starts with its header")
                    header = request.header
                    if header.digest in self._store:
                        return pb.UploadResponse(committed=header.size)
                elif part == "chunk":
                    self._append(header, request.chunk)
                elif part == "finish":
                    await asyncio.to_thread(self._store.finish, header.digest, header.size)
                    return pb.UploadResponse(committed=header.size)
                else:
                    raise InvalidRequestError(f"an upload has no {part or 'empty part'} here")
            raise BrokenUploadError("the upload broke off before its finish")

    def _append(self, header: pb.UploadHeader, chunk: pb.Chunk) -> None:
        committed = self._store.committed(header.digest)
        codec.check_chunk(chunk, committed)
        if committed + len(chunk.data) > header.size:
            raise InvalidRequestError(f"more than the {header.size} bytes the header promised")
        self._store.append(header.digest, chunk.data)

    async def Download(
        self, request: pb.DownloadRequest, context: Context
    ) -> AsyncIterator[pb.Chunk]:
        """Send one content in chunks, from an offset on."""
        async with _status_codes(context):
            content = await asyncio.to_thread(self._store.read, request.digest)
        for chunk in codec.chunks(content, request.offset):
            yield chunk


class InpaintService(inpaint_pb2_grpc.InpaintServicer):
    """Jobs: submit, watch, cancel."""

    def __init__(self, scheduler: Scheduler, abandoned_seconds: float) -> None:
        self._scheduler = scheduler
        self._abandoned_seconds = abandoned_seconds

    async def Submit(self, request: pb.SubmitRequest, context: Context) -> pb.SubmitResponse:
        """Queue a job."""
        async with _status_codes(context):
            self._scheduler.submit(request)
            return pb.SubmitResponse()

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.JobEvent]:
        """Tell what happens to a job; one that nobody watches any more is cancelled in time."""
        async with _status_codes(context):
            job = self._scheduler.job(request.job_id)
        job.watchers += 1
        try:
            async for event in job.watch(request.first_event):
                yield event
        finally:
            job.watchers -= 1

            def abandon() -> None:
                if job.watchers == 0 and not job.ended:
                    self._scheduler.cancel(job)

            asyncio.get_running_loop().call_later(self._abandoned_seconds, abandon)

    async def Cancel(self, request: pb.CancelRequest, context: Context) -> pb.CancelResponse:
        """Stop a job within one window."""
        async with _status_codes(context):
            self._scheduler.cancel(self._scheduler.job(request.job_id))
            return pb.CancelResponse()
