"""Whether this machine is fit to serve, and what it would reach."""

import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from server.config import LimitsConfig, SecurityConfig, ServerConfig
from server.errors import StartError
from server.listening import require_free
from server.models import TorchModels, choose_devices, precision_told
from server.protocol import inpaint_pb2 as pb
from server.security import Tokens, require_valid, server_credentials
from sttn.errors import SttnError

WIDTH, HEIGHT, FRAMES = 432, 240, 12
"""The clip that is completed to see how fast it goes: the model raster as published."""
WARMUP = 2
"""Frames completed before, after which everything is loaded and laid out."""
FILES_PER_CALL = 2
"""An upload's or a download's own, and its client's connection."""
WEEKS_LEFT = 2
"""A certificate that ends sooner is worth a word."""


def check(config: ServerConfig) -> int:
    """Print a line per finding; 0 where the machine is fit, 1 where it is not."""
    fit = True
    for good, text in _findings(config):
        fit &= good
        sys.stdout.write(f"{'ok  ' if good else 'FAIL'}  {text}\n")
        sys.stdout.flush()
    sys.stdout.write("fit to serve\n" if fit else "not fit to serve\n")
    return 0 if fit else 1


def _findings(config: ServerConfig) -> Iterator[tuple[bool, str]]:
    yield _finding(partial(_address, config.address))
    if config.metrics_address is not None:
        yield _finding(partial(_address, config.metrics_address))
    yield _finding(partial(_store, config))
    yield _finding(partial(_memory, config))
    yield _finding(partial(_open_files, config.limits))
    if config.security.certificate is not None:
        yield _finding(partial(_certificate, config.security.certificate, config.security))
    for path in (config.security.tokens, config.security.admin_tokens):
        if path is not None:
            yield _finding(partial(_tokens, path))
    try:
        devices = [device for name in config.devices for device in choose_devices(name)]
    except SttnError as error:
        yield False, str(error)
        return
    for device in devices:
        yield _finding(partial(precision_told, config.precision, device))
        yield _finding(partial(_speed, config, device))


def _finding(look: Callable[[], str]) -> tuple[bool, str]:
    try:
        return True, look()
    except (StartError, SttnError, OSError, RuntimeError) as error:
        return False, str(error).partition("\n")[0]  # CUDA's go on about debugging


def _address(address: str) -> str:
    require_free(address)
    return f"address {address} can be listened on"


def _store(config: ServerConfig) -> str:
    folder = config.store.folder or Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder) as probe:
        content = bytes(2**24)
        start = time.perf_counter()
        for _ in range(8):
            probe.write(content)
        probe.flush()
        rate = 8 * len(content) / (time.perf_counter() - start)
    free = shutil.disk_usage(folder).free
    if config.store.folder is not None:  # what it holds already makes room for what comes
        free += sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    if free < config.store.gigabytes * 1e9:
        raise StartError(
            f"store {folder}: {free / 1e9:.1f} GB free, {config.store.gigabytes:g} GB asked for; "
            "give --store.gigabytes or another --store.folder"
        )
    return f"store {folder}: {free / 1e9:.0f} GB free, {rate / 1e9:.1f} GB/s written"


def _memory(config: ServerConfig) -> str:
    free = psutil.virtual_memory().available
    wanted = config.memory.host_gigabytes * 1e9
    if free < wanted:
        raise StartError(
            f"memory: {free / 1e9:.1f} GB free, the budget is {wanted / 1e9:g} GB; lower "
            "--memory.host-gigabytes"
        )
    return f"memory: {free / 1e9:.1f} GB free, budget {wanted / 1e9:g} GB"


def _open_files(limits: LimitsConfig) -> str:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    needed = (limits.uploads + limits.downloads) * FILES_PER_CALL + 64
    if limit != resource.RLIM_INFINITY and limit < needed:
        raise StartError(
            f"open files: at most {limit}, {needed} are needed for {limits.uploads} uploads and "
            f"{limits.downloads} downloads; raise it (ulimit -n, LimitNOFILE) or lower "
            "--limits.uploads and --limits.downloads"
        )
    return f"open files: {limit}"


def _certificate(path: Path, security: SecurityConfig) -> str:
    server_credentials(security)
    left = require_valid(path)
    soon = "; renew it soon" if left.days < 7 * WEEKS_LEFT else ""
    return f"certificate {path} is valid for {left.days} days{soon}"


def _tokens(path: Path) -> str:
    Tokens(path)
    return f"tokens {path} can be used"


def _speed(config: ServerConfig, device: str) -> str:
    models = TorchModels(config, device)
    models.load("checked", config.weights)
    rng = np.random.default_rng(0)
    frames = rng.random((FRAMES, HEIGHT, WIDTH, 3), np.float32)
    masks = np.zeros((FRAMES, HEIGHT, WIDTH), np.bool_)
    masks[:, 80:160, 140:290] = True

    def run(count: int) -> float:
        start = time.perf_counter()
        for _ in models.completed_frames(
            "checked",
            list(frames[:count]),
            list(masks[:count]),
            clean=(),
            handles=(),
            windows=pb.Windows(),
            cancelled=lambda: False,
        ):
            pass
        return count / (time.perf_counter() - start)

    run(WARMUP)
    return (
        f"device {device}, {models.precision}, weights {config.weights.name}, preset "
        f"{config.preset}: {run(FRAMES):.2f} frames/s at {WIDTH}x{HEIGHT}"
    )
