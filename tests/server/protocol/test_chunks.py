import zlib

import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from server.protocol import inpaint_pb2 as pb
from server.protocol.chunks import Chunk, chunk_bytes, read_chunk, read_request, request_bytes

OFFSETS = st.integers(0, 2**64 - 1)
CHECKSUMS = st.integers(0, 2**32 - 1)
CHUNKS = st.builds(Chunk, OFFSETS, CHECKSUMS, st.binary(max_size=300))
MESSAGES = st.builds(pb.Chunk, offset=OFFSETS, crc32=CHECKSUMS, data=st.binary(max_size=300))


def said(chunk):
    return chunk.offset, chunk.crc32, bytes(chunk.data)


def read_or_refused(read, wire):
    try:
        return read(wire)
    except DecodeError:
        return None


@given(CHUNKS)
@example(Chunk(0, 0, b""))
def test_generated_code_reads_what_is_written_by_hand(chunk):
    """A farm's scripts, in any language, know the .proto and nothing else."""
    assert said(pb.Chunk.FromString(chunk_bytes(chunk))) == said(chunk)
    assert said(pb.UploadRequest.FromString(request_bytes(chunk)).chunk) == said(chunk)


@given(MESSAGES)
def test_what_generated_code_writes_is_read(message):
    """Such a script uploads and downloads as the client does that comes with the server."""
    assert said(read_chunk(message.SerializeToString())) == said(message)
    request = pb.UploadRequest(chunk=message)
    assert said(read_request(request.SerializeToString())) == said(message)


FIELDS = st.lists(
    st.one_of(
        MESSAGES.map(lambda each: each.SerializeToString()),
        st.sampled_from([b"\x08\x07", b"\x10\x80\x80\x80\x80\x10", b"\x1a\x01x", b"\x1a\x00"]),
        st.sampled_from([b"\x22\x01x", b"\x1a", b"\x08", b"\x08" + 9 * b"\xff" + b"\x01"]),
        st.binary(max_size=12),
    ),
    max_size=5,
).map(b"".join)


@given(FIELDS)
def test_other_layouts_mean_what_generated_code_makes_of_them(wire):
    """Fields twice, in another order, unknown, cut off: a hostile client gains nothing by them."""
    expected = read_or_refused(pb.Chunk.FromString, wire)
    chunk = read_or_refused(read_chunk, wire)
    assert (chunk and said(chunk)) == (expected and said(expected))

    for size in {len(wire), max(0, len(wire) - 1), len(wire) + 1}:
        inside = b"\x12" + bytes([size]) + wire if size < 0x80 else b"\x12"
        for whole in (inside, inside + b"\x1a\x00", inside + inside):
            expected = read_or_refused(pb.UploadRequest.FromString, whole)
            request = read_or_refused(read_request, whole)
            if isinstance(request, Chunk):
                assert said(request) == said(expected.chunk)
                assert expected.WhichOneof("part") == "chunk"
            else:
                assert request == expected


@pytest.mark.parametrize(
    "request_", [pb.UploadRequest(header=pb.UploadHeader(size=7)), pb.UploadRequest()]
)
def test_other_parts_of_an_upload_stay_messages(request_):
    """A header, a finish, or nothing at all."""
    assert read_request(request_bytes(request_)) == request_


def test_bytes_are_not_copied():
    """What an upload of gigabytes costs: every copy of a MiB is a tenth of its time."""
    wire = request_bytes(Chunk(2**40, zlib.crc32(b"pixels"), b"pixels"))

    chunk = read_request(wire)

    assert isinstance(chunk.data, memoryview)
    assert chunk.data.obj is wire
    assert chunk.data == b"pixels"
