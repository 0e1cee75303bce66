"""Features that leave the device and come back."""

import math

import pytest
import torch

from sttn.inference.store import FeatureStore
from sttn.settings.computing import MemoryBudget


@pytest.mark.parametrize(
    ("host_gigabytes", "moves"),
    [(1, "torch.Tensor.to"), (math.inf, "torch.Tensor.to"), (0, "torch.load")],
)
def test_what_finds_no_room_on_the_device_is_not_lost(monkeypatch, host_gigabytes, moves):
    """The batch is halved then, and asks for the same features again."""
    budget = MemoryBudget(device_gigabytes=0, host_gigabytes=host_gigabytes)
    store, features = FeatureStore(torch.device("cuda"), budget), torch.arange(4.0)
    answers = [torch.OutOfMemoryError("CUDA out of memory"), features]

    def move(*_, **__):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    store.put(("lent", 1), features)
    monkeypatch.setattr(moves, move)

    with pytest.raises(torch.OutOfMemoryError):
        store.get(("lent", 1))
    assert store.get(("lent", 1)) is features
    store.close()


@pytest.mark.parametrize("gigabytes", [-1, math.nan])
def test_budgets_that_are_none_are_refused(gigabytes):
    """Every comparison with NaN is False: nothing would ever go to disk."""
    with pytest.raises(ValueError, match="host_gigabytes must be at least 0"):
        MemoryBudget(host_gigabytes=gigabytes)
