"""Errors raised on purpose by the server, and the one table that makes status codes of them.

::

    ServerError
    +-- InvalidRequestError   the request contradicts itself or the contract
    +-- BrokenUploadError     the stream ended before its finish
    +-- UploadConflictError   somebody else is sending the same content
    +-- SpoiledUploadError    what an earlier upload left was not of this content
    +-- OutOfRangeError       beyond the end of a content
    +-- UnknownDigestError    no such content here
    +-- UnknownJobError       no such job here
    +-- ModelError            no such model, or one that cannot be loaded or let go
    +-- RefusedError          not with this server's settings
    +-- ForeignJobError       the job is another owner's
    +-- StoreFullError        no room for more plates
    +-- ServerBusyError       a limit is reached that time will free
    +-- DrainingError         the server is about to stop
    +-- ProcessDiedError      the model process died, again and again
    +-- StartError            the server cannot start
"""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from server.protocol.codec import CodecError, OffsetError
from sttn.errors import InvalidClipError, OutOfMemoryError, SttnError

ROOM_SECONDS = 5.0
"""When a client is told to come back while the store is full of what jobs and uploads need, or its
disk refuses."""


class ServerError(Exception):
    """Base of every error the server raises on purpose."""

    retry_seconds: float | None = None
    """When to come back; None where that would not help."""


class InvalidRequestError(ServerError, ValueError):
    """The request contradicts itself or the contract."""


class BrokenUploadError(ServerError):
    """The stream ended before its finish; what arrived is kept."""


class UploadConflictError(ServerError):
    """Somebody else is sending the same content."""


class SpoiledUploadError(ServerError):
    """What an earlier upload left was not of this content; it is forgotten, send all of it."""


class OutOfRangeError(ServerError):
    """Beyond the end of a content."""


class UnknownDigestError(ServerError, KeyError):
    """No such content here; upload it first."""

    __str__ = Exception.__str__  # KeyError would quote the message


class UnknownJobError(ServerError, KeyError):
    """No such job here; it was never submitted, or long ago."""

    __str__ = Exception.__str__


class ModelError(ServerError, LookupError):
    """No such model here, or one that cannot be loaded."""


class RefusedError(ServerError):
    """Not with this server's settings, or not in its present state."""


class ForeignJobError(ServerError):
    """The job is another owner's, and no administrator asks."""


class StoreFullError(ServerError):
    """No room for more plates, even after evicting what no job needs.

    Args:
        message: What does not fit.
        retry_seconds: When to come back, where jobs and uploads that end make room.
    """

    def __init__(self, message: str, retry_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


@contextmanager
def disk_errors(failing: str) -> Iterator[None]:
    """What the disk refuses inside the block is told without a path of ours, and may pass.

    Args:
        failing: What the server does to its store: ``cannot write to``, ``cannot read``.

    Raises:
        StoreFullError: an OSError was raised.
    """
    try:
        yield
    except OSError as error:
        message = f"the server {failing} its store: {error.strerror}"
        raise StoreFullError(message, ROOM_SECONDS) from error


class ServerBusyError(ServerError):
    """A limit is reached; come back later.

    Args:
        message: Which limit, and its value.
        retry_seconds: When to come back.
    """

    def __init__(self, message: str, retry_seconds: float) -> None:
        super().__init__(f"{message}; try again in {retry_seconds:.0f} s")
        self.retry_seconds = retry_seconds


class DrainingError(ServerError):
    """The server is about to stop and takes no more work."""


class ProcessDiedError(ServerError):
    """The model process died of this job, again and again."""


class StartError(ServerError):
    """The server cannot start; the message says why."""


STATUS_CODES: dict[type[Exception], grpc.StatusCode] = {
    OffsetError: grpc.StatusCode.ABORTED,
    UploadConflictError: grpc.StatusCode.ABORTED,
    SpoiledUploadError: grpc.StatusCode.ABORTED,
    OutOfRangeError: grpc.StatusCode.OUT_OF_RANGE,
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    CodecError: grpc.StatusCode.INVALID_ARGUMENT,
    InvalidClipError: grpc.StatusCode.INVALID_ARGUMENT,
    BrokenUploadError: grpc.StatusCode.DATA_LOSS,
    UnknownDigestError: grpc.StatusCode.NOT_FOUND,
    UnknownJobError: grpc.StatusCode.NOT_FOUND,
    ModelError: grpc.StatusCode.FAILED_PRECONDITION,
    RefusedError: grpc.StatusCode.FAILED_PRECONDITION,
    ForeignJobError: grpc.StatusCode.PERMISSION_DENIED,
    StoreFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ServerBusyError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    OutOfMemoryError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DrainingError: grpc.StatusCode.UNAVAILABLE,
    ProcessDiedError: grpc.StatusCode.INTERNAL,
    SttnError: grpc.StatusCode.INTERNAL,
}


def status_code(error: Exception) -> grpc.StatusCode | None:
    """The status an error raised on purpose becomes; None for a bug."""
    for kind, code in STATUS_CODES.items():
        if isinstance(error, kind):
            return code
    return None
