"""A content on its way in; what breaks off is gone on with."""

import os
from pathlib import Path

from server.errors import InvalidRequestError, SpoiledUploadError, disk_errors
from server.protocol import codec
from server.protocol import inpaint_pb2 as pb
from server.protocol.chunks import Chunk, Content


class Upload:
    """One content on its way in. Methods block on the disk and belong in a thread.

    Raises:
        StoreFullError: by every method; the disk is full, or refuses. What was committed before is
            kept.
    """

    @disk_errors("cannot write to")
    def __init__(self, part: Path, header: pb.UploadHeader) -> None:
        self._part = part
        self._header = header
        self._hash = codec.hasher()
        self._file = part.open("ab+", buffering=0)
        self.committed = 0
        self._resumed = False

    @disk_errors("cannot read")
    def resume(self) -> None:
        """Take into account what an upload before this one left."""
        self._file.seek(0)
        while data := self._file.read(codec.CHUNK_BYTES):
            self._hash.update(data)
            self.committed += len(data)
        self._resumed = self.committed > 0

    def append(self, chunk: Chunk) -> int:
        """Take the next bytes; the answer is how many.

        Raises:
            CodecError: a gap, a wrong checksum or an oversize chunk.
            InvalidRequestError: more than the header promised.
        """
        data = codec.checked(chunk, self.committed)
        self.extend(data)
        return len(data)

    @disk_errors("cannot write to")
    def extend(self, data: Content) -> None:
        """Take the next bytes, which need no check; errors as for :meth:`append`."""
        if self.committed + len(data) > self._header.size:
            raise InvalidRequestError(
                f"more than the {self._header.size} bytes the header promised"
            )
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(self.committed)
            raise
        self._hash.update(data)
        self.committed += len(data)

    @disk_errors("cannot write to")
    def finish(self, path: Path) -> None:
        """Check the whole and give it its name.

        Raises:
            InvalidRequestError: size or digest differ; what arrived is forgotten.
            SpoiledUploadError: likewise, and an earlier upload may be to blame.
        """
        name, size = self._header.digest, self._header.size
        written = os.fstat(self._file.fileno()).st_size
        wrong = None
        if not self.committed == written == size:
            wrong = f"upload of {name} has {written} bytes, not {size}"
        elif self._hash.hexdigest() != name:
            wrong = f"upload of {name} has another digest; send it again"
        if wrong is not None:
            self._part.unlink(missing_ok=True)
            raise SpoiledUploadError(wrong) if self._resumed else InvalidRequestError(wrong)
        self._part.replace(path)

    @disk_errors("cannot write to")
    def close(self) -> None:
        """What is committed stays."""
        self._file.close()
