"""Contents from and to the memory of a client on the same machine (Linux memfd).

The kernel lets a server open the memory of every process of its user, whoever asks it to: so it is
done only where nobody else can ask (:attr:`ServerConfig.private`).
"""

import io
import os
import shutil
from pathlib import Path
from typing import BinaryIO

from server.errors import InvalidRequestError
from server.protocol import codec
from server.protocol import inpaint_pb2 as pb
from server.uploads import Upload

PREFIX = "/memfd:sttn-"
"""How the memory of a client is called; nothing else of a process is ever opened."""


def take(request: pb.TakeRequest, upload: Upload, path: Path) -> None:
    """Copy a content out of a client's memfd; blocks, and belongs in a thread.

    What is read counts only if it has the digest the client named.

    Args:
        request: Which memory.
        upload: Where it goes; what was committed before is kept.
        path: Where it lies once it is whole.

    Raises:
        InvalidRequestError: no such memory, not ours to read, or not what the digest says.
        StoreFullError: the disk is full.
    """
    with _opened(request.process, request.descriptor, os.O_RDONLY) as memory:
        upload.resume()
        memory.seek(upload.committed)
        while upload.committed < request.size:
            data = memory.read(min(codec.CHUNK_BYTES, request.size - upload.committed))
            if not data:
                break
            upload.extend(data)
        upload.finish(path)


def give(request: pb.GiveRequest, content: BinaryIO) -> int:
    """Copy a content into a client's memfd; blocks, and belongs in a thread.

    Args:
        request: Which memory.
        content: From its start on.

    Returns:
        Its bytes.

    Raises:
        InvalidRequestError: no such memory, not ours to write, or not as large as the content.
    """
    size = os.fstat(content.fileno()).st_size
    with _opened(request.process, request.descriptor, os.O_RDWR) as memory:
        if os.fstat(memory.fileno()).st_size != size:
            raise InvalidRequestError(f"that memory must be {size} bytes large")
        shutil.copyfileobj(content, memory, codec.CHUNK_BYTES)
    return size


def _opened(process: int, descriptor: int, flags: int) -> io.FileIO:
    """A client's memory; nothing else that a process has open."""
    link = f"/proc/{process}/fd/{descriptor}"
    try:
        # Looked at before, since opening a device or a pipe does things; and after, since what a
        # number means may change in between.
        _require_memory(os.readlink(link), descriptor)
        opened = os.open(link, flags | os.O_NONBLOCK)
    except OSError as error:
        raise InvalidRequestError(
            f"cannot open the memory of process {process}: {error.strerror}; "
            "send and fetch it in chunks instead"
        ) from None
    memory = io.FileIO(opened, "r" if flags == os.O_RDONLY else "r+")
    try:
        _require_memory(os.readlink(f"/proc/self/fd/{opened}"), descriptor)
    except InvalidRequestError:
        memory.close()
        raise
    return memory


def _require_memory(name: str, descriptor: int) -> None:
    if not name.startswith(PREFIX):
        raise InvalidRequestError(f"descriptor {descriptor} is not a memfd named sttn-*")
