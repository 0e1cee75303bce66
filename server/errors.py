"""Errors raised on purpose by the server, and the one table that makes status codes of them.

::

    ServerError
    +-- InvalidRequestError   the request contradicts itself or the contract
    +-- BrokenUploadError     the stream ended before its finish
    +-- UnknownDigestError    no such content here
    +-- UnknownJobError       no such job here
    +-- StoreFullError        no room for more plates
    +-- ServerBusyError       the queue is full
"""

import grpc

from server.protocol.codec import CodecError
from sttn.errors import InvalidClipError, OutOfMemoryError, SttnError


class ServerError(Exception):
    """Base of every error the server raises on purpose."""


class InvalidRequestError(ServerError, ValueError):
    """The request contradicts itself or the contract."""


class BrokenUploadError(ServerError):
    """The stream ended before its finish; what arrived is kept."""


class UnknownDigestError(ServerError, KeyError):
    """No such content here; upload it first."""

    __str__ = Exception.__str__  # KeyError would quote the message


class UnknownJobError(ServerError, KeyError):
    """No such job here; it was never submitted, or long ago."""

    __str__ = Exception.__str__


class StoreFullError(ServerError):
    """No room for more plates, even after evicting what no job needs."""


class ServerBusyError(ServerError):
    """The queue is full; come back later."""


STATUS_CODES: dict[type[Exception], grpc.StatusCode] = {
    InvalidRequestError: grpc.StatusCode.INVALID_ARGUMENT,
    CodecError: grpc.StatusCode.INVALID_ARGUMENT,
    InvalidClipError: grpc.StatusCode.INVALID_ARGUMENT,
    BrokenUploadError: grpc.StatusCode.DATA_LOSS,
    UnknownDigestError: grpc.StatusCode.NOT_FOUND,
    UnknownJobError: grpc.StatusCode.NOT_FOUND,
    StoreFullError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ServerBusyError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    OutOfMemoryError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    SttnError: grpc.StatusCode.INTERNAL,
}


def status_code(error: Exception) -> grpc.StatusCode | None:
    """The status an error raised on purpose becomes; None for a bug."""
    for kind, code in STATUS_CODES.items():
        if isinstance(error, kind):
            return code
    return None
