"""What a real card says of itself."""

import pytest
import torch

from sttn.device import choose_device, choose_precision, in_memory, is_lost, ran_out_of_memory
from sttn.errors import DeviceError, OutOfMemoryError

pytestmark = pytest.mark.gpu


def test_auto_takes_the_card_and_computes_exactly_on_it(card):
    """Nobody has to name what is there; float32 has the digits it says, on tensor cores too."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True

    assert choose_device("auto") == choose_device("cuda") == card

    ones = torch.full((512, 512), 1 + 2**-12, device=card)  # TF32 rounds these to 1
    assert (ones @ ones)[0, 0].item() == pytest.approx(512 * (1 + 2**-12) ** 2, rel=1e-6)
    image, weight = ones[None, None], ones[:3, :3][None, None]
    found = torch.nn.functional.conv2d(image, weight).mean().item()
    assert found == pytest.approx(9 * (1 + 2**-12) ** 2, rel=1e-6)


def test_one_card_more_than_there_are_is_refused(card):
    """Whoever counts from one reads how many there are."""
    count = torch.cuda.device_count()

    assert choose_device(f"cuda:{count - 1}").index == count - 1
    with pytest.raises(DeviceError, match=f"has {count} CUDA devices, so not cuda:{count}"):
        choose_device(f"cuda:{count}")


def test_precision_follows_the_card(device):
    """Servers on cards from Ampere on start in bfloat16 by themselves."""
    if device.type == "cuda":
        fast = torch.cuda.get_device_capability(device) >= (8, 0)
        chosen = torch.bfloat16 if fast else torch.float32
        assert choose_precision("auto", device) is chosen
    assert choose_precision("float32", device) is torch.float32


def test_more_than_the_card_holds_is_a_want_of_memory(card):
    """What PyTorch really raises is taken for what it is, and the card is used on."""
    total = torch.cuda.get_device_properties(card).total_memory

    def too_much() -> torch.Tensor:
        return torch.empty(2 * total, dtype=torch.uint8, device=card)

    with pytest.raises(RuntimeError) as found:
        too_much()
    assert ran_out_of_memory(found.value)
    assert not is_lost(found.value)
    with pytest.raises(OutOfMemoryError, match="take a smaller one"):
        in_memory(too_much, "take a smaller one")
    assert in_memory(lambda: torch.ones(3, device=card).sum().item(), "") == 3
