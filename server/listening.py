"""Where the server listens, and how it treats silent clients."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import grpc

from server.config import ServerConfig
from server.errors import StartError
from server.protocol import codec
from server.security import server_credentials


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
    path = Path(address.removeprefix("unix:")) if address.startswith("unix:") else None
    if path is not None and _answers(path):
        raise StartError(f"cannot listen on {address}: another server listens there")
    credentials = server_credentials(config.security)
    try:
        with _files_of_our_own() if config.private else nullcontext():
            if credentials is None:
                port = server.add_insecure_port(address)
            else:
                port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise StartError(
            f"cannot listen on {address}; it may be in use, or its folder missing"
        ) from error
    if path is None:
        return f"{address.rpartition(':')[0]}:{port}"
    return address


@contextmanager
def _files_of_our_own() -> Iterator[None]:
    # From their first moment: who connects to a socket before a chmod stays connected.
    before = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(before)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0
