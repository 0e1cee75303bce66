"""One connection to one server: calls that are made again when it breaks."""

import getpass
import hashlib
import platform
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import grpc

from node.errors import CancelledError, HostError, ServerUnreachableError, node_error
from server.protocol import inpaint_pb2 as pb
from server.protocol import inpaint_pb2_grpc
from server.protocol.channel import RETRY_AFTER, WATCHING, Access, open_channel
from server.protocol.chunks import PlatesStub

POLL_SECONDS = 0.02
"""How often somebody who waits asks whether to stop."""
LONGEST_WAIT_SECONDS = 2.0
"""Between two tries."""
ANSWER_SECONDS = 30.0
"""How long a small call may take."""

PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.ABORTED,
    }
)
"""Statuses that may be gone at the next try."""
CUT = "RST_STREAM"
"""In what gRPC says of an INTERNAL error where a proxy lost its server in the middle of a call."""

_Result = TypeVar("_Result")
_Message = TypeVar("_Message", covariant=True)
Cancelled = Callable[[], bool]


def never() -> bool:
    """The answer of a caller that does not cancel."""
    return False


class Stream(Protocol[_Message]):
    """A call whose answers come one by one; gRPC has no public type for it."""

    def initial_metadata(self) -> Iterable[tuple[str, str | bytes]]:
        """What came before the first answer; waits for it."""

    def __iter__(self) -> Iterator[_Message]:
        """The answers."""

    def cancel(self) -> object:
        """Give it up."""


class Connection:
    """Stubs of the server's services, and how long to be patient with it."""

    def __init__(
        self, address: str, access: Access, connect_seconds: float, patience_seconds: float
    ) -> None:
        """Connect.

        Raises:
            HostError: the address is none, or what is shown cannot be used for it.
            ServerUnreachableError: nothing answers in that time.
            JobError: the server refuses this client.
        """
        self.address = address
        self.patience_seconds = patience_seconds
        try:
            self._channel = open_channel(address, access)
        except OSError as error:
            raise HostError(f"cannot read {error.filename}: {error.strerror}") from None
        except ValueError as error:
            raise HostError(str(error)) from None
        self._plates = PlatesStub(self._channel)
        self._inpaint = inpaint_pb2_grpc.InpaintStub(self._channel)
        self._closed = False
        self._connect(connect_seconds)

    @property
    def plates(self) -> PlatesStub:
        """Where pixels are sent and fetched.

        Raises:
            HostError: it is closed.
        """
        self._require_open()
        return self._plates

    @property
    def inpaint(self) -> inpaint_pb2_grpc.InpaintStub:
        """Where jobs are given and watched.

        Raises:
            HostError: it is closed.
        """
        self._require_open()
        return self._inpaint

    def close(self) -> None:
        """End it; calls that run are cancelled."""
        self._closed = True
        self._channel.close()

    def _require_open(self) -> None:
        if self._closed:
            raise HostError(
                f"the client of {self.address} is closed; use it inside its 'with', or make another"
            )

    def retrying(self, call: Callable[[], _Result], cancelled: Cancelled) -> _Result:
        """Make a call until it succeeds, is refused, or patience ends.

        Raises:
            NodeError: what the last failure means.
            CancelledError: ``cancelled`` answered True while waiting.
        """
        patience = Patience(self, cancelled)
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                patience.after(error)

    @staticmethod
    def wait(call: "grpc.Future[_Result]", cancelled: Cancelled) -> _Result:
        """The answer to a call made with ``future``; given up as soon as the artist cancels.

        Raises:
            CancelledError: ``cancelled`` answered True.
        """
        while True:
            if cancelled():
                call.cancel()
                raise CancelledError("cancelled")
            try:
                return call.result(timeout=POLL_SECONDS)
            except grpc.FutureTimeoutError:
                continue

    @staticmethod
    def messages(
        call: "Stream[_Message]",
        cancelled: Cancelled,
        begun: Callable[[], None] = lambda: None,
    ) -> Iterator[_Message]:
        """What the server streams; whoever stops to listen cancels the call.

        Args:
            call: Made already.
            cancelled: Asked often, also while nothing comes.
            begun: Told when the server says that it has begun, though it may be silent.

        Raises:
            CancelledError: ``cancelled`` answered True.
            grpc.RpcError: the stream broke.
            ValueError: the connection is closed.
        """
        heard: queue.Queue[_Message | Exception | None] = queue.Queue()

        def listen() -> None:
            try:
                # A call that never reached its server has metadata too: none.
                if any(key == WATCHING for key, _ in call.initial_metadata()):
                    begun()
                for message in call:
                    heard.put(message)
                heard.put(None)
            except Exception as error:
                heard.put(error)

        threading.Thread(target=listen, name="sttn-listen", daemon=True).start()
        try:
            while True:
                if cancelled():
                    raise CancelledError("cancelled")
                try:
                    message = heard.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    continue
                if message is None:
                    return
                if isinstance(message, Exception):
                    raise message
                yield message
        finally:
            call.cancel()

    def _connect(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            try:
                left = max(0.1, until - time.monotonic())
                self.plates.FindMissing(pb.FindMissingRequest(), timeout=left)
                return
            except grpc.RpcError as error:
                reason = error.details() or ""
                hopeless = "CERTIFICATE" in reason or time.monotonic() > until
                if hopeless or not _may_pass(error):
                    self.close()
                if not _may_pass(error):
                    raise node_error(error, self.address) from error
                if hopeless:
                    raise ServerUnreachableError(
                        f"no server answers at {self.address} within {seconds:g} s; start one with "
                        f"'sttn-server --address {self.address}', or name no server to have one "
                        f"started ({reason})"
                    ) from None
            time.sleep(0.1)


class Patience:
    """Waits longer after each failure in a row, until it ends; it begins with the first."""

    def __init__(self, connection: Connection, cancelled: Cancelled) -> None:
        self._connection = connection
        self._cancelled = cancelled
        self.renew()

    def renew(self) -> None:
        """Something succeeded."""
        self._wait = 0.1
        self._until: float | None = None

    def after(self, error: grpc.RpcError) -> None:
        """Wait, if another try may help.

        Raises:
            NodeError: what the failure means, where it may not.
            CancelledError: the artist cancelled meanwhile.
        """
        if self._until is None:
            self._until = time.monotonic() + self._connection.patience_seconds
        wait = self._wait
        asked = _asked_to_wait(error)
        if asked is not None:
            wait = asked
        elif not _may_pass(error):
            raise node_error(error, self._connection.address) from error
        if time.monotonic() + wait > self._until:
            raise node_error(error, self._connection.address) from error
        self._wait = min(LONGEST_WAIT_SECONDS, 2 * self._wait)
        again = time.monotonic() + wait
        while time.monotonic() < again:
            if self._cancelled():
                raise CancelledError("cancelled")
            time.sleep(POLL_SECONDS)


def _may_pass(error: grpc.RpcError) -> bool:
    """Whether the same call may succeed when it is made again."""
    cut = error.code() is grpc.StatusCode.INTERNAL and CUT in (error.details() or "")
    return cut or error.code() in PASSING


def _asked_to_wait(error: grpc.RpcError) -> float | None:
    if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return None
    trailing: Any = error.trailing_metadata() or ()  # pairs, whatever its stubs say
    told = dict(trailing).get(RETRY_AFTER)
    return None if told is None else float(told)


def client_name() -> str:
    """Whose jobs these are, without telling who it is: the server lets clients take turns."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # containers without a user database
        user = ""
    return hashlib.sha256(f"{user}@{platform.node()}".encode()).hexdigest()[:16]
