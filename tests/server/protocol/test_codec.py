"""Bytes on the wire: whatever comes in, it is the image that went out or a CodecError."""

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from server.protocol import codec
from server.protocol import inpaint_pb2 as pb

images = st.sampled_from(["u1", "<f2", "<f4"]).flatmap(
    lambda dtype: hnp.arrays(dtype, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))
)


compressions = st.sampled_from([pb.NONE, pb.SHUFFLED_ZLIB])


@given(images, compressions)
def test_images_survive_the_wire_bit_for_bit(pixels, compression):
    """NaN payloads and infinities included, compressed or not."""
    image, content = codec.encode_image(pixels, ("R", "G", "B"), compression)

    decoded = codec.decode_image(image, content)

    assert decoded.dtype == pixels.dtype
    assert decoded.tobytes() == pixels.tobytes()
    assert image.digest == codec.digest(content)
    assert image.size == len(content)


@given(
    st.binary(max_size=200),
    st.builds(
        pb.Image,
        width=st.integers(0, 2**32 - 1),
        height=st.integers(0, 2**32 - 1),
        channels=st.lists(st.sampled_from("RGBA"), max_size=6),
        type=st.integers(0, 5),
        compression=st.integers(0, 3),
    ),
)
def test_garbage_is_a_codec_error(content, image):
    """A confused client never crashes the server or makes it allocate."""
    try:
        pixels = codec.decode_image(image, content)
    except codec.CodecError:
        return

    assert image.compression or pixels.nbytes == len(content)


@given(images, st.data())
def test_damaged_compression_is_a_codec_error(pixels, data):
    """Cut short, gone on with, or made to grow without end: never more bytes than promised."""
    image, content = codec.encode_image(pixels, ("R", "G", "B"), pb.SHUFFLED_ZLIB)
    damaged = data.draw(
        st.sampled_from([content[:-1], content + b"x", zlib.compress(bytes(10**6)), b""])
    )

    with pytest.raises(codec.CodecError, match="compressed content"):
        codec.decode_image(image, damaged)


def test_a_mask_shrinks_a_hundredfold():
    """What a changed matte costs on the wire."""
    mask = np.zeros((240, 432, 1), np.uint8)
    mask[60:120, 100:300] = 1

    _, content = codec.encode_image(mask, ("A",), pb.SHUFFLED_ZLIB)

    assert len(content) < mask.nbytes / 100


@given(st.integers(0, 3 * codec.CHUNK_BYTES), st.integers(0, 3 * codec.CHUNK_BYTES))
def test_chunks_join_to_the_content(size, offset):
    """A download taken up at any offset ends with the same bytes."""
    content = np.random.default_rng(size).bytes(size)
    received = bytearray(content[:offset])

    for chunk in codec.chunks(content, min(offset, size)):
        received.extend(codec.checked(chunk, len(received)))

    assert bytes(received) == content


@pytest.mark.parametrize(
    ("chunk", "told"),
    [
        (pb.Chunk(offset=5, data=b"x"), "offset 5, expected 3"),
        (pb.Chunk(offset=3, data=bytes(codec.CHUNK_BYTES + 1)), "at most"),
        (pb.Chunk(offset=3, data=b"x", crc32=1), "checksum"),
    ],
)
def test_wrong_chunks_are_refused(chunk, told):
    """A gap, an oversize chunk and damaged bytes are never committed."""
    with pytest.raises(codec.CodecError, match=told):
        codec.checked(chunk, 3)


def test_types_the_wire_does_not_know_are_refused():
    """A double-precision plate is the caller's to convert."""
    with pytest.raises(codec.CodecError, match="float64"):
        codec.encode_image(np.zeros((1, 1, 3)), ("R", "G", "B"))
