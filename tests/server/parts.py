"""Parts of uploads as generated code writes them, for tests that are somebody else's client."""

from server.protocol import inpaint_pb2 as pb


def part(chunk):
    return pb.UploadRequest(
        chunk=pb.Chunk(offset=chunk.offset, crc32=chunk.crc32, data=bytes(chunk.data))
    )
