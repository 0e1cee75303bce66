"""Errors an artist sees; each message names the thing, the value and the way out.

::

    NodeError
    +-- HostError               the host lacks something the node cannot do without, or names a
    |                           server or credentials that cannot be used
    +-- ClipError               plate or matte cannot be used
    +-- ColorError              a color space is unknown or cannot be converted
    +-- ServerUnreachableError  nothing answers at the address
    +-- ServerLostError         the server went away in the middle of a job
    +-- JobError                the server refused or failed the job
    +-- CancelledError          the artist asked to stop
"""

import grpc


class NodeError(Exception):
    """Base of every error the node raises on purpose."""


class HostError(NodeError):
    """The host lacks something the node cannot do without, or names what cannot be used."""


class ClipError(NodeError, ValueError):
    """Plate or matte cannot be used as they are."""


class ColorError(NodeError, ValueError):
    """A color space is unknown or cannot be converted."""


class ServerUnreachableError(NodeError, ConnectionError):
    """Nothing answers at the address."""


class ServerLostError(NodeError, ConnectionError):
    """The server went away in the middle of a job."""


class JobError(NodeError):
    """The server refused the job or failed at it."""


class CancelledError(NodeError):
    """The artist asked to stop."""


_LOST = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
    }
)
"""Statuses of a connection that broke, rather than of a request that was refused."""


def node_error(error: grpc.RpcError, address: str) -> NodeError:
    """What a failed call means to the artist."""
    code, details = error.code(), error.details()
    if code in _LOST:
        return ServerLostError(f"the server at {address} went away ({details})")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return JobError(f"the server at {address} is busy: {details}")
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return JobError(
            f"the server at {address} wants to know who calls: {details}; name a file that holds "
            "your token in STTN_TOKEN_FILE"
        )
    return JobError(f"the server at {address} refused: {details} ({code.name})")
