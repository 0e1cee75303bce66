"""Where the network runs."""

import torch

from sttn.errors import DeviceError


def choose_device(name: str) -> torch.device:
    """The device a user asked for; ``auto`` takes the GPU where there is one.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        DeviceError: no such device on this machine.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise DeviceError(f"no device is called {name!r}; give auto, cpu or cuda") from None
    there = device.type == "cpu" or (
        device.type == "cuda" and (device.index or 0) < torch.cuda.device_count()
    )
    if not there:
        raise DeviceError(
            f"this machine has {torch.cuda.device_count()} CUDA devices, so not {name}; "
            "give auto or cpu"
        )
    return device
