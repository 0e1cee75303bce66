"""Sends a surveyed shot, has every part completed, and keeps what comes back on disk."""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from node.ahead import AT_ONCE, Stopped, made_ahead
from node.client import InpaintClient, Role, Wishes
from node.color import Float
from node.detail import lost
from node.errors import ClipError
from node.part import Part
from node.scratch import Scratch
from node.shot import Shot
from node.surveying import Survey
from server.protocol.inpaint_pb2 import ClipFrame

Kind = Literal["completed", "made up", "origins", "detail"]
"""Completed pixels; how much of them no frame shows; where they come from; what of a plate the
network does not see."""


PIXELS_AT_ONCE = 2**25
"""Pixels of crops that are prepared at once, unless a frame has more; each takes some 40 bytes."""

SPECKS = 64.0
"""Pixels of the model raster that are made up and not worth a word."""


class Completed:
    """What came of a shot, on disk: memory does not grow with its length."""

    def __init__(self) -> None:
        self._scratch = Scratch()
        self._folder = self._scratch.folder
        self._lock = threading.Lock()
        self._readers = 0
        self._discarded = False
        self._layouts: dict[Path, tuple[tuple[int, ...], np.dtype[Any]]] = {}
        """Shape and type of what each file holds. NumPy's own files tell theirs in Python's syntax,
        whose parser in 3.11 now and then raises a SystemError where threads run beside it."""

    def discard(self) -> None:
        """Give the disk back, once nobody holds it; nobody having the object does so too."""
        with self._lock:
            self._discarded = True
            if not self._readers:
                self._scratch.discard()

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Nothing of it goes meanwhile, whatever other threads do; tells whether it is there."""
        with self._lock:
            self._readers += 1
            there = not self._discarded
        try:
            yield there
        finally:
            with self._lock:
                self._readers -= 1
                if self._discarded and not self._readers:
                    self._scratch.discard()

    def keep(self, kind: Kind, part: int, index: int, pixels: NDArray[Any]) -> None:
        """Keep something of one part of one frame.

        Raises:
            ClipError: the disk is full.
        """
        file = self._file(kind, part, index)
        try:
            pixels.tofile(file)
        except OSError as error:
            raise ClipError(
                f"cannot keep completed pixels in {self._folder}: {error}; "
                "free space there or set TMPDIR"
            ) from None
        self._layouts[file] = pixels.shape, pixels.dtype

    def load(self, kind: Kind, part: int, index: int) -> NDArray[Any]:
        """What was kept; only what is looked at is read."""
        file = self._file(kind, part, index)
        shape, dtype = self._layouts[file]
        return np.memmap(file, dtype, "r", shape=shape)

    def has(self, kind: Kind, part: int, index: int) -> bool:
        """Whether it was kept."""
        return self._file(kind, part, index) in self._layouts

    def _file(self, kind: Kind, part: int, index: int) -> Path:
        return self._folder / f"{kind}-{part}-{index}.raw"


def send(
    shot: Shot,
    survey: Survey,
    connection: InpaintClient,
    completed: Completed,
    sent: Callable[[int, int], None],
    stopped: Stopped,
) -> list[list[ClipFrame]]:
    """Send every frame of every part, and keep the detail it loses; each is read once.

    Returns:
        For each part what the client takes to complete it.

    Raises:
        NodeError: a frame cannot be read or kept, or the server is gone.
    """
    parts = [list[ClipFrame]() for _ in survey.parts]
    shot.expect(survey.frames)

    def send_frame(index: int, given_up: Stopped) -> list[ClipFrame]:
        plate, covered = shot.look(survey.frames[index])
        frames = []
        for number, part in enumerate(survey.parts):
            code = part.code(plate, index)
            seen = _seen(survey, part, index, code, covered, shot.params.hole_grow)
            frames.append(connection.send(*seen, cancelled=given_up))
            if shot.params.propagate and part.loses_detail:
                completed.keep("detail", number, index, lost(code, seen[0]))
        return frames

    indices, at_once = range(len(survey.frames)), frames_at_once(survey)
    for done, frames in enumerate(made_ahead(indices, send_frame, stopped, at_once)):
        for of_part, frame in zip(parts, frames, strict=True):
            of_part.append(frame)
        sent(done + 1, len(survey.frames))
    return parts


def frames_at_once(survey: Survey) -> int:
    """How many frames are prepared and sent at once: fewer of large ones, for memory's sake."""
    crops = [part.track.crops[0] for part in survey.parts]
    pixels = sum(crop.width * crop.height for crop in crops)
    return max(1, min(AT_ONCE, PIXELS_AT_ONCE // max(1, pixels)))


def complete(
    shot: Shot,
    survey: Survey,
    parts: list[list[ClipFrame]],
    connection: InpaintClient,
    completed: Completed,
    cut_before: Callable[[list[int]], None],
    prepared: Callable[[float], None],
    stopped: Stopped,
) -> Generator[int, None, None]:
    """Have every part completed, one after the other; frames that the server finds a cut before
    are told by their numbers, how far it has prepared the first part by a share.

    Yields:
        Index of each wanted frame, in order, as soon as all of its parts are kept.

    Raises:
        NodeError: the server failed, is gone, or was told to stop.
    """
    waiting = [index for index, frame in enumerate(survey.frames) if frame in survey.wanted]
    shot.expect([survey.frames[index] for index in waiting])
    needed = [survey.completed_by_network(part) for part in survey.parts]

    def is_whole(index: int) -> bool:
        return all(
            completed.has("completed", number, index)
            for number, each in enumerate(needed)
            if index in each
        )

    params = shot.params
    wishes = Wishes(
        model=params.model,
        neighbor_radius=params.neighbor_radius,
        reference_stride=params.reference_stride,
        propagate=params.propagate,
        texture=params.texture,
        part_at_cuts=params.part_at_cuts,
    )
    for number, part in enumerate(survey.parts):

        def resend(index: int, part: Part = part) -> ClipFrame:
            plate, covered = shot.look(survey.frames[index])
            code = part.code(plate, index)
            seen = _seen(survey, part, index, code, covered, shot.params.hole_grow)
            return connection.send(*seen, cancelled=stopped)

        told = partial(_keep_origins, completed, part, number)
        job = connection.complete(
            parts[number],
            wishes=wishes,
            cancelled=stopped,
            cuts=lambda indices: cut_before([survey.frames[index] for index in indices]),
            prepared=None if number else prepared,
            origins=told if params.propagate else None,
            resend=resend,
        )
        with closing(job) as frames:
            for index, pixels in frames:
                completed.keep("completed", number, index, pixels)
                while waiting and is_whole(waiting[0]):
                    yield waiting.pop(0)
    yield from waiting


def made_up_in(survey: Survey, completed: Completed) -> list[int]:
    """Indices of the frames in which more than specks is shown by no frame, in order."""
    found = set[int]()
    for number, part in enumerate(survey.parts):
        for index in survey.completed_by_network(part):
            if (
                not completed.has("made up", number, index)
                or completed.load("made up", number, index).sum(dtype=np.float32) > SPECKS
            ):
                found.add(index)
    return sorted(found)


def _keep_origins(
    completed: Completed, part: Part, number: int, index: int, origins: Float
) -> None:
    """Keep what a result may ask for: the places only where the plate has more to show there."""
    completed.keep("made up", number, index, (1 - origins[..., 4:]).astype(np.float16))
    if part.loses_detail:
        completed.keep("origins", number, index, origins[..., :4])


def _seen(
    survey: Survey,
    part: Part,
    index: int,
    code: Float,
    covered: NDArray[np.bool_],
    grow: int,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], Role]:
    if survey.frames[index] in survey.painted:
        role = Role.CLEAN
    else:
        wanted = index in survey.completed_by_network(part)
        role = Role.PLATE if wanted else Role.HANDLE
    return part.seen(code), part.hole_seen(covered, index, grow), role
