"""What an operator may set."""

from dataclasses import dataclass, field
from pathlib import Path

from server.protocol.channel import is_local
from sttn.settings.computing import MemoryBudget, Precision
from sttn.settings.schedule import DEFAULT_PRESET, PRESETS, Preset
from sttn.settings.weights import DEFAULT_WEIGHTS, FUSION_WEIGHTS

DEFAULT_ADDRESS = "localhost:50071"
"""Where a server listens that is not told otherwise."""


MOST = {"gigabytes": 1e9, "megapixels": 1e6, "keepalive_seconds": 1e6}
"""What becomes a whole number of bytes, pixels or milliseconds can be no larger."""


@dataclass(frozen=True, kw_only=True)
class StoreConfig:
    """Plates and completed frames on disk."""

    folder: Path | None = None
    """Folder that outlives a restart, with the jobs in it; without it a temporary one."""
    gigabytes: float = 50.0
    """Disk they may take; the least recently used go first, what a job needs never goes."""
    expire_hours: float = 72.0
    """What no job needs is deleted when it was not used for so long."""

    def __post_init__(self) -> None:
        _require_limits(gigabytes=self.gigabytes, expire_hours=self.expire_hours)


@dataclass(frozen=True, kw_only=True)
class LimitsConfig:
    """Where the server refuses, rather than doing badly what it has taken on."""

    queue_length: int = 64
    """Jobs of one client that may wait, so that a farm leaves room for artists; four times as many
    of all clients together."""
    frames_per_job: int = 20_000
    """Frames of one job."""
    megapixels: float = 9.0
    """Pixels of one frame: model rasters, not plates."""
    uploads: int = 256
    """Uploads open at once; a quarter of them of one client, where tokens or certificates tell
    clients apart."""
    downloads: int = 128
    """Downloads open at once, likewise; one that nobody reads takes up to 5 MB of memory."""
    upload_seconds: float = 120.0
    """An upload that sends nothing for this long is ended; what arrived is kept."""
    kept_jobs: int = 100
    """Ended jobs whose frames are kept for clients that come back; fewer where room is needed."""
    abandoned_seconds: float = 60.0
    """A job that nobody watches for this long is cancelled."""
    stop_seconds: float = 60.0
    """A model process that still computes a job so long after it was cancelled is ended."""
    drain_seconds: float = 60.0
    """When the server stops: how long frames that are done wait for clients to fetch them."""
    keepalive_seconds: float = 20.0
    """A silent client is asked after this time, and given up after as much again."""

    def __post_init__(self) -> None:
        _require_limits(**vars(self))

    @property
    def whole_queue(self) -> int:
        """Jobs of all clients that may wait, so that memory ends however many clients there are."""
        return 4 * self.queue_length


