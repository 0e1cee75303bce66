"""Weights on disk: safetensors with the network's size in its header, half or full precision."""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from sttn.errors import CheckpointError, SavingError
from sttn.model.generator import Generator, ModelConfig
from sttn.model.published import PUBLISHED_SUFFIXES, read_published
from sttn.settings.raster import TRAINED_PIXELS
from sttn.settings.weights import DEFAULT_WEIGHTS

Network = TypeVar("Network", bound=nn.Module)

NAMES_TOLD = 5
"""Tensors that a message names; a wrong file may differ in hundreds."""


def save_generator(
    generator: Generator, path: Path, dtype: torch.dtype, facts: dict[str, str] | None = None
) -> None:
    """Write a generator so that a reader never sees half a file.

    Args:
        generator: The network.
        path: Target; replaced in one step.
        dtype: Precision on disk, ``torch.float16`` to ship, ``torch.float32`` to go on training.
        facts: Free text kept in the header (steps, corpus, version).

    Raises:
        SavingError: it cannot be written.
        CheckpointError: weights are not finite, or not in that precision; nothing is written.
    """
    size = {**asdict(generator.config), "trained_pixels": generator.trained_pixels}
    save_network(generator, size, path, dtype, facts)


def load_generator(path: Path | str = DEFAULT_WEIGHTS) -> Generator:
    """Read a generator in float32 and evaluation mode.

    Args:
        path: Written by :func:`save_generator`, or a published checkpoint, .pth.

    Raises:
        CheckpointError: no such file, not a checkpoint, or tensors that do not fit or hold NaN or
            inf.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no weights at {path}; give a .safetensors or a published .pth file")
    if path.suffix.lower() in PUBLISHED_SUFFIXES:
        config, tensors = read_published(path)
        return fitted(path, lambda: Generator(config), tensors)
    fields, tensors = read_network(path)
    return fitted(path, lambda: _generator(fields, len(tensors)), tensors)


def save_network(
    network: nn.Module,
    size: dict[str, Any],
    path: Path,
    dtype: torch.dtype,
    facts: dict[str, str] | None = None,
) -> None:
    """As :func:`save_generator` writes a generator, any network of ours, and its size."""
    tensors = {
        name: value.detach().to("cpu", dtype).contiguous()
        for name, value in network.state_dict().items()
    }
    if broken := _not_finite(tensors):
        precision = str(dtype).removeprefix("torch.")
        raise CheckpointError(f"{path} is not written: not finite in {precision}: {_told(broken)}")
    header = {**(facts or {}), "model": json.dumps(size)}
    with written(path) as temporary:
        temporary.write_bytes(save(tensors, header))


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Have a file written so that a reader never sees half of it, and a failure leaves nothing.

    Yields:
        Where to write; gets its name when that is done.

    Raises:
        SavingError: it cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        cause: BaseException | None = error
        while isinstance(cause, Exception) and not isinstance(cause, OSError):
            cause = cause.__context__  # of a full disk torch speaks as of its own error
        if not isinstance(cause, OSError):
            raise
        raise SavingError(f"cannot write {path}: {cause.strerror}") from error


def read_network(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The size that :func:`save_network` wrote down, and the tensors.

    Raises:
        CheckpointError: not such a file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    if "model" not in header:
        raise CheckpointError(f"{path} does not say how large its network is (no 'model' header)")
    try:
        return dict(json.loads(header["model"])), tensors
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: the 'model' header cannot be used: {error}") from error


def fitted(path: Path, build: Callable[[], Network], tensors: dict[str, Tensor]) -> Network:
    """A network with the tensors of a file, in float32 and evaluation mode.

    Args:
        path: The file.
        build: Makes the network that the file describes. What does not fit takes no memory.
        tensors: By name, of any floating-point type.

    Raises:
        CheckpointError: there can be no such network, or the tensors do not fit, or hold NaN or
            inf.
    """
    try:
        with torch.device("meta"):
            network = build()
    except Exception as error:  # of sizes that are none, torch raises anything
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} describes no possible network: {reason}") from error
    _require_fit(path, network, tensors)
    if broken := _not_finite(tensors):
        raise CheckpointError(f"{path} holds weights that are not finite: {_told(broken)}")
    # To empty a network of its like first would have torch import a second's worth of modules.
    full = {name: tensor.to(torch.float32, copy=True) for name, tensor in tensors.items()}
    network.load_state_dict(full, assign=True)
    return network.eval()


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """No NaN and no infinity anywhere."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def _not_finite(tensors: dict[str, Tensor]) -> list[str]:
    return sorted(name for name, tensor in tensors.items() if not all_finite([tensor]))


def _told(names: list[str]) -> str:
    more = len(names) - NAMES_TOLD
    return ", ".join(names[:NAMES_TOLD]) + (f" ... and {more} more" if more > 0 else "")


def _generator(fields: dict[str, Any], tensors: int) -> Generator:
    """The generator that a header describes, which cannot have more blocks than tensors."""
    size = {**fields, "patch_divisors": tuple(fields["patch_divisors"])}
    trained_pixels = size.pop("trained_pixels", TRAINED_PIXELS)
    config = ModelConfig(**size)
    if config.blocks > tensors:
        raise ValueError(f"{config.blocks} blocks, but {tensors} tensors")
    return Generator(config, trained_pixels)


def _require_fit(path: Path, network: nn.Module, tensors: dict[str, Tensor]) -> None:
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    found = {name: tuple(value.shape) for name, value in tensors.items()}
    misfits = {
        "missing": sorted(wanted.keys() - found.keys()),
        "unexpected": sorted(found.keys() - wanted.keys()),
        "misshapen": sorted(
            f"{name} {found[name]} instead of {wanted[name]}"
            for name in wanted.keys() & found.keys()
            if wanted[name] != found[name]
        ),
        "not of floating-point numbers": sorted(
            name for name, value in tensors.items() if not value.is_floating_point()
        ),
    }
    told = [f"{kind}: {_told(names)}" for kind, names in misfits.items() if names]
    if told:
        raise CheckpointError(f"{path} does not fit the network; {'; '.join(told)}")
