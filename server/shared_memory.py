"""Contents from the memory of a client on the same machine (Linux memfd)."""

import os
import stat
from pathlib import Path

from server.errors import InvalidRequestError
from server.plates import Upload
from server.protocol import codec
from server.protocol import inpaint_pb2 as pb

PREFIX = "/memfd:sttn-"
"""How the memory of a client is called; nothing else of a process is ever opened."""


def take(request: pb.TakeRequest, upload: Upload, path: Path) -> None:
    """Copy a content out of a client's memfd; blocks, and belongs in a thread.

    The kernel lets only processes of the same user do this. What is read counts only if it has
    the digest the client named, so nothing can be learned of memory that one does not know.

    Args:
        request: Which memory.
        upload: Where it goes; what was committed before is kept.
        path: Where it lies once it is whole.

    Raises:
        InvalidRequestError: no such memory, not ours to read, or not what the digest says.
        StoreFullError: the disk is full.
    """
    link = f"/proc/{request.process}/fd/{request.descriptor}"
    try:
        if not os.readlink(link).startswith(PREFIX):
            raise InvalidRequestError(
                f"descriptor {request.descriptor} is not a memfd named sttn-*"
            )
        descriptor = os.open(link, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidRequestError(
            f"cannot read the memory of process {request.process}: {error.strerror}; upload instead"
        ) from None
    with open(descriptor, "rb", buffering=0) as memory:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InvalidRequestError("that is no memory")
        upload.resume()
        memory.seek(upload.committed)
        while upload.committed < request.size:
            data = memory.read(min(codec.CHUNK_BYTES, request.size - upload.committed))
            if not data:
                break
            upload.extend(data)
        upload.finish(path)
