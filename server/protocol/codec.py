"""Pixels to bytes and back, and chunks of bytes. No torch: nodes import this too."""

import sys
from collections.abc import Iterator
from mmap import mmap
from typing import Any

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray
from zlib_ng import zlib_ng as zlib

from server.protocol import inpaint_pb2 as pb
from server.protocol.chunks import Chunk, Content

CHUNK_BYTES = 2**20
"""Bytes per chunk at most; gRPC's own message limit of 4 MiB stays as it is."""

ORIGINS = ("frame", "x", "y", "share", "real")
"""Channels of the image that tells where a completed frame's pixels come from."""

MAX_CHANNELS = 5
"""Channels of an image at most."""

MAX_SIDE = 16384
"""Rows or columns of an image at most."""

MAX_RADIUS = 100
"""Frames on either side of a window's center at most: memory grows with them, and a window is
computed to its end before a cancel is heard."""

MAX_STRIDE = 1000
"""Frames between two reference frames at most."""

_TYPES: dict[int, np.dtype[Any]] = {
    pb.UINT8: np.dtype("uint8"),
    pb.FLOAT16: np.dtype("<f2"),
    pb.FLOAT32: np.dtype("<f4"),
}


class CodecError(ValueError):
    """Bytes that are not what their description says."""


class OffsetError(CodecError):
    """A chunk that does not go on where the last one ended."""


def hasher() -> blake3:
    """Takes a content in piece by piece; its ``hexdigest()`` is the content's name."""
    return blake3()


def digest(content: Content) -> str:
    """Name of a content: lower-case hexadecimal BLAKE3 of 256 bits (BLAKE3, 2020)."""
    return blake3(content).hexdigest()


def dtype_of(kind: int) -> np.dtype[Any]:
    """The numpy type of a pixel type.

    Raises:
        CodecError: a type the wire does not know.
    """
    if kind not in _TYPES:
        raise CodecError(f"unknown pixel type {kind}")
    return _TYPES[kind]


def encode_image(
    pixels: NDArray[Any],
    channels: tuple[str, ...],
    compression: pb.Compression = pb.NONE,
) -> tuple[pb.Image, Content]:
    """Describe an array and lay out its bytes, which are a view of it where nothing else is asked.

    Args:
        pixels: (H, W, C) uint8, float16 or float32, top row first.
        channels: C names.
        compression: How the bytes travel.

    Raises:
        CodecError: a type the wire does not know.
    """
    assert pixels.shape[2:] == (len(channels),)
    kinds = [kind for kind, dtype in _TYPES.items() if dtype == pixels.dtype.newbyteorder("<")]
    if not kinds:
        raise CodecError(f"pixels are {pixels.dtype}; send uint8, float16 or float32")
    if sys.byteorder == "big":
        pixels = pixels.astype(pixels.dtype.newbyteorder("<"))
    flat = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
    content: Content = flat.data
    if compression == pb.SHUFFLED_ZLIB:
        planes = flat.reshape(-1, pixels.itemsize).T
        content = zlib.compress(planes.tobytes(), level=2)
    image = pb.Image(
        digest=digest(content),
        width=pixels.shape[1],
        height=pixels.shape[0],
        channels=channels,
        type=kinds[0],  # type: ignore[arg-type]
        compression=compression,
        size=len(content),
    )
    return image, content


def image_bytes(image: pb.Image) -> int:
    """Bytes of an image's pixels, uncompressed.

    Raises:
        CodecError: no pixels, too many, no channels, an unknown type or compression.
    """
    dtype = dtype_of(image.type)
    if not (0 < image.width <= MAX_SIDE and 0 < image.height <= MAX_SIDE):
        raise CodecError(f"an image of {image.width}x{image.height} is out of 1..{MAX_SIDE}")
    if not 1 <= len(image.channels) <= MAX_CHANNELS:
        raise CodecError(f"an image has 1 to {MAX_CHANNELS} channels, not {len(image.channels)}")
    if image.compression not in (pb.NONE, pb.SHUFFLED_ZLIB):
        raise CodecError(f"unknown compression {image.compression}")
    return image.width * image.height * len(image.channels) * dtype.itemsize


def decode_image(image: pb.Image, content: Content | mmap) -> NDArray[Any]:
    """The array (H, W, C) that a description and its bytes stand for; read-only.

    Raises:
        CodecError: the bytes are not what the description asks for.
    """
    expected = image_bytes(image)
    dtype = dtype_of(image.type)
    if image.compression == pb.SHUFFLED_ZLIB:
        planes = np.frombuffer(_inflated(content, expected), np.uint8)
        content = planes.reshape(dtype.itemsize, -1).T.tobytes()
    if len(content) != expected:
        raise CodecError(
            f"an image of {image.width}x{image.height}x{len(image.channels)} has {expected} bytes, "
            f"got {len(content)}"
        )
    flat = np.frombuffer(content, dtype=dtype)
    return flat.reshape(image.height, image.width, len(image.channels))


def _inflated(content: Content | mmap, expected: int) -> bytes:
    # Never more than the description promises, whatever the stream would grow to.
    stream = zlib.decompressobj()
    try:
        pixels = stream.decompress(content, expected + 1)
    except zlib.error as error:  # type: ignore[misc]  # an instance, says its stub
        raise CodecError(f"compressed content cannot be read: {error}") from None
    if len(pixels) != expected or not stream.eof or stream.unused_data:
        raise CodecError(f"compressed content does not hold the {expected} bytes of its image")
    return pixels


def chunks(content: Content, offset: int = 0) -> Iterator[Chunk]:
    """Cut content into chunks from an offset on; they are views of it."""
    view = memoryview(content)
    for start in range(offset, len(content), CHUNK_BYTES):
        yield chunk_at(start, view[start : start + CHUNK_BYTES])


def chunk_at(offset: int, data: Content) -> Chunk:
    """A chunk with its checksum."""
    return Chunk(offset, zlib.crc32(data), data)


def checked(chunk: Chunk, committed: int) -> Content:
    """The bytes of a chunk that goes on where the last one ended.

    Raises:
        OffsetError: a gap, or bytes sent before.
        CodecError: an oversize chunk or a wrong checksum.
    """
    if chunk.offset != committed:
        raise OffsetError(f"chunk at offset {chunk.offset}, expected {committed}")
    if len(chunk.data) > CHUNK_BYTES:
        raise CodecError(f"chunk of {len(chunk.data)} bytes, at most {CHUNK_BYTES} allowed")
    if zlib.crc32(chunk.data) != chunk.crc32:
        raise CodecError(f"checksum of the chunk at offset {chunk.offset} is wrong")
    return chunk.data
