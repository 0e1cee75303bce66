"""Talks to the server: sends what it lacks, submits, hands back frames as they are done.

with InpaintClient("localhost:50071") as client:
    for index, completed in client.inpaint(plates, masks):
        ...

Whatever breaks is taken up again, even a server that was killed and started anew.
"""

import contextlib
import logging
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from mmap import mmap
from types import TracebackType
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from node.ahead import made_ahead
from node.connection import (
    ANSWER_SECONDS,
    Cancelled,
    Connection,
    Patience,
    Stream,
    client_name,
    never,
)
from node.errors import CancelledError, ClipError, HostError, JobError, ServerLostError
from node.params import param_specs
from node.shared_memory import SharedMemory
from server.protocol import codec
from server.protocol import inpaint_pb2 as pb
from server.protocol.channel import Access
from server.protocol.chunks import Chunk, Content

logger = logging.getLogger(__name__)

SENDERS = 3
"""Frames prepared and sent at once: while one is hashed another is on the wire."""

LOSSES = 3
"""Times in a row that a server may lose a clip before it is given up."""

Progress = Callable[[str, int, int], None]
"""Called with the stage (``sending``, ``preparing``, ``completing``), frames done and frames in
all. Preparing, until the first frame is completed, is told as the share that is done of it."""


class Role(IntEnum):
    """What part a frame plays."""

    PLATE = pb.PLATE
    """Completed and handed back."""
    HANDLE = pb.HANDLE
    """Context before or after the shot; not handed back."""
    CLEAN = pb.CLEAN
    """Painted by an artist, with an empty mask: copied from, not handed back."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the server shall do otherwise than it would by itself; limits are those of the params of
    these names.

    Raises:
        ValueError: naming wish, value and what it may be.
    """

    model: str = ""
    """A model that it holds; its default where empty."""
    neighbor_radius: int = 0
    """Frames before and after each window's center, to 100; 0 leaves it to the server's preset."""
    reference_stride: int = 0
    """Frames between two reference frames, to 1000; 0 leaves it to the server's preset."""
    propagate: bool = True
    """Take what holes hide from frames that show it first, unless the server's preset does not;
    False leaves every hole to the network."""
    texture: bool = True
    """Give what no frame shows texture of its surroundings, unless the server's preset does not;
    False leaves it soft, as the network paints it."""
    part_at_cuts: bool = True
    """Complete what lies between two cuts on its own, unless the server's preset does not; False
    takes every clip for one shot."""

    def __post_init__(self) -> None:
        for spec in param_specs():
            if hasattr(self, spec.name):
                spec.require(getattr(self, spec.name))


