"""The processes that share a run, as torchrun starts them; or this one alone."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from sttn.device import choose_device

Told = TypeVar("Told")


class Processes:
    """The place of this process among those that share a run.

    Every batch is cut into equal parts, and gradients are averaged, so that a run does not
    depend on how many processes share it.
    """

    def __init__(self, rank: int = 0, count: int = 1, device: torch.device | None = None) -> None:
        self.rank = rank
        self.count = count
        self._device = device or torch.device("cpu")

    @property
    def first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def part(self, step: int, batch: int) -> list[int]:
        """The clips of a step's batch that fall to this process."""
        size = batch // self.count
        first = step * batch + self.rank * size
        return list(range(first, first + size))

    def share(self, network: nn.Module) -> nn.Module:
        """A network whose gradients are averaged over all processes."""
        if self.count == 1:
            return network
        # Spectral norm's vectors follow from the weights; every process keeps its own.
        return DistributedDataParallel(network, broadcast_buffers=False)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over all processes."""
        if self.count > 1:
            dist.all_reduce(values)
        return values / self.count

    def any(self, answer: bool) -> bool:
        """Whether any process says yes, so that all stop after the same step."""
        return bool(self.mean(torch.tensor(float(answer), device=self._device)) > 0)

    def all(self, told: Told) -> list[Told]:
        """What each process tells, by rank."""
        found = [told] * self.count
        if self.count > 1:
            dist.all_gather_object(found, told)
        return found

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            dist.barrier()


@contextmanager
def joined(device: torch.device) -> Iterator[tuple[Processes, torch.device]]:
    """Join the processes that torchrun started; alone without torchrun.

    Yields:
        The processes, and the device of this one.

    Raises:
        DeviceError: there are more processes than GPUs.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(device=device), device
        return
    if device.type == "cuda":
        device = choose_device(f"cuda:{os.environ['LOCAL_RANK']}")
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Processes(dist.get_rank(), count, device), device
    finally:
        dist.destroy_process_group()
