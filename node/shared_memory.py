"""Pixels handed over in memory, to and from a server on this machine (Linux memfd)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import PROT_READ, mmap
from typing import Any

import grpc

from node.connection import ANSWER_SECONDS, Cancelled, Connection
from server.protocol import inpaint_pb2 as pb

_NOT_SHARED = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
)


class SharedMemory:
    """Tried until the server says no: one elsewhere, or one that does not allow it.

    Args:
        server: The connection.
        wanted: Whether to try at all.
    """

    def __init__(self, server: Connection, wanted: bool) -> None:
        self._server = server
        self._shared = wanted and hasattr(os, "memfd_create")

    def sent(self, name: str, content: bytes, cancelled: Cancelled) -> bool:
        """Have the server read a content; False where it has to be uploaded.

        Raises:
            CancelledError: ``cancelled`` answered True.
        """
        if not self._shared:
            return False
        with _memory(len(content)) as memory:
            with open(memory, "wb", buffering=0, closefd=False) as file:
                file.write(content)
            request = pb.TakeRequest(
                digest=name, size=len(content), process=os.getpid(), descriptor=memory
            )
            return self._answered(self._server.plates.Take, request, cancelled)

    def fetched(self, image: pb.Image, cancelled: Cancelled) -> mmap | None:
        """A content that the server wrote; None where it has to be downloaded.

        Raises:
            CancelledError: ``cancelled`` answered True.
        """
        if not self._shared or not image.size:
            return None
        with _memory(image.size) as memory:
            request = pb.GiveRequest(digest=image.digest, process=os.getpid(), descriptor=memory)
            written = self._answered(self._server.plates.Give, request, cancelled)
            return mmap(memory, image.size, prot=PROT_READ) if written else None

    def _answered(
        self,
        call: "grpc.UnaryUnaryMultiCallable[Any, Any]",
        request: pb.TakeRequest | pb.GiveRequest,
        cancelled: Cancelled,
    ) -> bool:
        try:
            self._server.wait(call.future(request, timeout=ANSWER_SECONDS), cancelled)
        except grpc.RpcError as error:
            if error.code() not in _NOT_SHARED:
                raise
            self._shared = False
        return self._shared


@contextmanager
def _memory(size: int) -> Iterator[int]:
    memory = os.memfd_create("sttn-plate")
    try:
        os.ftruncate(memory, size)
        yield memory
    finally:
        os.close(memory)