@dataclass(frozen=True, kw_only=True)
class SecurityConfig:
    """Who may connect."""

    certificate: Path | None = None
    """TLS certificate chain (PEM); a renewed file is taken up without a restart."""
    key: Path | None = None
    """Private key of the certificate (PEM)."""
    client_authority: Path | None = None
    """Ask clients for a certificate signed by this authority (PEM): mutual TLS."""
    tokens: Path | None = None
    """File of lines NAME TOKEN; clients have to show one. Changes are taken up at once."""
    admin_tokens: Path | None = None
    """Likewise of administrators: for the Admin calls, refused without it, for all that clients do,
    and to cancel anybody's job."""
    allow_anyone_on_the_network: bool = False
    """Listen beyond this machine without TLS, or without asking who is there."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together; give both or none")
        if self.client_authority is not None and self.certificate is None:
            raise ValueError("client_authority asks for TLS; give certificate and key too")

    @property
    def closed(self) -> bool:
        """Whether both sides know whom they talk to."""
        asked = self.tokens is not None or self.client_authority is not None
        return self.certificate is not None and asked


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Holds STTN in memory and completes clips for nodes and scripts."""

    address: str = DEFAULT_ADDRESS
    """Where to listen: HOST:PORT (port 0 takes a free one) or unix:/PATH."""
    weights: Path = DEFAULT_WEIGHTS
    """Generator weights, .safetensors or a published .pth: the default model."""
    fusion: Path = FUSION_WEIGHTS
    """Weights of the network that decides which real pixels to believe, from sttn-train fusion."""
    models: Path | None = None
    """Folder of more weights that Admin may load by name; the folder of the default without it."""
    device: str = "auto"
    """cpu, cuda, cuda:0,cuda:1 (a process each), or auto: every GPU there is, else the CPU."""
    precision: Precision = "auto"
    """float32, bfloat16, or auto: bfloat16 on GPUs, and on CPUs measured to be faster in it."""
    preset: Preset = DEFAULT_PRESET
    """How clips are cut into windows: thorough takes longest, fast least; released as published."""
    batch: int = 1
    """Windows of a clip computed at once: on a GPU more may be faster, and takes more memory;
    halved whenever memory runs out."""
    memory: MemoryBudget = field(default_factory=MemoryBudget)
    """Memory for the features of frames that later windows need."""
    store: StoreConfig = field(default_factory=StoreConfig)
    """Plates and completed frames on disk."""
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    """Where the server refuses."""
    security: SecurityConfig = field(default_factory=SecurityConfig)
    """Who may connect."""
    shared_memory: bool = False
    """Take plates from the memory of clients on this machine and of the same user, and give
    completed frames back the same way (Linux). Wants a unix:/PATH that no tokens open to others."""
    metrics_address: str | None = None
    """HOST:PORT of a page of figures for Prometheus; none without it."""
    reflection: bool = True
    """Tell tools such as grpcurl the contract."""
    until_stdin_closes: bool = False
    """Stop when standard input ends: for hosts that start a server of their own."""

    def __post_init__(self) -> None:
        if not self.address.startswith("unix:"):
            _require_port("address", self.address)
        if self.metrics_address is not None:
            _require_port("metrics_address", self.metrics_address)
        if not (
            is_local(self.address)
            or self.security.closed
            or self.security.allow_anyone_on_the_network
        ):
            raise ValueError(
                f"address {self.address} can be reached from other machines; give "
                "--security.certificate, --security.key and --security.tokens (or "
                "--security.client-authority), or --security.allow-anyone-on-the-network"
            )
        if self.shared_memory and not self.private:
            raise ValueError(
                "shared_memory has the server open the memory of its user's processes, so others "
                f"must not reach it, and {self.address} they can; give --address unix:/PATH and no "
                "--security.tokens"
            )
        for device in self.devices:
            if device not in ("auto", "cpu") and not device.startswith("cuda"):
                raise ValueError(f"device must be auto, cpu or cuda, got {device}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"precision must be auto, float32 or bfloat16, got {self.precision}")
        if self.batch < 1:
            raise ValueError(f"batch must be at least 1, got {self.batch}")
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {self.preset}")

    @property
    def private(self) -> bool:
        """Whether only the server's own user can reach it: by a socket that is nobody else's."""
        return self.address.startswith("unix:") and self.security.tokens is None

    @property
    def devices(self) -> list[str]:
        """Each device asked for; ``auto`` may come to several."""
        return self.device.split(",")


def _require_port(name: str, address: str) -> None:
    port = address.rpartition(":")[2]
    if not (port.isdecimal() and int(port) < 2**16):
        raise ValueError(f"{name} must be HOST:PORT with a port of 0 to 65535, got {address}")


def _require_limits(**limits: float) -> None:
    for name, value in limits.items():
        if not value > 0:  # nor is NaN
            raise ValueError(f"{name} must be above 0, got {value}")
        if value > MOST.get(name, value):
            raise ValueError(f"{name} must be at most {MOST[name]:g}, got {value}")
