"""Jobs on disk, so that a server that is started again goes on with them."""

import contextlib
import hashlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

from google.protobuf import proto
from google.protobuf.message import DecodeError

from server.protocol import inpaint_pb2 as pb

logger = logging.getLogger(__name__)


class JobJournal:
    """A file per job: its request, then its events, each prefixed by its length."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(exist_ok=True)

    def begin(self, request: pb.SubmitRequest) -> None:
        """Write a job down, under the owner it is given in ``request.client``."""
        self._append(request.job_id, request, "wb")

    def add(self, job_id: str, event: pb.JobEvent) -> None:
        """Write down what happened."""
        self._append(job_id, event, "ab")

    def forget(self, job_id: str) -> None:
        """Delete a job."""
        self._path(job_id).unlink(missing_ok=True)

    def read(self) -> Iterator[tuple[pb.SubmitRequest, list[pb.JobEvent]]]:
        """All jobs, oldest first; of one cut short by a crash, what is whole."""
        for path in sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime):
            content = io.BytesIO(path.read_bytes())
            events: list[pb.JobEvent] = []
            request = None
            with contextlib.suppress(DecodeError, ValueError):
                request = proto.parse_length_prefixed(pb.SubmitRequest, content)
                while event := proto.parse_length_prefixed(pb.JobEvent, content):
                    events.append(event)
            if request is None:
                path.unlink()
                continue
            yield request, events

    def _append(self, job_id: str, message: pb.SubmitRequest | pb.JobEvent, mode: str) -> None:
        record = io.BytesIO()
        proto.serialize_length_prefixed(message, record)
        try:
            with self._path(job_id).open(mode) as file:
                file.write(record.getvalue())
        except OSError as error:
            # The job itself goes on; only a restart would not know of it.
            logger.warning("cannot write down job %s: %s", job_id, error)

    def _path(self, job_id: str) -> Path:
        return self._folder / hashlib.sha256(job_id.encode()).hexdigest()
