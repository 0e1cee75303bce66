"""The Plates service with chunks whose bytes are not copied on their way through protobuf.

What is written here any parser of Protocol Buffers reads, and what any encoder writes is read here
(https://protobuf.dev/programming-guides/encoding). By hand goes only the one layout that nearly all
encoders write: offset and checksum, then the bytes, and nothing after them.
"""

from typing import Any, NamedTuple, TypeAlias

import grpc

from server.protocol import inpaint_pb2 as pb
from server.protocol import inpaint_pb2_grpc

_OFFSET, _CRC32, _DATA = b"\x08", b"\x10", b"\x1a"  # tags of the fields of Chunk
_CHUNK = b"\x12"  # tag of UploadRequest.chunk

_SERVICE = pb.DESCRIPTOR.services_by_name["Plates"].full_name

Content: TypeAlias = bytes | memoryview
"""Bytes of a content, or of a piece of it; nobody changes them."""


class Chunk(NamedTuple):
    """A piece of a content, as the message Chunk describes it."""

    offset: int
    """Bytes before it."""
    crc32: int
    """Checksum of its bytes (CRC-32 of zlib, RFC 1952)."""
    data: Content


class PlatesStub(inpaint_pb2_grpc.PlatesStub):
    """The client's side: Upload takes chunks as they are, Download yields them."""

    def __init__(self, channel: grpc.Channel) -> None:
        super().__init__(channel)
        self.Upload = channel.stream_unary(
            f"/{_SERVICE}/Upload",
            request_serializer=request_bytes,
            response_deserializer=pb.UploadResponse.FromString,
        )
        self.Download = channel.unary_stream(
            f"/{_SERVICE}/Download",
            request_serializer=pb.DownloadRequest.SerializeToString,
            response_deserializer=read_chunk,
        )


def add_plates(servicer: inpaint_pb2_grpc.PlatesServicer, server: grpc.aio.Server) -> None:
    """Add the service, so that Upload gets chunks as they came and Download may yield them."""
    inpaint_pb2_grpc.add_PlatesServicer_to_server(servicer, server)
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Upload": grpc.stream_unary_rpc_method_handler(
            servicer.Upload,
            request_deserializer=read_request,
            response_serializer=pb.UploadResponse.SerializeToString,
        ),
        "Download": grpc.unary_stream_rpc_method_handler(
            servicer.Download,
            request_deserializer=pb.DownloadRequest.FromString,
            response_serializer=chunk_bytes,
        ),
    }
    server.add_registered_method_handlers(_SERVICE, handlers)


def request_bytes(request: pb.UploadRequest | Chunk) -> bytes:
    """A part of an upload on the wire."""
    if isinstance(request, pb.UploadRequest):
        return request.SerializeToString()
    fields = _fields(request)
    size = _varint(len(fields) + len(request.data))
    return b"".join((_CHUNK, size, fields, request.data))


def read_request(wire: bytes) -> pb.UploadRequest | Chunk:
    """A part of an upload; the bytes of a chunk are a view of those given.

    Raises:
        google.protobuf.message.DecodeError: it is none.
    """
    if wire.startswith(_CHUNK):
        size, start = _read_varint(wire, 1)
        if start + size == len(wire) and (chunk := _plain(wire, start)):
            return chunk
    request = pb.UploadRequest.FromString(wire)
    return _read(request.chunk) if request.WhichOneof("part") == "chunk" else request


def chunk_bytes(chunk: Chunk) -> bytes:
    """A part of a download on the wire."""
    return b"".join((_fields(chunk), chunk.data))


def read_chunk(wire: bytes) -> Chunk:
    """A part of a download; its bytes are a view of those given.

    Raises:
        google.protobuf.message.DecodeError: it is none.
    """
    return _plain(wire, 0) or _read(pb.Chunk.FromString(wire))


def _read(chunk: pb.Chunk) -> Chunk:
    return Chunk(chunk.offset, chunk.crc32, chunk.data)


def _fields(chunk: Chunk) -> bytes:
    # All of a Chunk message but the bytes that it ends with.
    described = pb.Chunk(offset=chunk.offset, crc32=chunk.crc32).SerializeToString()
    return described + _DATA + _varint(len(chunk.data))


def _plain(wire: bytes, at: int) -> Chunk | None:
    # A chunk that reaches from there to the end; None where it is laid out in another way.
    offset = crc32 = 0
    if wire.startswith(_OFFSET, at):
        offset, at = _read_varint(wire, at + 1)
    if wire.startswith(_CRC32, at):
        crc32, at = _read_varint(wire, at + 1)
    if not wire.startswith(_DATA, at):
        return None
    size, at = _read_varint(wire, at + 1)
    if at + size != len(wire) or crc32 >= 2**32:
        return None
    return Chunk(offset, crc32, memoryview(wire)[at:])


def _varint(value: int) -> bytes:
    # Seven bits a byte, the lowest first; the eighth says that more follow.
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _read_varint(wire: bytes, at: int) -> tuple[int, int]:
    # The value and where the next field begins; what is cut off or too long is never that near.
    value = 0
    for place, byte in enumerate(wire[at : at + 9]):
        value |= (byte & 0x7F) << 7 * place
        if byte <= 0x7F:
            return value, at + place + 1
    return value, len(wire) + 1
