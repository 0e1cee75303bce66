"""The model process: completes one clip after another, and tells the front end."""

import signal
import traceback
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from server.contents import open_content, write_contents
from server.errors import UnknownDigestError, status_code
from server.messages import (
    CutsFound,
    Failed,
    FrameDone,
    FromFrontEnd,
    FromProcess,
    JobDone,
    Load,
    Loaded,
    Prepared,
    Ready,
    Run,
    Stop,
    Unload,
)
from server.protocol import codec
from server.protocol import inpaint_pb2 as pb
from sttn.command_line import stopping_signals
from sttn.errors import CancelledError


class Models(Protocol):
    """What computes: loaded networks on one device."""

    device: str
    others: tuple[str, ...]
    """Devices that were asked for with it, in one word: a process each."""
    precision: str

    def load(self, name: str, path: Path) -> None:
        """Hold a model under a name, instead of the one that had it."""

    def unload(self, name: str) -> None:
        """Let a model go."""

    def memory_bytes(self) -> int:
        """Memory taken on the device; 0 on a CPU."""

    def is_lost(self, error: Exception) -> bool:
        """Whether the device failed in such a way that only a new process can use it."""

    def completed_frames(
        self,
        model: str,
        frames: Sequence[NDArray[Any]],
        masks: Sequence[NDArray[np.bool_]],
        *,
        clean: Collection[int],
        handles: Collection[int],
        windows: pb.Windows,
        cancelled: Callable[[], bool],
        origins: Callable[[int, NDArray[np.float32]], None] | None = None,
        cuts: Callable[[list[int]], None] | None = None,
        prepared: Callable[[float], None] | None = None,
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield index and completed frame, in order; see ``sttn.inference``."""


FRAMES_UNDER_WAY = 2
"""Completed frames that may wait to be written; more would only take memory."""

MakeModels = Callable[[str], Models]
"""Called once in the new process, with the device's name; has to be picklable."""


class StoredImages(Sequence[NDArray[Any]]):
    """Images of a clip, read from the store when they are needed."""

    def __init__(
        self,
        folder: Path,
        images: Sequence[tuple[str, pb.Image]],
        convert: Callable[[NDArray[Any]], NDArray[Any]],
        unproven: frozenset[str],
    ) -> None:
        """Nothing is read yet.

        Args:
            folder: The store's.
            images: What people call each, and what it is.
            convert: To what computes.
            unproven: Digests of those that an earlier server left, and nobody has read since.
        """
        self._folder = folder
        self._images = images
        self._convert = convert
        self._unproven = unproven

    def __len__(self) -> int:
        return len(self._images)

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[NDArray[Any]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | Sequence[NDArray[Any]]:
        if isinstance(index, slice):
            images = self._images[index]
            return StoredImages(self._folder, images, self._convert, self._unproven)
        name, image = self._images[index]
        with open_content(self._folder, image.digest) as file:
            content = file.read()
        if image.digest in self._unproven and codec.digest(content) != image.digest:
            raise UnknownDigestError(f"content {image.digest} is damaged on disk; send it again")
        try:
            return self._convert(codec.decode_image(image, content))
        except codec.CodecError as error:
            raise codec.CodecError(f"{name}: {error}") from None


def work(connection: Connection, make_models: MakeModels, device: str, folder: Path) -> None:
    """What a model process does from start to end; ends when the front end does.

    Args:
        connection: To the front end.
        make_models: Makes what computes.
        device: On which device.
        folder: The store's.
    """
    # Signals of a terminal go to the whole group; the front end decides when to stop.
    for number in stopping_signals():
        signal.signal(number, signal.SIG_IGN)
    try:
        try:
            models = make_models(device)
            connection.send(Ready(models.device, models.precision, models.others))
            _Worker(connection, models, folder).serve()
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:
            connection.send(Failed(str(error) or type(error).__name__))
    except (EOFError, BrokenPipeError):
        pass  # the front end is gone


class _Worker:
    def __init__(self, connection: Connection, models: Models, folder: Path) -> None:
        self._connection = connection
        self._models = models
        self._folder = folder
        self._orders: deque[FromFrontEnd] = deque()
        self._weights: dict[str, str] = {}
        """Digest of each model's file, by key."""
        self._stopped = False
        """Whether the job that runs is cancelled."""
        self._telling = Lock()
        """Frames are told of by another thread than what precedes them."""

    def serve(self) -> None:
        """Carry out orders until the front end is gone."""
        while True:
            order = self._orders.popleft() if self._orders else self._connection.recv()
            if isinstance(order, Load):
                self._tell(self._load(order))
            elif isinstance(order, Unload):
                self._models.unload(order.key)
                self._weights.pop(order.key, None)
            elif isinstance(order, Run):
                self._tell(self._run(order))
            # A Stop comes too late here: its job has ended.

    def _tell(self, message: FromProcess) -> None:
        with self._telling:
            self._connection.send(message)

    def _is_stopped(self, job_id: str) -> bool:
        # Only cancelling cannot wait.
        while self._connection.poll():
            order = self._connection.recv()
            if isinstance(order, Stop):
                self._stopped |= order.job_id == job_id
            else:
                self._orders.append(order)
        return self._stopped

    def _load(self, order: Load) -> Loaded:
        try:
            self._models.load(order.key, order.path)
            self._weights[order.key] = codec.digest(order.path.read_bytes())
        except Exception as error:  # a GPU without room says so in ways of its own
            return Loaded(order.key, error=str(error) or type(error).__name__)
        return Loaded(order.key, self._weights[order.key])

    def _run(self, order: Run) -> JobDone:
        self._stopped = False
        try:
            self._complete(order)
        except CancelledError:
            return JobDone(order.job_id, cancelled=True)
        except (EOFError, BrokenPipeError):
            raise
        except Exception as error:
            if self._models.is_lost(error):
                raise  # no later job would fare better in this process
            code = status_code(error)
            return JobDone(
                order.job_id,
                error=str(error) or type(error).__name__,
                code=code.name if code is not None else "UNKNOWN",
                trace=None if code is not None else traceback.format_exc(),
            )
        return JobDone(order.job_id)

    def _complete(self, order: Run) -> None:
        request = pb.SubmitRequest.FromString(order.request)
        roles = [frame.role for frame in request.frames]
        handles = {index for index, role in enumerate(roles) if role == pb.HANDLE} | order.done
        clean = {index for index, role in enumerate(roles) if role == pb.CLEAN}
        origins: dict[int, NDArray[np.float32]] = {}
        frames = list(enumerate(request.frames))
        plates = [(f"the plate of frame {index}", frame.plate) for index, frame in frames]
        masks = [(f"the mask of frame {index}", frame.mask) for index, frame in frames]
        completed = self._models.completed_frames(
            order.key,
            StoredImages(self._folder, plates, _pixels, order.unproven),
            StoredImages(self._folder, masks, _mask, order.unproven),
            clean=clean,
            handles=handles,
            windows=request.windows,
            origins=origins.__setitem__ if request.origins else None,
            cuts=lambda found: self._tell(CutsFound(order.job_id, tuple(found))),
            prepared=lambda share: self._tell(Prepared(order.job_id, share)),
            cancelled=lambda: self._is_stopped(order.job_id),
        )
        # The next frame is computed while this one is hashed and written.
        with ThreadPoolExecutor(1, thread_name_prefix="keep-frames") as keeper:
            under_way: deque[Future[None]] = deque()
            for index, frame in completed:
                done = (index, frame, origins.pop(index, None))
                under_way.append(keeper.submit(self._keep, order, request, *done))
                if len(under_way) > FRAMES_UNDER_WAY:
                    under_way.popleft().result()
            for kept in under_way:
                kept.result()

    def _keep(
        self,
        order: Run,
        request: pb.SubmitRequest,
        index: int,
        frame: NDArray[Any],
        origins: NDArray[np.float32] | None,
    ) -> None:
        dtype = codec.dtype_of(request.result_type or pb.FLOAT32)
        image, content = codec.encode_image(
            frame.astype(dtype), ("R", "G", "B"), request.result_compression
        )
        ready = pb.FrameReady(index=index, image=image, weights=self._weights[order.key])
        contents = {image.digest: content}
        if origins is not None:
            # Most of it is empty.
            image, content = codec.encode_image(origins, codec.ORIGINS, pb.SHUFFLED_ZLIB)
            ready.origins.CopyFrom(image)
            contents[image.digest] = content
        files = write_contents(self._folder, contents)
        memory = self._models.memory_bytes()
        self._tell(FrameDone(order.job_id, ready.SerializeToString(), files, memory))


def _pixels(pixels: NDArray[Any]) -> NDArray[np.float32]:
    return pixels.astype(np.float32)


def _mask(pixels: NDArray[Any]) -> NDArray[np.bool_]:
    return pixels[..., 0] > 0
