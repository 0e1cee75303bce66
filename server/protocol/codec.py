"""Pixels to bytes and back, and chunks of bytes. Numpy only: nodes import this too."""

import hashlib
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.protocol import inpaint_pb2 as pb

CHUNK_BYTES = 2**20
"""Bytes per chunk at most; gRPC's own message limit of 4 MiB stays as it is."""

MAX_SIDE = 16384
"""Rows or columns of an image at most."""

_TYPES: dict[int, np.dtype[Any]] = {
    pb.UINT8: np.dtype("uint8"),
    pb.FLOAT16: np.dtype("<f2"),
    pb.FLOAT32: np.dtype("<f4"),
}


class CodecError(ValueError):
    """Bytes that are not what their description says."""


def digest(content: bytes) -> str:
    """Name of a content: lower-case hexadecimal BLAKE2b-256."""
    return hashlib.blake2b(content, digest_size=32).hexdigest()


def encode_image(pixels: NDArray[Any], channels: tuple[str, ...]) -> tuple[pb.Image, bytes]:
    """Describe an array and lay out its bytes.

    Args:
        pixels: (H, W, C) uint8, float16 or float32, top row first.
        channels: C names.

    Raises:
        CodecError: a type the wire does not know.
    """
    assert pixels.shape[2:] == (len(channels),)
    kinds = [kind for kind, dtype in _TYPES.items() if dtype == pixels.dtype.newbyteorder("<")]
    if not kinds:
        raise CodecError(f"pixels are {pixels.dtype}; send uint8, float16 or float32")
    if sys.byteorder == "big":
        pixels = pixels.astype(pixels.dtype.newbyteorder("<"))
    content = np.ascontiguousarray(pixels).tobytes()
    image = pb.Image(
        digest=digest(content),
        width=pixels.shape[1],
        height=pixels.shape[0],
        channels=channels,
        type=kinds[0],  # type: ignore[arg-type]
    )
    return image, content


def image_bytes(image: pb.Image) -> int:
    """Bytes an image of this description has.

    Raises:
        CodecError: no pixels, too many, no channels or an unknown type.
    """
    if image.type not in _TYPES:
        raise CodecError(f"unknown pixel type {image.type}")
    if not (0 < image.width <= MAX_SIDE and 0 < image.height <= MAX_SIDE):
        raise CodecError(f"an image of {image.width}x{image.height} is out of 1..{MAX_SIDE}")
    if not 1 <= len(image.channels) <= 4:
        raise CodecError(f"an image has 1 to 4 channels, not {len(image.channels)}")
    return image.width * image.height * len(image.channels) * _TYPES[image.type].itemsize


def decode_image(image: pb.Image, content: bytes) -> NDArray[Any]:
    """The array (H, W, C) that a description and its bytes stand for; read-only.

    Raises:
        CodecError: the bytes are not as many as the description asks for.
    """
    expected = image_bytes(image)
    if len(content) != expected:
        raise CodecError(
            f"an image of {image.width}x{image.height}x{len(image.channels)} has {expected} bytes, "
            f"got {len(content)}"
        )
    flat = np.frombuffer(content, dtype=_TYPES[image.type])
    return flat.reshape(image.height, image.width, len(image.channels))


def chunks(content: bytes, offset: int = 0) -> Iterator[pb.Chunk]:
    """Cut content into chunks from an offset on."""
    view = memoryview(content)
    for start in range(offset, len(content), CHUNK_BYTES):
        data = bytes(view[start : start + CHUNK_BYTES])
        yield pb.Chunk(offset=start, crc32=zlib.crc32(data), data=data)


def check_chunk(chunk: pb.Chunk, committed: int) -> None:
    """Make sure that a chunk goes on where the last one ended.

    Raises:
        CodecError: a gap, an oversize chunk or a wrong checksum.
    """
    if chunk.offset != committed:
        raise CodecError(f"chunk at offset {chunk.offset}, expected {committed}")
    if len(chunk.data) > CHUNK_BYTES:
        raise CodecError(f"chunk of {len(chunk.data)} bytes, at most {CHUNK_BYTES} allowed")
    if zlib.crc32(chunk.data) != chunk.crc32:
        raise CodecError(f"checksum of the chunk at offset {chunk.offset} is wrong")
