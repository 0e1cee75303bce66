"""What is taken on: jobs and contents that can be, calls that there is a place for."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from server.config import LimitsConfig
from server.errors import InvalidRequestError, ServerBusyError
from server.protocol import codec
from server.protocol import inpaint_pb2 as pb
from sttn.settings.raster import RASTER_MULTIPLE

LONGEST_JOB_ID = 200
"""Characters."""

PLATE_BYTES = 3 * 4
"""Of a pixel of a plate as float32, the largest that a client sends."""

CHANNELS = {"plate": ["R", "G", "B"], "mask": ["A"]}
"""Names of an image's channels, in their order."""

PLACE_SECONDS = 1.0
"""When a client is told to come back while there is no place."""

ORIGINS_BYTES = 4 * len(codec.ORIGINS)
"""Of where a pixel comes from, if it could not be compressed at all."""


def require_valid(request: pb.SubmitRequest, limits: LimitsConfig) -> None:
    """Make sure that a job can be carried out.

    Raises:
        InvalidRequestError: no name, no frames, too many, windows too large, an image that cannot
            be, images that do not belong together, or a number that means nothing here.
        CodecError: no such type of results.
    """
    if not 0 < len(request.job_id) <= LONGEST_JOB_ID:
        raise InvalidRequestError(f"a job_id of 1 to {LONGEST_JOB_ID} characters is needed")
    frames = request.frames
    if not frames:
        raise InvalidRequestError("the clip has no frames")
    if len(frames) > limits.frames_per_job:
        raise InvalidRequestError(
            f"the clip has {len(frames)} frames; this server takes {limits.frames_per_job} in a job"
        )
    if all(frame.role != pb.PLATE for frame in frames):
        raise InvalidRequestError("all frames are handles or clean frames; nothing to complete")
    first = frames[0].plate
    for index, frame in enumerate(frames):
        for kind, image in (("plate", frame.plate), ("mask", frame.mask)):
            if not frame.HasField(kind):
                raise InvalidRequestError(f"frame {index} has no {kind}")
            _require_image(kind, index, image, first)
        if frame.plate.type == pb.UINT8:
            raise InvalidRequestError(
                f"the plate of frame {index} is UINT8; send FLOAT16 or FLOAT32 in [0, 1]"
            )
        if frame.role not in pb.Role.values():
            raise InvalidRequestError(
                f"frame {index} has the role {frame.role}; this server knows "
                f"{', '.join(pb.Role.keys())}"
            )
    if first.width % RASTER_MULTIPLE or first.height % RASTER_MULTIPLE:
        raise InvalidRequestError(
            f"frames are {first.width}x{first.height}; resample them to multiples of "
            f"{RASTER_MULTIPLE}"
        )
    if first.width * first.height > limits.megapixels * 1e6:
        raise InvalidRequestError(
            f"frames are {first.width}x{first.height}; this server takes "
            f"{limits.megapixels:g} megapixels"
        )
    for name, most in (
        ("neighbor_radius", codec.MAX_RADIUS),
        ("reference_stride", codec.MAX_STRIDE),
    ):
        if getattr(request.windows, name) > most:
            raise InvalidRequestError(
                f"{name} is {getattr(request.windows, name)}; this server takes {most} at most"
            )
    if request.result_type == pb.UINT8:
        raise InvalidRequestError("result_type must be FLOAT16 or FLOAT32")
    if request.result_compression not in pb.Compression.values():
        raise InvalidRequestError(
            f"result_compression is {request.result_compression}; this server knows "
            f"{', '.join(pb.Compression.keys())}"
        )
    frame_bytes(request)


def require_possible(content: pb.UploadHeader, limits: LimitsConfig) -> None:
    """Make sure that a content can be a job's, before room is made for it.

    Raises:
        InvalidRequestError: it is larger than any plate.
    """
    largest = int(limits.megapixels * 1e6) * PLATE_BYTES
    largest += largest // 1000 + 64  # zlib's own, where nothing can be compressed
    if content.size > largest:
        raise InvalidRequestError(
            f"a content of {content.size} bytes is larger than any plate; this server takes "
            f"{limits.megapixels:g} megapixels, {largest} bytes"
        )


def require_place(
    kind: str, own: tuple[int, int], whole: tuple[int, int], retry_seconds: float
) -> None:
    """Make sure that there is room for one more.

    Args:
        kind: Of what, and how they take it: ``jobs are waiting``.
        own: How many the caller has, and may have.
        whole: How many there are, and may be.
        retry_seconds: When to come back where there is none.

    Raises:
        ServerBusyError: there is none, or none for this caller.
    """
    for whose, (taken, limit) in (("of your ", own), ("", whole)):
        if taken >= limit:
            raise ServerBusyError(f"{taken} {whose}{kind} already", retry_seconds)


class Places:
    """For calls that hold files and memory as long as they are open.

    Who shows who they are gets a quarter of them, so that one who opens many and ends none locks
    nobody out.
    """

    def __init__(self, calls: str, count: int) -> None:
        """All are free.

        Args:
            calls: What they are for, as people call it.
            count: How many there are.
        """
        self._calls = calls
        self._count = count
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, caller: str) -> Iterator[None]:
        """Have one inside the block.

        Args:
            caller: Whose call it is; empty where nobody shows it.

        Raises:
            ServerBusyError: there is none, or none for this caller.
        """
        own = self._taken[caller] if caller else 0
        require_place(
            f"{self._calls} are open",
            (own, -(-self._count // 4)),
            (self._taken.total(), self._count),
            PLACE_SECONDS,
        )
        self._taken[caller] += 1
        try:
            yield
        finally:
            self._taken[caller] -= 1
            self._taken += Counter()  # forgets whoever has none


def frame_bytes(request: pb.SubmitRequest) -> int:
    """Bytes that one completed frame of a job takes at most.

    Raises:
        CodecError: no such type of pixels.
    """
    first = request.frames[0].plate
    dtype = codec.dtype_of(request.result_type or pb.FLOAT32)
    origins = ORIGINS_BYTES if request.origins else 0
    return first.width * first.height * (3 * dtype.itemsize + origins)


def _require_image(kind: str, index: int, image: pb.Image, first: pb.Image) -> None:
    try:
        codec.image_bytes(image)
    except codec.CodecError as error:
        raise InvalidRequestError(f"the {kind} of frame {index}: {error}") from None
    if image.channels != CHANNELS[kind]:
        raise InvalidRequestError(
            f"the {kind} of frame {index} has the channels {', '.join(image.channels)[:80]}, not "
            f"{', '.join(CHANNELS[kind])}"
        )
    if (image.width, image.height) != (first.width, first.height):
        raise InvalidRequestError(
            f"the {kind} of frame {index} is {image.width}x{image.height}, the first "
            f"plate {first.width}x{first.height}"
        )
