"""Grain: the fill gets the plate's, and a plate without any gets none."""

from itertools import pairwise

import cv2
import numpy as np
import pytest

from node.clips import Clips
from node.color import decode, encode
from node.grain import GrainMeter
from node.params import Params
from tests.conftest import serving
from tests.node.engines import MeanEngine, StandingEngine
from tests.node.shots import numbered, rendered
from tests.server.engines import FakeEngine


def grain(shape: tuple[int, ...], blur: float, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3) of variance 1: neighbors correlated by a Gaussian, channels by a half."""
    rng = np.random.default_rng(seed)
    own, shared = rng.standard_normal((*shape, 3)), rng.standard_normal((*shape, 1))
    white = (own + shared) * 0.5**0.5
    if blur:
        y, x = (np.fft.fftfreq(side) for side in shape[1:])
        low = np.exp(-2 * (np.pi * blur) ** 2 * (y[:, None] ** 2 + x**2))
        white = np.fft.ifft2(np.fft.fft2(white, axes=(1, 2)) * low[..., None], axes=(1, 2)).real
    return white / white.std()


def correlation(noise: np.ndarray, apart: int) -> float:
    """Of pixels so far from one another in a row."""
    return float((noise[:, apart:] * noise[:, :-apart]).mean() / noise.var())


def measured(code: np.ndarray):
    """Of frames (T, H, W, 3), in pairs."""
    meter = GrainMeter(lambda code: code)
    everywhere = np.ones(code.shape[1:3], np.bool_)
    for first, second in pairwise(code):
        meter.add(first.astype(np.float32), second.astype(np.float32), everywhere)
    return meter.measured()


@pytest.mark.parametrize("blur", [0, 0.6, 1.0])
def test_known_grain_is_measured_and_made_again(blur):
    """Strength at every brightness and channel, correlation in space and between channels."""
    light = np.linspace(0.2, 0.8, 240)[None, None, :, None] * np.ones((5, 200, 1, 3))
    strength = np.array([0.010, 0.015, 0.020])
    noise = grain((5, 200, 240), blur)

    found = measured(light + noise * strength * (0.5 + light))

    assert found is not None
    expected = strength * (0.5 + found.levels[:, None])
    np.testing.assert_allclose(found.deviations, expected, rtol=0.06)
    made = found.noise(300, 300, (1, 2))
    np.testing.assert_allclose(made.std(axis=(0, 1)), 1, rtol=0.02)
    for apart in (1, 2, 3):
        true = correlation(grain((1, 300, 300), blur, 7)[0, ..., 1], apart)
        assert correlation(made[..., 1], apart) == pytest.approx(true, abs=0.06)
    between = np.corrcoef(made.reshape(-1, 3).T)[0, 1]
    assert between == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("kind", ["clean", "8 bits", "travelling texture", "still texture"])
def test_a_plate_without_grain_gets_none(kind):
    """Renderings, rounded gradients and texture are not grain."""
    light = np.linspace(0.2, 0.8, 240)[None, None, :, None] * np.ones((5, 200, 1, 3))
    texture = 0.5 + 0.1 * grain((1, 200, 300), 1.5)[0]
    plates = {
        "clean": light,
        "8 bits": (light * 255).round() / 255,
        "travelling texture": np.stack([texture[:, 3 * i : 3 * i + 240] for i in range(5)]),
        "still texture": np.stack([texture[:, :240]] * 5),
    }

    assert measured(plates[kind]) is None


def test_every_frame_has_grain_of_its_own_and_the_same_again():
    """Frozen grain shows at once; a frame rendered twice must not flicker."""
    found = measured(0.5 + 0.02 * grain((4, 160, 160), 0.5))
    assert found is not None

    first, again, second = (found.noise(90, 70, (0, frame)) for frame in (-3, -3, 8))

    np.testing.assert_array_equal(first, again)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


@pytest.mark.parametrize("amount", [0.0, 1.0])
def test_the_fill_of_a_grainy_plate_is_grainy(amount):
    """Through the whole node: inside the matte the picture lives as it does outside."""
    code = 0.5 + 0.02 * grain((4, 192, 240), 0.7)
    plate = decode(code.astype(np.float32)).astype(np.float16)
    matte = np.zeros((192, 240), np.float32)
    matte[60:130, 80:160] = 1
    clips = Clips(source=numbered("plate", plate), matte=numbered("matte", [matte] * 4))

    with serving(FakeEngine(fill=0.5)) as address:
        result = rendered(clips, address, Params(grain=amount))

    inside = encode(result[1002].astype(np.float32))[65:125, 85:155]
    assert inside.std() == pytest.approx(0.02 * amount, abs=0.002)
    if amount:
        assert correlation(inside[..., 1] - inside[..., 1].mean(), 1) == pytest.approx(
            correlation(code[1, ..., 1] - 0.5, 1), abs=0.1
        )


def grainy(blur: float):
    """A plate of five frames and a matte that passes by, and the latter's pixels."""
    code = 0.5 + 0.02 * grain((5, 192, 288), blur)
    plate = decode(code.astype(np.float32)).astype(np.float16)
    matte = np.zeros((5, 192, 288), np.float32)
    for index in range(5):
        matte[index, 60:130, 10 + 55 * index : 55 + 55 * index] = 1
    return Clips(source=numbered("plate", plate), matte=numbered("matte", matte)), matte


@pytest.mark.parametrize(
    ("engine", "model_pixels", "within"),
    [
        (MeanEngine(), 432 * 240, 0.06),
        (MeanEngine(), 144 * 96, 0.06),
        (StandingEngine(), 144 * 96, 0.15),  # copied whole, and some of it lives all the same
    ],
    ids=["fetched", "shrunk", "with detail"],
)
@pytest.mark.parametrize("blur", [0, 0.7])
def test_grain_that_was_fetched_is_not_laid_once_more(engine, model_pixels, within, blur):
    """What other frames show brings some of it along, at the plate's size or as detail."""
    clips, matte = grainy(blur)

    with serving(engine) as address:
        result = rendered(clips, address, Params(model_pixels=model_pixels))

    inside = [encode(result[1001 + i].astype(np.float32))[matte[i] > 0].std() for i in range(5)]
    assert np.mean(inside) == pytest.approx(0.02, rel=within)


def test_a_busy_fill_of_the_networks_gets_all_of_it():
    """Where nothing was fetched, what is fine in a fill is no grain."""
    clips, matte = grainy(0)

    with serving(MeanEngine(tells=False)) as address:
        none, all_of_it = (
            encode(rendered(clips, address, Params(grain=share))[1003].astype(np.float32))
            for share in (0, 1)
        )

    assert (all_of_it - none)[matte[2] > 0].std() == pytest.approx(0.02, rel=0.05)


def test_grain_over_real_footage_is_found(shared):
    """Film grain over three clips that have little of their own, which JPEG took away."""
    for name in ("intel_car-detection", "mdn_flower_cc0", "davis_drift-chicane"):
        files = sorted((shared / "clips" / name / "frames").iterdir())[:5]
        code = np.stack([cv2.imread(str(file))[..., ::-1] / 255 for file in files])

        without = measured(code)
        found = measured(code + 0.015 * grain(code.shape[:3], 0.8))

        assert without is None
        assert found is not None
        assert found.deviations.mean() == pytest.approx(0.016, abs=0.002)
