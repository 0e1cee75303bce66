"""Devices as users name them."""

import pytest
import torch

from sttn.device import choose_device
from sttn.errors import DeviceError


def test_auto_and_cpu_always_work():
    """The same command runs on a laptop and on a GPU server."""
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type in ("cpu", "cuda")


@pytest.mark.parametrize(
    ("name", "told"), [("cuda:99", "not cuda:99; give auto or cpu"), ("gpu", "no device is called")]
)
def test_a_device_that_is_not_there_is_refused(name, told):
    """One line that says what to give instead."""
    with pytest.raises(DeviceError, match=told):
        choose_device(name)