class InpaintClient:
    """One connection to one server; a context manager."""

    def __init__(
        self,
        address: str,
        *,
        access: Access | None = None,
        connect_seconds: float = 10.0,
        patience_seconds: float = 60.0,
        compress: bool = False,
        shared_memory: bool = False,
    ) -> None:
        """Connect.

        Args:
            address: HOST:PORT or unix:/PATH.
            access: TLS and token; by default what STTN_AUTHORITY, STTN_CERTIFICATE, STTN_KEY and
                STTN_TOKEN_FILE name.
            connect_seconds: How long to wait for an answer.
            patience_seconds: How long a connection may be broken, or a server busy, before the
                work counts as lost.
            compress: Send pixels compressed, without loss; pays on networks of 1 Gbit/s and less.
            shared_memory: Hand pixels over in memory, both ways, to a server on this machine that
                allows it.

        Raises:
            HostError: the address is none, or what is shown cannot be used for it.
            ServerUnreachableError: nothing answers in that time.
            JobError: the server refuses this client.
        """
        self.address = address
        self._server = Connection(
            address, access or Access.from_environment(), connect_seconds, patience_seconds
        )
        self._compression = pb.SHUFFLED_ZLIB if compress else pb.NONE
        self._memory = SharedMemory(self._server, shared_memory)

    def __enter__(self) -> "InpaintClient":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        self._memory.free()

    def inpaint(
        self,
        plates: Sequence[NDArray[Any]] | NDArray[Any],
        masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
        *,
        roles: Sequence[Role] | None = None,
        wishes: Wishes = Wishes(),
        progress: Progress | None = None,
        cancelled: Cancelled = never,
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Have a clip completed: everything from sending to the last frame.

        Frames are read by index when they are needed, more than once if the server loses them.

        Args:
            plates: T frames (H, W, 3) float16 or float32, working space in [0, 1]; H and W are
                multiples of 48.
            masks: T masks (H, W), True inside the hole.
            roles: What part each frame plays; all are completed where None.
            wishes: What the server shall do otherwise than it would by itself.
            progress: Told how far it is.
            cancelled: Asked often.

        Yields:
            Index and completed frame (H, W, 3) of the plates' type, in order, as soon as each is
            done.

        Raises:
            ClipError: plates, masks and roles are not as many, or not what they should be.
            ServerLostError: the connection broke and did not come back.
            JobError: the server refused or failed the job.
            CancelledError: ``cancelled`` answered True.
        """
        parts = [Role.PLATE] * len(plates) if roles is None else list(roles)
        if not len(plates) == len(masks) == len(parts):
            raise ClipError(
                f"{len(plates)} plates, {len(masks)} masks and {len(parts)} roles; "
                "give as many of each"
            )

        def send(index: int, stopped: Cancelled = cancelled) -> pb.ClipFrame:
            return self.send(plates[index], masks[index], parts[index], cancelled=stopped)

        told = progress or (lambda stage, done, total: None)
        sent = []
        for described in made_ahead(range(len(plates)), send, cancelled, SENDERS):
            sent.append(described)
            told("sending", len(sent), len(plates))
        total = sum(role == Role.PLATE for role in parts)
        completed = self.complete(
            sent,
            wishes=wishes,
            cancelled=cancelled,
            prepared=lambda share: told("preparing", int(share * total), total),
            resend=send,
        )
        for done, (index, frame) in enumerate(completed, start=1):
            yield index, frame
            told("completing", done, total)

    def send(
        self,
        plate: NDArray[Any],
        mask: NDArray[np.bool_],
        role: Role = Role.PLATE,
        *,
        cancelled: Cancelled = never,
    ) -> pb.ClipFrame:
        """Send one frame; only what the server does not hold already. Threads may share a client.

        Args:
            plate: (H, W, 3) float16 or float32, working space in [0, 1].
            mask: (H, W), True inside the hole.
            role: What part it plays.
            cancelled: Asked often.

        Returns:
            What :meth:`complete` takes.

        Raises:
            ClipError: plate or mask is of another shape or type.
            ServerLostError: the connection broke and did not come back.
            JobError: the server refused.
            CancelledError: ``cancelled`` answered True.
        """
        _require_frame(plate, mask)
        sent = codec.encode_image(plate, ("R", "G", "B"), self._compression)
        # A mask shrinks a hundredfold, so that a changed matte costs next to nothing.
        hole = codec.encode_image(
            mask.astype(np.bool_).view(np.uint8)[..., np.newaxis], ("A",), pb.SHUFFLED_ZLIB
        )
        contents = {image.digest: content for image, content in (sent, hole)}
        self._server.retrying(lambda: self._send_missing(contents, cancelled), cancelled)
        return pb.ClipFrame(plate=sent[0], mask=hole[0], role=int(role))  # type: ignore[arg-type]

    def complete(
        self,
        frames: Sequence[pb.ClipFrame],
        *,
        wishes: Wishes = Wishes(),
        cancelled: Cancelled = never,
        origins: Callable[[int, NDArray[np.float32]], None] | None = None,
        cuts: Callable[[list[int]], None] | None = None,
        prepared: Callable[[float], None] | None = None,
        resend: Callable[[int], pb.ClipFrame] | None = None,
    ) -> Generator[tuple[int, NDArray[Any]], None, None]:
        """Have a clip completed that was sent.

        Leaving the iterator early cancels the job on the server.

        Args:
            frames: What :meth:`send` returned, in order.
            wishes: What the server shall do otherwise than it would by itself.
            cancelled: Asked often.
            origins: Told, before a frame is handed back, where its pixels come from: (H, W, 5)
                index of the frame that most of a pixel was fetched from (-1 where none was),
                column and row in it, in (0, 1] how much of the pixel shows what is there, and in
                [0, 1] how much of it some frame really shows, 1 outside the hole: texture is
                fetched too, but made up.
                Not told of frames for which nothing was fetched.
            cuts: Told, before the first frame, the indices of the frames that cuts were found
                before; not told where there is none.
            prepared: Told, before the first frame, the share in [0, 1] of what the server looks for
                until it can fill frames; most of what short clips take is that.
            resend: Sends a frame again, by its index: a server that was started anew may have
                lost it. Without it such a loss is an error.

        Yields:
            Index and completed frame (H, W, 3) of the plates' type, in order, as soon as each is
            done; none for handles and clean frames.

        Raises:
            ServerLostError: the connection broke and did not come back.
            JobError: the server refused or failed the job.
            CancelledError: ``cancelled`` answered True.
        """
        self._memory.free()
        clip = list(frames)
        wanted = deque(index for index, frame in enumerate(clip) if frame.role == pb.PLATE)
        first = wanted[0] if wanted else None
        losses = 0
        while wanted:
            job_id = uuid.uuid4().hex
            try:
                told = prepared if wanted[0] == first else None  # not of a job that goes on for one
                for index, frame in self._job(job_id, clip, wishes, cancelled, origins, cuts, told):
                    if clip[index].role != pb.PLATE:
                        continue  # told before, by a server that was started anew since
                    if index != wanted[0]:
                        raise _ForgottenError(f"it told nothing of frame {wanted[0]}")
                    yield index, frame
                    losses = 0
                    # Should the job have to be done again, this one is context only.
                    wanted.popleft()
                    clip[index] = pb.ClipFrame(
                        plate=clip[index].plate, mask=clip[index].mask, role=pb.HANDLE
                    )
                if wanted:
                    raise _ForgottenError(f"it ended without frame {wanted[0]}")
            except _ForgottenError as error:
                losses += 1
                if resend is None or losses > LOSSES:
                    raise ServerLostError(
                        f"the server at {self.address} lost the job: {error}; start it again"
                    ) from None
                for index, old in enumerate(clip):
                    clip[index] = resend(index)
                    clip[index].role = old.role

    def watch(self, job_id: str, *, cancelled: Cancelled = never) -> Iterator[str]:
        """Follow a job that somebody submitted, in words.

        Args:
            job_id: Its name.
            cancelled: Asked often; only the watching ends, not the job.

        Yields:
            ``3 jobs ahead``, ``40% prepared``, ``frame 12``, ``12 of 48 frames``, what the server
            notes; at the end ``completed``, or ``cancelled: ...`` or ``failed: ...`` with the
            reason.

        Raises:
            JobError: there is no such job.
            ServerLostError: the connection broke and did not come back.
            CancelledError: ``cancelled`` answered True.
        """
        try:
            for event in self._events(job_id, cancelled):
                yield _told(event)
        except _ForgottenError as error:
            raise JobError(str(error)) from None

    def _job(
        self,
        job_id: str,
        clip: list[pb.ClipFrame],
        wishes: Wishes,
        cancelled: Cancelled,
        origins: Callable[[int, NDArray[np.float32]], None] | None,
        cuts: Callable[[list[int]], None] | None,
        prepared: Callable[[float], None] | None,
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        windows = pb.Windows(
            neighbor_radius=wishes.neighbor_radius, reference_stride=wishes.reference_stride
        )
        for name in ("propagate", "texture", "part_at_cuts"):
            if not getattr(wishes, name):
                setattr(windows, name, False)
        request = pb.SubmitRequest(
            job_id=job_id,
            frames=clip,
            client=client_name(),
            model=wishes.model,
            result_type=clip[0].plate.type,
            result_compression=self._compression,
            windows=windows,
            origins=origins is not None,
        )

        def submit() -> None:
            submitted = self._server.inpaint.Submit.future(request, timeout=ANSWER_SECONDS)
            self._server.wait(submitted, cancelled)

        ended = False
        try:
            self._server.retrying(lambda: _known(submit), cancelled)
            for event in self._events(job_id, cancelled):
                kind = event.WhichOneof("event")
                if kind == "frame_ready":
                    ready = event.frame_ready
                    completed = self._download(ready.image, cancelled)
                    if origins is not None and ready.HasField("origins"):
                        origins(ready.index, self._download(ready.origins, cancelled))
                    yield ready.index, completed
                elif kind == "cuts" and cuts is not None:
                    cuts(list(event.cuts.indices))
                elif kind == "progress" and prepared is not None:
                    if not event.progress.frames_done:
                        prepared(event.progress.prepared)
                elif kind == "notice":
                    logger.warning("the server at %s: %s", self.address, event.notice.message)
                elif kind == "finished":
                    ended = True
                    _require_completed(event.finished)
        finally:
            if not ended:
                self._cancel(job_id)

    def _events(self, job_id: str, cancelled: Cancelled) -> Iterator[pb.JobEvent]:
        # A stream that breaks is taken up again where it stopped.
        patience = Patience(self._server, cancelled)
        following = 0
        while True:
            watch: Stream[pb.JobEvent] = self._server.inpaint.Watch(
                pb.WatchRequest(job_id=job_id, first_event=following)
            )
            try:
                for event in self._server.messages(watch, cancelled, begun=patience.renew):
                    following = event.number + 1
                    patience.renew()
                    yield event
                    if event.WhichOneof("event") == "finished":
                        return
                # Its last words bear numbers that were heard before: a restart has lost some.
                raise _ForgottenError(f"the server at {self.address} told no end of job {job_id}")
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    raise _ForgottenError(error.details()) from None
                patience.after(error)

    def _send_missing(self, contents: dict[str, Content], cancelled: Cancelled) -> None:
        plates = self._server.plates
        asked = pb.FindMissingRequest(digests=list(contents))
        answer: pb.FindMissingResponse = self._server.wait(
            plates.FindMissing.future(asked, timeout=ANSWER_SECONDS), cancelled
        )
        for missing in answer.missing:
            content = contents[missing.digest]
            if self._memory.sent(missing.digest, content, cancelled):
                continue
            requests = _upload_requests(missing.digest, content, missing.committed)
            self._server.wait(plates.Upload.future(requests), cancelled)

    def _download(self, image: pb.Image, cancelled: Cancelled) -> NDArray[Any]:
        received, found = bytearray(), codec.hasher()
        given: list[mmap] = []

        def fetch() -> None:
            if memory := self._memory.fetched(image, cancelled):
                given.append(memory)
                found.update(memory)
                return
            request = pb.DownloadRequest(digest=image.digest, offset=len(received))
            download: Stream[Chunk] = self._server.plates.Download(request)
            for chunk in self._server.messages(download, cancelled):
                data = codec.checked(chunk, len(received))
                received.extend(data)
                found.update(data)  # while the next one comes in

        self._server.retrying(lambda: _known(fetch), cancelled)
        if found.hexdigest() != image.digest:
            raise _ForgottenError(f"its disk has damaged the completed frame {image.digest}")
        return codec.decode_image(image, given[0] if given else memoryview(received).toreadonly())

    def _cancel(self, job_id: str) -> None:
        # A server that is gone took its jobs with it; a client that is closed leaves its jobs to
        # the server, which gives up what nobody watches.
        with contextlib.suppress(grpc.RpcError, HostError, ValueError):
            self._server.inpaint.Cancel(pb.CancelRequest(job_id=job_id), timeout=2)


class _ForgottenError(Exception):
    """The server does not know what it knew before."""


def _known(call: Callable[[], object]) -> None:
    try:
        call()
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            raise _ForgottenError(error.details()) from None
        raise


def _require_frame(plate: NDArray[Any], mask: NDArray[np.bool_]) -> None:
    if plate.ndim != 3 or plate.shape[2] != 3 or plate.dtype.type not in (np.float16, np.float32):
        raise ClipError(
            f"a plate is {plate.shape} {plate.dtype}; give (H, W, 3) float16 or float32"
        )
    if mask.shape != plate.shape[:2]:
        raise ClipError(f"a mask is {mask.shape}; give {plate.shape[:2]}, as its plate")


def _upload_requests(
    name: str, content: Content, committed: int
) -> Iterator[pb.UploadRequest | Chunk]:
    yield pb.UploadRequest(header=pb.UploadHeader(digest=name, size=len(content)))
    yield from codec.chunks(content, committed)
    yield pb.UploadRequest(finish=pb.UploadFinish())


def _told(event: pb.JobEvent) -> str:
    kind = event.WhichOneof("event")
    if kind == "queued":
        return f"{event.queued.jobs_ahead} jobs ahead"
    if kind == "progress" and not event.progress.frames_done:
        return f"{event.progress.prepared:.0%} prepared"
    if kind == "progress":
        return f"{event.progress.frames_done} of {event.progress.frames} frames"
    if kind == "frame_ready":
        return f"frame {event.frame_ready.index}"
    if kind == "cuts":
        return f"cut before frame {', '.join(map(str, event.cuts.indices))}"
    if kind == "notice":
        return event.notice.message
    outcome = pb.Finished.Outcome.Name(event.finished.outcome).lower()
    return f"{outcome}: {event.finished.message}" if event.finished.message else outcome


def _require_completed(finished: pb.Finished) -> None:
    if finished.outcome == pb.Finished.CANCELLED:
        raise CancelledError(f"the server cancelled the job: {finished.message}")
    if finished.code == grpc.StatusCode.NOT_FOUND.name:
        raise _ForgottenError(finished.message)
    if finished.outcome != pb.Finished.COMPLETED:
        raise JobError(f"the server failed: {finished.message}")
