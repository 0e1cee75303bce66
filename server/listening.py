"""Where the server listens, and how it treats silent clients."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from server.config import ServerConfig
from server.errors import StartError
from server.protocol import codec
from server.security import server_credentials

_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""Such as IPv6 on a machine that has none: what a name stands for besides is listened on."""


def server_options(config: ServerConfig) -> list[tuple[str, int]]:
    """GRPC's settings that have to differ from its defaults."""
    silence = int(config.limits.keepalive_seconds * 1000)
    return [
        ("grpc.so_reuseport", 0),  # a second server at the same port shall fail, not share
        ("grpc.keepalive_time_ms", silence),
        ("grpc.keepalive_timeout_ms", silence),
        # Without it a frozen client was noticed only after a minute.
        ("grpc.http2.ping_timeout_ms", silence),
        ("grpc.keepalive_permit_without_calls", 1),
        # By default a client whose job waits is sent away when it asks again within five minutes.
        ("grpc.http2.min_ping_interval_without_data_ms", min(5000, silence // 4)),
        ("grpc.http2.max_pings_without_data", 0),
        # What a client may send ahead: windows that grow by themselves took 7 MiB each.
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", 2 * codec.CHUNK_BYTES),
    ]


def listen(server: grpc.aio.Server, config: ServerConfig) -> str:
    """Take the address; the answer is where clients reach it.

    Raises:
        StartError: it is taken, or cannot be, or the certificate cannot be used.
    """
    address = config.address
    require_free(address)
    credentials = server_credentials(config.security)
    try:
        with _umask(0o177 if config.private else 0):
            if credentials is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise StartError(f"cannot listen on {address}; it may be in use") from error
    if address.startswith("unix:"):
        return address
    return f"{address.rpartition(':')[0]}:{port}"


def leave(address: str) -> None:
    """Remove the socket of a server that ends before it serves, as gRPC does of one that did."""
    if address.startswith("unix:"):
        Path(address.removeprefix("unix:")).unlink(missing_ok=True)


def require_free(address: str) -> None:
    """Make sure that nobody else listens: at any of what a name stands for, since gRPC is content
    with one of them, and clients might reach another program at the others.

    Args:
        address: HOST:PORT or unix:/PATH.

    Raises:
        StartError: somebody does, or nobody can.
    """
    try:
        if address.startswith("unix:"):
            _require_free_socket(Path(address.removeprefix("unix:")).absolute())
        else:
            _require_free_port(*address.rpartition(":")[::2])
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {error.strerror or error}") from None
    except UnicodeError:  # by the host's name
        raise StartError(f"cannot listen on {address}: no host is called so") from None


def _require_free_socket(path: Path) -> None:
    if not stat.S_ISDIR(path.parent.stat().st_mode):
        raise OSError(errno.ENOTDIR, f"{path.parent} is no folder")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, f"you may not write into {path.parent}")
    if path.exists() and not path.is_socket():
        raise OSError(errno.EEXIST, "what lies there is no socket")
    with socket.socket(socket.AF_UNIX) as probe:
        if probe.connect_ex(str(path)) == 0:
            raise OSError(errno.EADDRINUSE, "another server listens there")


def _require_free_port(host: str, port: str) -> None:
    # What gRPC takes localhost for, whatever the machine does.
    names = ("127.0.0.1", "::1") if host == "localhost" else (host.strip("[]") or None,)
    places = [
        (family, where)
        for name in names
        for family, _, _, _, where in socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    ]
    errors = [_binding_error(*place) for place in places]
    for error in errors:
        if error is not None and (error.errno not in _ABSENT or all(errors)):
            raise error


def _binding_error(family: int, where: tuple[object, ...]) -> OSError | None:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
    except OSError as error:
        return error
    return None


@contextmanager
def _umask(mask: int) -> Iterator[None]:
    # Who may connect to a socket, which takes the right to write it, is settled from its first
    # moment: who does so before a chmod stays connected.
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
