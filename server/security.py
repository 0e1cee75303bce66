"""Who may call: TLS, mutual TLS, bearer tokens, and the administrator's own."""

import datetime
import hmac
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from server.config import SecurityConfig
from server.errors import ForeignJobError, StartError
from server.jobs import Job
from server.metrics import Metrics
from server.protocol.channel import can_be_sent

logger = logging.getLogger(__name__)

Metadata: TypeAlias = Iterable[tuple[str, str | bytes]]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

OPEN = ("/grpc.health.v1.Health/",)
"""Services that answer anybody: load balancers have no tokens."""
ADMIN = ("/sttn.inpaint.v1.Admin/",)
SHORTEST_TOKEN = 16
"""Characters; shorter ones can be guessed."""


class Tokens:
    """A file of lines NAME TOKEN, read again whenever it changes."""

    def __init__(self, path: Path) -> None:
        """Read it.

        Raises:
            StartError: unreadable, not UTF-8, open to everybody, empty, or a token that is too
                short or cannot be sent.
        """
        self._path = path
        self._owners: dict[bytes, str] = {}
        self._seen = _stamps(path)
        try:
            self._read()
        except OSError as error:
            raise StartError(f"cannot read the tokens in {path}: {error.strerror}") from None

    def owner(self, metadata: Metadata) -> str | None:
        """Whose token a call shows; None for none or a wrong one."""
        self._read_if_changed()
        shown = [value for key, value in metadata if key == "authorization"]
        text = shown[0].encode() if shown and isinstance(shown[0], str) else b""
        given = text.removeprefix(b"Bearer ")
        found = None
        for token, owner in self._owners.items():  # every one, so that time tells nothing
            if hmac.compare_digest(token, given):
                found = owner
        return found

    def _read_if_changed(self) -> None:
        stamps = _stamps(self._path)
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self._read()
        except (OSError, StartError) as error:
            # A file that is being replaced: those that were good stay good.
            logger.error("tokens stay as they were: %s", error)

    def _read(self) -> None:
        if self._path.stat().st_mode & 0o007:
            raise StartError(f"everybody can read the tokens in {self._path}; chmod 600 it")
        try:
            lines = self._path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise StartError(
                f"the tokens in {self._path} are no UTF-8 text; save it as such"
            ) from None
        owners = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            name, _, token = line.partition(" ")
            token = token.strip()
            if len(token) < SHORTEST_TOKEN or not can_be_sent(token):
                raise StartError(
                    f"{self._path}, line {number}: write NAME TOKEN, with a token of at least "
                    f"{SHORTEST_TOKEN} characters, all of them ASCII"
                )
            owners[token.encode()] = name
        if not owners:
            raise StartError(f"no tokens in {self._path}; write lines NAME TOKEN")
        self._owners = owners


class Gate(grpc.aio.ServerInterceptor):
    """Lets calls through that show the right token, where one is asked for."""

    def __init__(self, config: SecurityConfig, metrics: Metrics) -> None:
        """Read the tokens.

        Args:
            config: Where they are.
            metrics: Told of refusals.

        Raises:
            StartError: they cannot be used.
        """
        self._metrics = metrics
        self._tokens = Tokens(config.tokens) if config.tokens is not None else None
        self._admins = Tokens(config.admin_tokens) if config.admin_tokens is not None else None

    async def intercept_service(
        self,
        continuation: "Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]",
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "Handler | None":
        """The handler of a call, or one that refuses it."""
        handler = await continuation(handler_call_details)
        metadata = handler_call_details.invocation_metadata or ()
        refusal = self._refusal(handler_call_details.method, metadata)
        if refusal is None or handler is None:
            return handler
        self._metrics.refused.labels(code=refusal[0].name).inc()
        return _refusing(handler, *refusal)

    def owner(self, claimed: str, context: Context) -> str:
        """Whose turn a job takes: the token's owner, the certificate's, or the name given."""
        return self.caller(context) or claimed[:100] or context.peer()

    def require_own(self, job: Job, context: Context) -> str:
        """Make sure that a call may end a job: its owner's, and the administrator's.

        Where nobody shows who they are, everybody may.

        Returns:
            Whose call it is; empty where nobody shows it.

        Raises:
            ForeignJobError: it is neither's.
        """
        caller = self.caller(context)
        if caller in ("", job.owner) or self._administrator(_metadata(context)) is not None:
            return caller
        raise ForeignJobError(
            f"job {job.job_id[:80]!r} belongs to {job.owner}, who may cancel it, as may the "
            "administrator"
        )

    def caller(self, context: Context) -> str:
        """Whose token or certificate is shown; empty where neither is asked for."""
        metadata = _metadata(context)
        if self._tokens is not None and (name := self._tokens.owner(metadata)) is not None:
            return f"token {name}"
        if (name := self._administrator(metadata)) is not None:
            return f"administrator {name}"
        for common_name in context.auth_context().get("x509_common_name", ()):
            return f"certificate {common_name.decode(errors='replace')}"
        return ""

    def _administrator(self, metadata: Metadata) -> str | None:
        return None if self._admins is None else self._admins.owner(metadata)

    def _refusal(self, method: str, metadata: Metadata) -> tuple[grpc.StatusCode, str] | None:
        if method.startswith(OPEN):
            return None
        if method.startswith(ADMIN):
            if self._admins is None:
                return (
                    grpc.StatusCode.PERMISSION_DENIED,
                    "this server has no administrator; start it with --security.admin-tokens",
                )
            if self._administrator(metadata) is None:
                return grpc.StatusCode.PERMISSION_DENIED, "not the administrator's token"
            return None
        if self._tokens is None or self._tokens.owner(metadata) is not None:
            return None
        if self._administrator(metadata) is None:
            return (
                grpc.StatusCode.UNAUTHENTICATED,
                "this server asks for a token: metadata 'authorization: Bearer TOKEN'",
            )
        return None


def _metadata(context: Context) -> Metadata:
    return context.invocation_metadata() or ()


def _refusing(handler: Handler, code: grpc.StatusCode, message: str) -> Handler:
    async def refuse(_request: object, context: Context) -> None:
        await context.abort(code, message)

    make = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }[handler.request_streaming, handler.response_streaming]
    return make(refuse)


