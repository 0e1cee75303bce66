"""What the front end and a model process say to each other; pickled over a pipe of our own."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Load:
    """Front end: hold a model, beside the others."""

    key: str
    """Its name in processes: another one for every load."""
    path: Path


@dataclass(frozen=True)
class Unload:
    """Front end: let a model go."""

    key: str


@dataclass(frozen=True)
class Run:
    """Front end: complete a clip."""

    job_id: str
    key: str
    """Of the model."""
    request: bytes
    """The SubmitRequest."""
    done: frozenset[int] = field(default=frozenset())
    """Frames completed before a process died; context only."""
    unproven: frozenset[str] = field(default=frozenset())
    """Digests of contents that an earlier server left, and nobody has read since."""


@dataclass(frozen=True)
class Stop:
    """Front end: cancel a job, within one window."""

    job_id: str


@dataclass(frozen=True)
class Ready:
    """Process: up."""

    device: str
    precision: str
    others: tuple[str, ...]
    """Devices that were asked for with this one, in one word."""


@dataclass(frozen=True)
class Failed:
    """Process: cannot start, or go on."""

    error: str


@dataclass(frozen=True)
class Loaded:
    """Process: a model was loaded, or could not be."""

    key: str
    digest: str = ""
    """Of its file."""
    error: str | None = None


@dataclass(frozen=True)
class CutsFound:
    """Process: a clip falls into parts."""

    job_id: str
    indices: tuple[int, ...]
    """Of the first frame behind each cut."""


@dataclass(frozen=True)
class Prepared:
    """Process: the looking for real pixels goes on."""

    job_id: str
    share: float
    """In [0, 1]."""


@dataclass(frozen=True)
class FrameDone:
    """Process: a completed frame lies in the store."""

    job_id: str
    ready: bytes
    """Its FrameReady."""
    files: dict[str, str]
    """Names of the files of its contents, by digest."""
    device_memory_bytes: int


@dataclass(frozen=True)
class JobDone:
    """Process: nothing more of this job will come."""

    job_id: str
    cancelled: bool = False
    error: str | None = None
    code: str = ""
    """Name of the error's status code."""
    trace: str | None = None
    """Where the error is a defect."""


FromFrontEnd = Load | Unload | Run | Stop
FromProcess = Ready | Failed | Loaded | CutsFound | Prepared | FrameDone | JobDone
