"""Pixels handed over in memory, to and from a server on this machine (Linux memfd)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from mmap import PROT_READ, mmap
from typing import Any

import grpc

from node.connection import ANSWER_SECONDS, Cancelled, Connection
from server.protocol import inpaint_pb2 as pb
from server.protocol.chunks import Content

NAME = "sttn-plate"
"""How memory is called; a server opens none that is not called sttn-*."""

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
        self._spare: list[int] = []

    def sent(self, name: str, content: Content, cancelled: Cancelled) -> bool:
        """Have the server read a content; False where it has to be uploaded.

        Raises:
            CancelledError: ``cancelled`` answered True.
        """
        if not self._shared:
            return False
        with self._lent() as memory:
            with open(memory, "r+b", buffering=0, closefd=False) as file:
                file.seek(0)
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
        memory = os.memfd_create(NAME)
        try:
            os.ftruncate(memory, image.size)
            request = pb.GiveRequest(digest=image.digest, process=os.getpid(), descriptor=memory)
            written = self._answered(self._server.plates.Give, request, cancelled)
            return mmap(memory, image.size, prot=PROT_READ) if written else None
        finally:
            os.close(memory)

    def free(self) -> None:
        """Give back what was kept to send in."""
        with suppress(IndexError):
            while True:
                os.close(self._spare.pop())

    @contextmanager
    def _lent(self) -> Iterator[int]:
        # One that frames were sent in before has its pages already; getting and clearing them took
        # as long as writing. The server has read it by the end of the block.
        try:
            memory = self._spare.pop()
        except IndexError:
            memory = os.memfd_create(NAME)
        try:
            yield memory
        except BaseException:
            os.close(memory)
            raise
        self._spare.append(memory)

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
