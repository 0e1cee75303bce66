"""Jobs on disk, so that a server that is started again goes on with them."""

import contextlib
import logging
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from server.jobs import Job
from server.protocol import inpaint_pb2 as pb

logger = logging.getLogger(__name__)

_HEAD = struct.Struct("<II")
"""Length and CRC-32 of the record that follows."""


class JobJournal:
    """A file per job: its request, then its events, each after its length and its checksum.

    The end of a job that is cancelled while it runs is written down at once; what its process still
    says may follow. Files are named by numbers that rise, so that jobs are read in the order in
    which they came.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._paths: dict[str, Path] = {}
        numbers = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()]
        self._number = max(numbers, default=-1)

    def begin(self, request: pb.SubmitRequest) -> None:
        """Write a job down, under the owner it is given in ``request.client``."""
        self._number += 1
        self._paths[request.job_id] = self._folder / str(self._number)
        if not self._append(request.job_id, request):
            self.forget(request.job_id)

    def add(self, job_id: str, event: pb.JobEvent) -> None:
        """Write down what happened."""
        if job_id in self._paths:
            self._append(job_id, event)

    def forget(self, job_id: str) -> None:
        """Delete a job; where the disk does not let it go, the next start finds it again."""
        if job_id in self._paths:
            try:
                self._paths.pop(job_id).unlink(missing_ok=True)
            except OSError as error:
                logger.warning("cannot delete what was written down of job %s: %s", job_id, error)

    def read(self) -> Iterator[Job]:
        """All jobs, in the order in which they came; of one cut short by a crash, what is whole.

        What is not whole is cut off, so that what follows can be read; a job of which nothing is
        whole is deleted.
        """
        for path in sorted(self._folder.iterdir(), key=lambda path: (len(path.name), path.name)):
            written_at, size = path.stat().st_mtime, path.stat().st_size
            records = list(_records(path.read_bytes()))
            if not records:
                logger.warning("no job can be read from %s; it is deleted", path)
                path.unlink()
                continue
            request = pb.SubmitRequest.FromString(records[0])
            events = [pb.JobEvent.FromString(record) for record in records[1:]]
            whole = sum(_HEAD.size + len(record) for record in records)
            if whole < size:
                logger.warning("job %s was cut short after %d events", request.job_id, len(events))
                os.truncate(path, whole)
            self._paths[request.job_id] = path
            yield Job.restored(request, events, written_at)

    def _append(self, job_id: str, message: pb.SubmitRequest | pb.JobEvent) -> bool:
        record = message.SerializeToString()
        path, whole = self._paths[job_id], None
        try:
            with path.open("ab") as file:
                whole = file.tell()
                file.write(_HEAD.pack(len(record), zlib.crc32(record)) + record)
        except OSError as error:
            # The job itself goes on; only a restart would not know of it.
            logger.warning("cannot write down job %s: %s", job_id, error)
            if whole is not None:
                with contextlib.suppress(OSError):
                    os.truncate(path, whole)  # half a record would spoil the next one
            return False
        return True


def _records(content: bytes) -> Iterator[bytes]:
    # As far as they are whole; a disk that lost its power may leave zeros.
    start = 0
    while len(content) >= start + _HEAD.size:
        size, checksum = _HEAD.unpack_from(content, start)
        start += _HEAD.size
        record = content[start : start + size]
        if not size or len(record) < size or zlib.crc32(record) != checksum:
            return
        yield record
        start += size
