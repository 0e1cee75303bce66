"""Keeps features within a budget: on the device, then in host memory, then on disk."""

import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from sttn.settings.computing import MemoryBudget

Key = tuple[str, int]
"""What kind of tensor, and its number."""


class FeatureStore:
    """Tensors by key. The least recently used leave the device first, then host memory."""

    def __init__(self, device: torch.device, budget: MemoryBudget) -> None:
        self._device = device
        self._device_bytes = budget.device_gigabytes * 1e9
        self._host_bytes = budget.host_gigabytes * 1e9
        if device.type == "cpu":  # one memory, both shares of it
            self._device_bytes, self._host_bytes = self._device_bytes + self._host_bytes, 0.0
        self._on_device: OrderedDict[Key, Tensor] = OrderedDict()
        self._on_host: OrderedDict[Key, Tensor] = OrderedDict()
        self._on_disk: dict[Key, Path] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._files = 0

    def __contains__(self, key: Key) -> bool:
        return key in self._on_device or key in self._on_host or key in self._on_disk

    def put(self, key: Key, tensor: Tensor) -> None:
        """Keep a tensor that lies on the device."""
        self._on_device[key] = tensor
        self._settle()

    def get(self, key: Key) -> Tensor:
        """The tensor, on the device. Where there is no room for it it stays where it is.

        Raises:
            KeyError: never put, or forgotten.
        """
        if key in self._on_device:
            self._on_device.move_to_end(key)
            return self._on_device[key]
        if key in self._on_host:
            tensor = self._on_host[key].to(self._device)
            del self._on_host[key]
        else:
            path = self._on_disk[key]
            tensor = torch.load(path, map_location=self._device, weights_only=True)
            del self._on_disk[key]
            path.unlink()
        self.put(key, tensor)
        return tensor

    def forget(self, unneeded: Callable[[str, int], bool]) -> None:
        """Drop every tensor whose key answers True."""
        for tensors in (self._on_device, self._on_host):
            for key in [key for key in tensors if unneeded(*key)]:
                del tensors[key]
        for key in [key for key in self._on_disk if unneeded(*key)]:
            self._on_disk.pop(key).unlink()

    def close(self) -> None:
        """Drop everything, files too."""
        self.forget(lambda *_: True)
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def _settle(self) -> None:
        while self._on_device and _bytes(self._on_device) > self._device_bytes:
            key = next(iter(self._on_device))
            self._on_host[key] = self._on_device[key].cpu()
            del self._on_device[key]
        while self._on_host and _bytes(self._on_host) > self._host_bytes:
            key = next(iter(self._on_host))
            self._write(key, self._on_host[key])
            del self._on_host[key]

    def _write(self, key: Key, tensor: Tensor) -> None:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="sttn-features-")
        path = Path(self._folder.name, f"{self._files}.pt")
        self._files += 1
        # A view would drag along the whole tensor that it is a part of.
        torch.save(tensor.clone(), path)
        self._on_disk[key] = path


def _bytes(tensors: OrderedDict[Key, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
