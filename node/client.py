"""Talks to the server: sends what it lacks, submits, hands back frames as they are done.

with InpaintClient("localhost:50071") as client:
    frames = [client.send(plate, mask) for plate, mask in clip]
    for index, completed in client.complete(frames):
        ...
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeVar

import grpc
import numpy as np
from numpy.typing import NDArray

from node.errors import (
    LOST,
    CancelledError,
    JobError,
    ServerLostError,
    ServerUnreachableError,
    node_error,
)
from server.protocol import codec, inpaint_pb2_grpc
from server.protocol import inpaint_pb2 as pb

TRIES = 4
"""Times a call is made before a broken connection counts as lost."""

_Result = TypeVar("_Result")


class InpaintClient:
    """One connection to one server; a context manager."""

    def __init__(self, address: str, connect_seconds: float = 10.0) -> None:
        """Connect.

        Args:
            address: HOST:PORT or unix:/PATH.
            connect_seconds: How long to wait for an answer.

        Raises:
            ServerUnreachableError: nothing answers in that time.
        """
        self.address = address
        self._channel = grpc.insecure_channel(address)
        try:
            grpc.channel_ready_future(self._channel).result(timeout=connect_seconds)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise ServerUnreachableError(
                f"no server answers at {address} within {connect_seconds:g} s; start one with "
                f"'sttn-server --address {address}', or name no server to have one started"
            ) from None
        self._plates = inpaint_pb2_grpc.PlatesStub(self._channel)
        self._inpaint = inpaint_pb2_grpc.InpaintStub(self._channel)

    def __enter__(self) -> "InpaintClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._channel.close()

    def send(self, plate: NDArray[Any], mask: NDArray[np.bool_]) -> pb.ClipFrame:
        """Send one frame; only what the server does not hold already.

        Args:
            plate: (H, W, 3) float16 or float32, working space in [0, 1].
            mask: (H, W), True inside the hole.

        Returns:
            What :meth:`complete` takes.

        Raises:
            ServerLostError: the connection broke and did not come back.
            JobError: the server refused.
        """
        sent = codec.encode_image(plate, ("R", "G", "B"))
        hole = codec.encode_image(mask.astype(np.uint8)[..., np.newaxis], ("A",))
        contents = {image.digest: content for image, content in (sent, hole)}
        self._retrying(lambda: self._upload_missing(contents))
        return pb.ClipFrame(plate=sent[0], mask=hole[0])

    def complete(
        self,
        frames: list[pb.ClipFrame],
        *,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Have a clip completed.

        Leaving the iterator early cancels the job on the server.

        Args:
            frames: What :meth:`send` returned, in order.
            cancelled: Asked whenever the server says something.

        Yields:
            Index and completed frame (H, W, 3), in order, as soon as each is done.

        Raises:
            ServerLostError: the connection broke and did not come back.
            JobError: the server refused or failed the job.
            CancelledError: ``cancelled`` answered True.
        """
        request = pb.SubmitRequest(job_id=uuid.uuid4().hex, frames=frames)
        self._retrying(lambda: self._inpaint.Submit(request))
        ended = False
        try:
            for event in self._events(request.job_id):
                if cancelled():
                    raise CancelledError("cancelled")
                kind = event.WhichOneof("event")
                if kind == "frame_ready":
                    yield event.frame_ready.index, self._download(event.frame_ready.image)
                elif kind == "finished":
                    ended = True
                    _require_completed(event.finished)
        finally:
            if not ended:
                self._cancel(request.job_id)

    def _events(self, job_id: str) -> Iterator[pb.JobEvent]:
        # A stream that breaks is taken up again where it stopped.
        following, failures = 0, 0
        while True:
            try:
                for event in self._inpaint.Watch(
                    pb.WatchRequest(job_id=job_id, first_event=following)
                ):
                    following, failures = event.number + 1, 0
                    yield event
                    if event.WhichOneof("event") == "finished":
                        return
                raise ServerLostError(f"the server at {self.address} closed the job early")
            except grpc.RpcError as error:
                failures += 1
                self._require_retry(error, failures)

    def _upload_missing(self, contents: dict[str, bytes]) -> None:
        answer = self._plates.FindMissing(pb.FindMissingRequest(digests=list(contents)))
        for missing in answer.missing:
            self._plates.Upload(
                _upload_requests(missing.digest, contents[missing.digest], missing.committed)
            )

    def _download(self, image: pb.Image) -> NDArray[Any]:
        content = bytearray()

        def rest() -> None:
            request = pb.DownloadRequest(digest=image.digest, offset=len(content))
            for chunk in self._plates.Download(request):
                codec.check_chunk(chunk, len(content))
                content.extend(chunk.data)

        self._retrying(rest)
        return codec.decode_image(image, bytes(content))

    def _cancel(self, job_id: str) -> None:
        # A server that is gone already took its jobs with it.
        with contextlib.suppress(grpc.RpcError):
            self._inpaint.Cancel(pb.CancelRequest(job_id=job_id), timeout=2)

    def _retrying(self, call: Callable[[], _Result]) -> _Result:
        failures = 0
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                failures += 1
                self._require_retry(error, failures)

    def _require_retry(self, error: grpc.RpcError, failures: int) -> None:
        if error.code() not in LOST or failures >= TRIES:
            raise node_error(error, self.address) from error
        time.sleep(0.1 * 2**failures)


def _upload_requests(name: str, content: bytes, committed: int) -> Iterator[pb.UploadRequest]:
    yield pb.UploadRequest(header=pb.UploadHeader(digest=name, size=len(content)))
    for chunk in codec.chunks(content, committed):
        yield pb.UploadRequest(chunk=chunk)
    yield pb.UploadRequest(finish=pb.UploadFinish())


def _require_completed(finished: pb.Finished) -> None:
    if finished.outcome == pb.Finished.CANCELLED:
        raise CancelledError(f"the server cancelled the job: {finished.message}")
    if finished.outcome != pb.Finished.COMPLETED:
        raise JobError(f"the server failed: {finished.message}")
