"""Weights that follow one shot: artists wait for them, so they must be better than before."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from sttn.errors import FootageError
from sttn.model import Generator, ModelConfig
from sttn.training import adaptation
from sttn.training.adaptation import AdaptationConfig, adapt
from sttn.training.shots import read_shot
from sttn.training.state import initialize

CPU = torch.device("cpu")
SHORT = AdaptationConfig(minutes=0.05, learning_rate=3e-3, width=48, height=48, frames=2)


@pytest.fixture
def generator() -> Generator:
    torch.manual_seed(0)
    generator = Generator(ModelConfig(channels=16, blocks=1))
    initialize(generator)
    return generator.eval()


@pytest.fixture
def shot() -> tuple[np.ndarray, np.ndarray]:
    """A wall of one color behind a square that hides it."""
    frames = np.full((6, 60, 80, 3), (180, 90, 40), np.uint8)
    masks = np.zeros((6, 60, 80), np.bool_)
    masks[:, 20:40, 30:50] = True
    frames[masks] = (0, 255, 0)
    return frames, masks


@pytest.mark.slow
def test_a_shot_is_learned_from_what_is_visible(generator, shot):
    """The figure that is told rises, and the weights given stay as they are."""
    before = {name: tensor.clone() for name, tensor in generator.state_dict().items()}
    told: list[float] = []

    adapted = adapt(generator, *shot, SHORT, CPU, told.append)

    assert adapted.psnr_after > adapted.psnr_before + 1
    assert adapted.steps > 5
    assert told == sorted(told)
    assert told[-1] == 1
    for name, tensor in generator.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("kept", [0.0, 1.0])
def test_weights_go_part_of_the_way(generator, shot, monkeypatch, kept):
    """None of it leaves them where they were; all of it is what was learned."""
    monkeypatch.setattr(adaptation, "KEPT", kept)

    adapted = adapt(generator, *shot, replace(SHORT, minutes=0.015), CPU)

    before = list(generator.parameters())
    pairs = zip(adapted.generator.parameters(), before, strict=True)
    apart = max(float((after - given).detach().abs().max()) for after, given in pairs)
    assert (apart > 0) == bool(kept)
    assert (adapted.psnr_after > adapted.psnr_before) == bool(kept)


@pytest.mark.slow
def test_what_the_matte_covers_is_never_looked_at(generator, shot):
    """The object to be removed cannot be learned."""
    frames, masks = shot
    one_step = replace(SHORT, minutes=1e-6)
    other = frames.copy()
    other[masks] = (255, 0, 255)

    results = [adapt(generator, clip, masks, one_step, CPU) for clip in (frames, other)]

    # Where the mask's edge falls within a pixel of the raster, that pixel is covered.
    assert results[0].psnr_after == pytest.approx(results[1].psnr_after, abs=1e-4)


def test_a_small_shot_is_learned_at_its_own_size(generator, shot):
    """It is filled at that size too, and more is learned in the minutes that an artist waits."""
    seen = set()
    generator.register_forward_pre_hook(lambda _, given: seen.add(tuple(given[0].shape[-2:])))

    adapted = adapt(generator, *shot, AdaptationConfig(minutes=1e-6), CPU)

    assert seen == {(48, 48)}
    assert adapted.generator.trained_pixels == generator.trained_pixels


def test_weights_that_got_worse_are_not_handed_over(generator, shot):
    """Adapting never makes a shot worse by its own measure."""
    adapted = adapt(generator, *shot, replace(SHORT, learning_rate=1e4), CPU)

    assert adapted.psnr_after >= adapted.psnr_before


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f, m: (f, np.ones_like(m)), "covers every pixel"),
        (lambda f, m: (f, m[:3]), "masks"),
    ],
)
def test_shots_that_teach_nothing_are_refused(generator, shot, spoil, told):
    """One line that says why."""
    with pytest.raises(FootageError, match=told):
        adapt(generator, *spoil(*shot), SHORT, CPU)


@pytest.mark.parametrize(
    "wrong", [{"minutes": 0}, {"learning_rate": -1.0}, {"frames": 1}, {"width": 50}]
)
def test_settings_that_cannot_be_are_refused(wrong):
    """A typo is caught before the wait."""
    with pytest.raises(ValueError, match="must"):
        AdaptationConfig(**wrong)


def test_a_matte_of_another_size_is_refused(tmp_path):
    """The message gives both sizes."""
    folder = tmp_path / "plate"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.zeros((40, 60, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "matte.png"), np.zeros((40, 50), np.uint8))

    with pytest.raises(FootageError, match="3 frames of 50x40, the plate 3 of 60x40"):
        read_shot(folder, tmp_path / "matte.png")