def server_credentials(config: SecurityConfig) -> grpc.ServerCredentials | None:
    """TLS as configured; None without. Renewed files are taken up by new connections.

    Raises:
        StartError: a file cannot be used, or the certificate is out of date.
    """
    if config.certificate is None or config.key is None:
        return None
    require_valid(config.certificate)
    seen = [_stamps(*_files(config))]

    def renewed() -> grpc.ServerCertificateConfiguration | None:
        stamps = _stamps(*_files(config))
        if stamps == seen[0]:
            return None
        seen[0] = stamps
        try:
            return _certificates(config)
        except StartError as error:
            logger.error("certificates stay as they were: %s", error)
            return None

    return grpc.dynamic_ssl_server_credentials(
        _certificates(config),
        renewed,  # type: ignore[arg-type]  # None says that nothing is new
        require_client_authentication=config.client_authority is not None,
    )


def require_valid(certificate: Path) -> datetime.timedelta:
    """Time left until a certificate is out of date.

    Raises:
        StartError: not a certificate, not valid yet, or out of date.
    """
    from cryptography import x509  # not before it is needed: most servers listen on this machine

    try:
        read = x509.load_pem_x509_certificate(certificate.read_bytes())
    except OSError as error:
        raise StartError(f"cannot read {certificate}: {error.strerror}") from None
    except ValueError:
        raise StartError(f"{certificate} is not a PEM certificate") from None
    now = datetime.datetime.now(datetime.timezone.utc)
    if read.not_valid_after_utc < now:
        raise StartError(
            f"the certificate {certificate} expired on {read.not_valid_after_utc:%Y-%m-%d}; "
            "renew it"
        )
    if read.not_valid_before_utc > now:
        raise StartError(
            f"the certificate {certificate} is valid from {read.not_valid_before_utc:%Y-%m-%d} on"
        )
    return read.not_valid_after_utc - now


def _files(config: SecurityConfig) -> list[Path]:
    files = (config.certificate, config.key, config.client_authority)
    return [path for path in files if path is not None]


def _stamps(*paths: Path) -> list[tuple[int, ...] | None]:
    # What changes with a file, and with who may read it; so one that is broken is told of once.
    stamps: list[tuple[int, ...] | None] = []
    for path in paths:
        try:
            stat = path.stat()
            stamps.append((stat.st_mtime_ns, stat.st_ctime_ns, stat.st_mode))
        except OSError:
            stamps.append(None)
    return stamps


def _certificates(config: SecurityConfig) -> grpc.ServerCertificateConfiguration:
    try:
        chain, key, *authority = [path.read_bytes() for path in _files(config)]
    except OSError as error:
        raise StartError(f"cannot read {error.filename}: {error.strerror}") from None
    _require_fitting(config)
    return grpc.ssl_server_certificate_configuration(
        [(key, chain)], root_certificates=authority[0] if authority else None
    )


def _require_fitting(config: SecurityConfig) -> None:
    # gRPC says nothing of what is wrong with them, and of an authority not even that something is.
    certificate, key, *authority = _files(config)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")  # how weak a key may be is up to gRPC
    try:
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError:
        raise StartError(
            f"{key} is not the private key (PEM, without a password) of {certificate}"
        ) from None
    for path in authority:
        try:
            context.load_verify_locations(path)
        except ssl.SSLError:
            raise StartError(f"{path} holds no PEM certificate") from None
