"""How a client reaches a server and shows who it is. Used by nodes and by the operator."""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import grpc

KEEPALIVE_SECONDS = 20.0
"""A silent server is asked after this time, and given up after as much again."""

RETRY_AFTER = "retry-after-seconds"
"""Trailing metadata of a refusal that time will lift."""

WATCHING = "watching"
"""Initial metadata of a watch that began: the job may have nothing to tell for long."""


def channel_options() -> list[tuple[str, int]]:
    """GRPC's settings on the client's side that have to differ from its defaults."""
    silence = int(KEEPALIVE_SECONDS * 1000)
    return [
        ("grpc.keepalive_time_ms", silence),
        ("grpc.keepalive_timeout_ms", silence),
        ("grpc.http2.ping_timeout_ms", silence),
        # A job that waits sends no data; after two pings without any, only one a minute would go.
        ("grpc.http2.max_pings_without_data", 0),
        # Channels would share a connection that one of them has seen broken.
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_reconnect_backoff_ms", 2000),
    ]


_Call: TypeAlias = Any
_GoOn: TypeAlias = Callable[[Any, Any], _Call]


@dataclass(frozen=True, kw_only=True)
class Access:
    """What a client shows, and whom it believes."""

    authority: Path | None = None
    """Connect by TLS, and believe servers whose certificate this authority signed (PEM)."""
    certificate: Path | None = None
    """The client's own certificate (PEM), for servers that ask for one."""
    key: Path | None = None
    """Private key of the certificate (PEM)."""
    token_file: Path | None = None
    """File that holds the token, and nothing else."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Access":
        """What STTN_AUTHORITY, STTN_CERTIFICATE, STTN_KEY and STTN_TOKEN_FILE name."""
        paths = {
            name: Path(value)
            for name in ("authority", "certificate", "key", "token_file")
            if (value := environment.get(f"STTN_{name.upper()}"))
        }
        return cls(**paths)


def require_address(address: str) -> None:
    """Make sure that a text is an address; gRPC would take a port that nobody gave.

    Raises:
        ValueError: neither HOST:PORT nor unix:/PATH.
    """
    if re.fullmatch(r"unix(-abstract)?:.+", address):
        return
    place = re.sub(r"^(https?|grpcs?)://|/$|:$", "", address)
    host, _, port = place.rpartition(":")
    if not port.isdecimal():
        raise ValueError(
            f"server {address!r} has no port; write {host or port}:50071, or unix:/PATH"
        )
    if not 0 < int(port) < 2**16:  # gRPC takes what is left of it in 16 bits
        raise ValueError(f"server {address!r} has a port out of 1..{2**16 - 1}")
    if place != address:
        raise ValueError(f"server {address!r} is no address; write {place}, or unix:/PATH")


def is_local(address: str) -> bool:
    """Whether what is sent to an address stays on this machine.

    Args:
        address: HOST:PORT or unix:/PATH.
    """
    if address.startswith(("unix:", "unix-abstract:")):
        return True
    host = address.rpartition(":")[0].strip("[]").lower()
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_channel(address: str, access: Access) -> grpc.Channel:
    """A connection, made when it is first used.

    Args:
        address: HOST:PORT or unix:/PATH.
        access: What is shown, and whom it believes.

    Raises:
        OSError: a file cannot be read.
        ValueError: no such address, no token in its file, or it would travel in the clear.
    """
    require_address(address)
    if access.token_file is not None and access.authority is None and not is_local(address):
        raise ValueError(
            f"the token in {access.token_file} would go to {address} in the clear; name the "
            "certificate authority in STTN_AUTHORITY, so that TLS hides it"
        )
    token = None if access.token_file is None else _read_token(access.token_file)
    if access.authority is None:
        channel = grpc.insecure_channel(address, options=channel_options())
    else:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=access.authority.read_bytes(),
            private_key=access.key.read_bytes() if access.key else None,
            certificate_chain=access.certificate.read_bytes() if access.certificate else None,
        )
        channel = grpc.secure_channel(address, credentials, options=channel_options())
    return channel if token is None else grpc.intercept_channel(channel, _Token(token))


def can_be_sent(token: str) -> bool:
    """Whether a token can travel in metadata, which takes one line of ASCII."""
    return token.isascii() and token.isprintable()


def _read_token(path: Path) -> str:
    # Windows' editors begin a text with a mark of its encoding, which is none of the token's.
    try:
        token = path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        token = "\0"
    if not token or not can_be_sent(token):
        raise ValueError(f"{path} must hold a token and nothing else: one line of ASCII")
    return token


class _Details(NamedTuple):
    """What gRPC wants to know of a call, with our metadata in it."""

    method: str
    timeout: float | None
    metadata: list[tuple[str, str | bytes]]
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _Token(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
):
    """Shows a token with every call, over TLS or on this machine."""

    def __init__(self, token: str) -> None:
        self._shown = ("authorization", f"Bearer {token}")

    def _call(self, go_on: _GoOn, details: grpc.ClientCallDetails, request: object) -> _Call:
        return go_on(
            _Details(
                details.method,
                details.timeout,
                [*(details.metadata or ()), self._shown],
                details.credentials,
                details.wait_for_ready,
                details.compression,
            ),
            request,
        )

    def intercept_unary_unary(
        self, continuation: _GoOn, client_call_details: grpc.ClientCallDetails, request: object
    ) -> _Call:
        return self._call(continuation, client_call_details, request)

    def intercept_unary_stream(
        self, continuation: _GoOn, client_call_details: grpc.ClientCallDetails, request: object
    ) -> _Call:
        return self._call(continuation, client_call_details, request)

    def intercept_stream_unary(
        self,
        continuation: _GoOn,
        client_call_details: grpc.ClientCallDetails,
        request_iterator: object,
    ) -> _Call:
        return self._call(continuation, client_call_details, request_iterator)
