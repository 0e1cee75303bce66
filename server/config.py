"""What an operator may set."""

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

from sttn.inference import DEFAULT_PRESET, PRESETS, MemoryBudget, Preset
from sttn.model.checkpoint import DEFAULT_WEIGHTS


@dataclass(frozen=True, kw_only=True)
class ServerConfig:
    """Holds STTN in memory and completes clips for nodes and scripts."""

    address: str = "localhost:50071"
    """Where to listen: HOST:PORT on this machine (port 0 takes a free one) or unix:/PATH."""
    weights: Path = DEFAULT_WEIGHTS
    """Generator weights, .safetensors or a published .pth."""
    device: str = "auto"
    """cpu, cuda, or auto: cuda where there is one."""
    precision: str = "auto"
    """float32, bfloat16, or auto: bfloat16 on GPUs and on CPUs with AMX."""
    preset: Preset = DEFAULT_PRESET
    """How clips are cut into windows: thorough takes longest, fast least; released as published."""
    memory: MemoryBudget = field(default_factory=MemoryBudget)
    """Memory for the features of frames that later windows need."""
    store_gigabytes: float = 50.0
    """Disk that plates and completed frames may take, in a temporary folder; oldest go first."""
    queue_length: int = 64
    """Jobs that may wait; more are refused."""
    abandoned_seconds: float = 60.0
    """A job that nobody watches for this long is cancelled."""
    until_stdin_closes: bool = False
    """Stop when standard input ends: for hosts that start a server of their own."""

    def __post_init__(self) -> None:
        if not _is_local(self.address):
            raise ValueError(
                f"address {self.address} can be reached from other machines, and this version has "
                "no TLS and no credentials; give localhost:PORT or unix:/PATH and tunnel to it"
            )
        if self.device not in ("auto", "cpu") and not self.device.startswith("cuda"):
            raise ValueError(f"device must be auto, cpu or cuda, got {self.device}")
        if self.precision not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"precision must be auto, float32 or bfloat16, got {self.precision}")
        if self.preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {self.preset}")
        if self.store_gigabytes <= 0:
            raise ValueError(f"store_gigabytes must be above 0, got {self.store_gigabytes}")
        if self.queue_length < 1:
            raise ValueError(f"queue_length must be at least 1, got {self.queue_length}")


def _is_local(address: str) -> bool:
    if address.startswith("unix:"):
        return True
    host = address.rpartition(":")[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
