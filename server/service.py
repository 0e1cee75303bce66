"""The RPCs of inpaint.proto, each carried out by the store or the scheduler."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import grpc

from server.errors import InvalidRequestError, status_code
from server.plates import PlateStore
from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb
from server.scheduler import Scheduler

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class _RefusalError(Exception):
    """A status on its way to the client."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code, self.details = code, details


@contextmanager
def _status_codes() -> Iterator[None]:
    """Turn an error raised on purpose inside the block into a refusal; bugs pass through."""
    try:
        yield
    except Exception as error:
        code = status_code(error)
        if code is None:
            raise
        raise _RefusalError(code, str(error)) from error


class PlatesService(inpaint_pb2_grpc.PlatesServicer):
    """Contents in and out."""

    def __init__(self, store: PlateStore) -> None:
        self._store = store

    async def FindMissing(
        self, request: pb.FindMissingRequest, context: Context
    ) -> pb.FindMissingResponse:
        """Name the contents that have to be sent, and from which byte on."""
        try:
            with _status_codes():
                return pb.FindMissingResponse(
                    missing=[
                        pb.FindMissingResponse.Missing(
                            digest=name, committed=self._store.committed(name)
                        )
                        for name in dict.fromkeys(request.digests)
                        if name not in self._store
                    ]
                )
        except _RefusalError as refusal:
            await context.abort(refusal.code, refusal.details)

    async def Upload(
        self, request_iterator: AsyncIterator[pb.UploadRequest], context: Context
    ) -> pb.UploadResponse:
        """Take one content in chunks; kept only when the client says it is finished."""
        try:
            header: pb.UploadHeader | None = None
            async for request in request_iterator:
                with _status_codes():
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
            raise _RefusalError(grpc.StatusCode.DATA_LOSS, "the upload broke off before its finish")
        except _RefusalError as refusal:
            await context.abort(refusal.code, refusal.details)

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
        try:
            with _status_codes():
                content = await asyncio.to_thread(self._store.read, request.digest)
            for chunk in codec.chunks(content, request.offset):
                yield chunk
        except _RefusalError as refusal:
            await context.abort(refusal.code, refusal.details)


class InpaintService(inpaint_pb2_grpc.InpaintServicer):
    """Jobs: submit, watch, cancel."""

    def __init__(self, scheduler: Scheduler, abandoned_seconds: float) -> None:
        self._scheduler = scheduler
        self._abandoned_seconds = abandoned_seconds

    async def Submit(self, request: pb.SubmitRequest, context: Context) -> pb.SubmitResponse:
        """Queue a job."""
        try:
            with _status_codes():
                self._scheduler.submit(request)
                return pb.SubmitResponse()
        except _RefusalError as refusal:
            await context.abort(refusal.code, refusal.details)

    async def Watch(self, request: pb.WatchRequest, context: Context) -> AsyncIterator[pb.JobEvent]:
        """Tell what happens to a job; one that nobody watches any more is cancelled in time."""
        try:
            with _status_codes():
                job = self._scheduler.job(request.job_id)
        except _RefusalError as refusal:
            await context.abort(refusal.code, refusal.details)
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
        try:
            with _status_codes():
                self._scheduler.cancel(self._scheduler.job(request.job_id))
                return pb.CancelResponse()
        except _RefusalError as refusal:
            await context.abort(refusal.code, refusal.details)
