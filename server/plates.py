"""Which contents are on disk, what room there is, and what goes where there is none."""

import asyncio
import logging
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from heapq import heapify, heappop, heappush
from itertools import chain
from pathlib import Path

from server.contents import content_path, is_digest, is_whole, require_digest
from server.errors import ROOM_SECONDS, StoreFullError, UploadConflictError, disk_errors
from server.jobs import Job
from server.protocol import inpaint_pb2 as pb
from server.uploads import Upload

logger = logging.getLogger(__name__)


class PlateStore:
    """Keeps account of a folder of contents; belongs to the event loop.

    Whole contents are files named by digest, unfinished uploads end in ``.part``. Room is made by
    evicting what was not used for longest and no job needs; ended jobs are let go in their turn.
    Nothing here takes longer the more contents there are.
    """

    def __init__(self, folder: Path, limit_bytes: int, expire_seconds: float) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes
        self._expire_seconds = expire_seconds
        self._pins: Counter[str] = Counter()
        self._reserved = 0
        self._sizes: dict[str, int] = {}
        # Names of files that nobody needs, and when they were last used.
        self._idle: dict[str, float] = {}
        self._idle_bytes = 0
        # The same as a heap; what was used again since is in it more than once.
        self._order: list[tuple[float, str]] = []
        self._uploading: dict[str, Upload | None] = {}
        self._used = 0
        self.spare: Callable[[], list[Job]] = list
        """Ended jobs whose contents may go where room is needed, in the order of going."""
        self.let_go: Callable[[Job], None] = lambda job: None
        """Unpins the contents of one of them."""
        found = [(path, path.stat()) for path in folder.iterdir() if path.is_file()]
        for path, stat in sorted(found, key=lambda item: item[1].st_mtime):
            name = path.name.removesuffix(".part")
            if is_digest(name):
                self._account(path.name, stat.st_size, stat.st_mtime)
            elif path.suffix == ".new":
                path.unlink()
        # Left by a server before this one, whose end may have been the machine's.
        self._unproven = {name for name in self._sizes if is_digest(name)}

    def __contains__(self, name: str) -> bool:
        require_digest(name)
        return name in self._sizes

    @property
    def used_bytes(self) -> int:
        """Bytes on disk."""
        return self._used

    @property
    def uploads(self) -> int:
        """Uploads that are open."""
        return len(self._uploading)

    def missing(self, names: Iterable[str]) -> dict[str, int]:
        """Contents that are not here, with the bytes that are; the others count as used now."""
        absent = {}
        for name in dict.fromkeys(names):
            if name in self:
                self._account(name, self._sizes[name], time.time())
            else:
                absent[name] = self._sizes.get(f"{name}.part", 0)
        return absent

    def unproven(self, names: Iterable[str]) -> frozenset[str]:
        """Those of these contents that have to be proven by whoever reads them."""
        return frozenset(self._unproven.intersection(names))

    async def prove(self, names: Iterable[str]) -> None:
        """Forget those of these contents that the disk has spoiled, and those that somebody deleted
        by hand, before anybody relies on them.

        Each is read once, the first time that somebody asks for it after a start: writing every
        one through to the disk would make uploads three to ten times slower.
        """
        for name in dict.fromkeys(names):
            if name in self._unproven:
                try:
                    whole = await asyncio.to_thread(is_whole, self.folder, name)
                except OSError as error:
                    logger.warning("content %s cannot be proven now: %s", name, error)
                    continue
                # It may have gone meanwhile, and have been sent again.
                if name in self._unproven and not whole:
                    logger.warning("content %s is damaged on disk; it has to be sent again", name)
                    self._forget(name)
                self._unproven.discard(name)
            elif self._is_gone(name):
                logger.warning("content %s was deleted by others; it has to be sent again", name)
                self._forget(name)

    @contextmanager
    def upload(self, header: pb.UploadHeader) -> Iterator[Upload]:
        """Take a content in; room for all of it is made at once.

        Raises:
            UploadConflictError: somebody else is sending the same.
            StoreFullError: it does not fit, even without what no job needs.
        """
        path = content_path(self.folder, header.digest)
        if header.digest in self._uploading:
            raise UploadConflictError(
                f"another client is sending {header.digest}; ask again what is missing"
            )
        part = path.with_name(path.name + ".part")
        expected = max(0, header.size - self._sizes.get(part.name, 0))
        self._uploading[header.digest] = None
        self.pin([path.name, part.name])
        try:
            with self.reserved(expected):
                self._uploading[header.digest] = upload = Upload(part, header)
                try:
                    yield upload
                finally:
                    try:
                        upload.close()
                    finally:
                        for file in (part, path):
                            self._settle(file)
        finally:
            self.unpin([path.name, part.name])
            del self._uploading[header.digest]

    def adopt(self, name: str, file: str) -> None:
        """Give a content that a worker wrote its name, and take it into account.

        Args:
            name: Its digest.
            file: As :func:`write_contents` named it.
        """
        path = self.folder / name
        (self.folder / file).replace(path)
        self._settle(path)

    @contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Keep room inside the block; errors as for :meth:`reserve`."""
        self.reserve(size)
        try:
            yield
        finally:
            self.release(size)

    def reserve(self, size: int, beside: Collection[str] = ()) -> None:
        """Keep room for what will be written.

        Args:
            size: Bytes.
            beside: Contents that have to stay meanwhile.

        Raises:
            StoreFullError: it does not fit, even without what no job needs; nothing is evicted.
        """
        room = self._room()
        free = room - self._reserved - size
        store = f"the server's plate store of {self.limit_bytes / 1e9:.3g} GB"
        together = size + sum(self._sizes.get(name, 0) for name in set(beside))
        if together > self.limit_bytes:
            raise StoreFullError(
                f"{store} never holds {together / 1e9:.3g} GB; start the server with a larger store"
            )
        if together > room:
            raise StoreFullError(
                f"{store} has room for {room / 1e9:.3g} GB on its disk, never for "
                f"{together / 1e9:.3g} GB; make room there"
            )
        spare = self.spare() if self._used > free else []
        pinned = self._used - self._idle_bytes
        if pinned > free and pinned - self._pinned_by(spare) > free:
            raise StoreFullError(
                f"{store}, with room for {room / 1e9:.3g} GB on its disk, is full of what jobs "
                f"need; try again in {ROOM_SECONDS:.0f} s, or start the server with a larger store",
                ROOM_SECONDS,
            )
        self._make_room(free, spare)
        self._reserved += size

    def keep_room(self) -> None:
        """Make what is reserved fit again, as far as can be, where others have filled the disk.

        Raises:
            StoreFullError: what nobody needs cannot be deleted.
        """
        free = self._room() - self._reserved
        if self._used > free:
            self._make_room(free, self.spare())

    def _make_room(self, free: int, spare: list[Job]) -> None:
        # Until no more is used than may be, or all goes that can.
        while self._used > free and (spare or self._idle):
            used, oldest = self._oldest()
            job = next((job for job in spare if job.ended_at <= used), None)
            if job is not None:
                spare.remove(job)
                self.let_go(job)
                continue
            with disk_errors("can make no room in"):
                self._forget(oldest)

    def _room(self) -> int:
        # What else lies on its disk may leave less than was asked for.
        try:
            free = shutil.disk_usage(self.folder).free
        except OSError:  # which the next write will tell
            return self.limit_bytes
        # Reserved as long as they are open, and on disk already.
        written = sum(
            max(0, upload.committed - self._sizes.get(f"{name}.part", 0))
            for name, upload in self._uploading.items()
            if upload is not None
        )
        return min(self.limit_bytes, self._used + written + free)

    def release(self, size: int) -> None:
        """Take a reservation back."""
        self._reserved -= size

    def pin(self, names: Iterable[str]) -> None:
        """Keep contents from being evicted; as often as they are pinned."""
        for name in names:
            self._pins[name] += 1
            if self._idle.pop(name, None) is not None:
                self._idle_bytes -= self._sizes[name]

    def unpin(self, names: Iterable[str], used: float | None = None) -> None:
        """Take pins back.

        Args:
            names: As they were pinned.
            used: When that was last used which has no pin any more; now where None.
        """
        used = time.time() if used is None else used
        for name in names:
            self._pins[name] -= 1
            if self._pins[name] <= 0:
                del self._pins[name]
                if name in self._sizes and name not in self._idle:
                    self._set_idle(name, used)

    def expire(self) -> None:
        """Forget what was not used for too long and no job needs."""
        longest = time.time() - self._expire_seconds
        while (oldest := self._oldest())[0] < longest:
            self._forget(oldest[1])

    def _is_gone(self, name: str) -> bool:
        try:
            return name in self._sizes and not (self.folder / name).exists()
        except OSError:  # which whoever reads it will hear
            return False

    def _oldest(self) -> tuple[float, str]:
        # When that was used which no job needs and was not used for longest, and its name.
        while self._order and self._idle.get(self._order[0][1]) != self._order[0][0]:
            heappop(self._order)
        return self._order[0] if self._order else (math.inf, "")

    def _pinned_by(self, jobs: list[Job]) -> int:
        # Bytes that nothing but these jobs pins.
        pins = Counter(chain.from_iterable(job.contents() for job in jobs))
        return sum(
            self._sizes.get(name, 0) for name, pinned in pins.items() if pinned == self._pins[name]
        )

    def _settle(self, path: Path) -> None:
        # What the disk says about one file that was just written.
        self._unproven.discard(path.name)
        if path.exists():
            self._account(path.name, path.stat().st_size, time.time())
        else:
            self._discount(path.name)

    def _account(self, name: str, size: int, used: float) -> None:
        self._discount(name)
        self._sizes[name] = size
        self._used += size
        if name not in self._pins:
            self._set_idle(name, used)

    def _set_idle(self, name: str, used: float) -> None:
        self._idle[name] = used
        self._idle_bytes += self._sizes[name]
        heappush(self._order, (used, name))
        if len(self._order) > 2 * len(self._idle) + 100:
            self._order = [(used, name) for name, used in self._idle.items()]
            heapify(self._order)

    def _discount(self, name: str) -> None:
        size = self._sizes.pop(name, 0)
        self._used -= size
        if self._idle.pop(name, None) is not None:
            self._idle_bytes -= size

    def _forget(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)
        self._unproven.discard(name)
        self._discount(name)
