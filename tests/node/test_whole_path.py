"""The first promise through everything: color, crops, wire, server, composite."""

import dataclasses

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from node.client import InpaintClient
from node.clips import Clips
from node.effect import InpaintEffect, State
from node.params import Params
from tests.conftest import serving
from tests.node.engines import IdentityEngine
from tests.node.shots import Frames, numbered, rendered, shot, within_range
from tests.server.engines import FakeEngine

AWKWARD = [np.nan, np.inf, -np.inf, -0.0, -3.0, 1e-7, 65504.0, 0.5, 2.0]


@pytest.fixture(scope="module")
def filling():
    """A server that fills holes with a constant."""
    with serving(FakeEngine(fill=0.25)) as where:
        yield where


@pytest.fixture(scope="module")
def identical():
    """A server that gives back what it got."""
    with serving(IdentityEngine()) as where:
        yield where


@st.composite
def shots(draw: st.DrawFn) -> tuple[Clips, Params]:
    """Any small shot: size, type, channels, values, mattes, and what the artist set."""
    height, width = draw(st.integers(1, 130)), draw(st.integers(1, 130))
    dtype = draw(st.sampled_from(["f2", "f4", "u1", "u2"]))
    channels, length = draw(st.sampled_from([3, 4])), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = (length, height, width, channels)
    if np.dtype(dtype).kind == "f":
        plate = np.where(
            rng.random(size) < 0.05, rng.choice(AWKWARD, size), rng.uniform(-0.1, 3, size)
        ).astype(dtype)
    else:
        plate = rng.integers(0, np.iinfo(dtype).max, size, dtype, endpoint=True)
    matte = np.zeros(size[:3], np.float32)
    for index in range(length):
        for _ in range(draw(st.integers(0, 3))):
            y, x = rng.integers(height), rng.integers(width)
            matte[index, y : y + rng.integers(1, 40), x : x + rng.integers(1, 40)] = rng.choice(
                [0.25, 1.0]
            )
    params = Params(
        model_pixels=draw(st.sampled_from([2304, 20000, 103680])),
        premultiplied=draw(st.booleans()),
        matte_feather=draw(st.sampled_from([0, 5])),
        grain=draw(st.sampled_from([0.0, 1.0])),
        mix=draw(st.sampled_from([1.0, 0.5])),
    )
    return Clips(source=numbered("plate", plate), matte=numbered("matte", matte)), params


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(shots())
def test_whatever_the_matte_does_not_cover_is_the_plates_bit_for_bit(filling, given_shot):
    """Any size, type, value, alpha, and setting."""
    clips, params = given_shot

    result = rendered(clips, filling, params)

    from node.matte import used_matte

    for frame, pixels in result.items():
        plate = clips.source.read(frame)
        outside = used_matte(clips.matte.read(frame), None, params) == 0
        assert pixels.dtype == plate.dtype
        assert pixels.shape == plate.shape
        assert pixels[outside].tobytes() == plate[outside].tobytes()
        assert pixels[..., 3:].tobytes() == plate[..., 3:].tobytes()
        if plate.dtype.kind == "f" and params.mix == 1:
            full = used_matte(clips.matte.read(frame), None, params) == 1
            assert np.isfinite(pixels[full][:, :3].astype(np.float32)).all()


@pytest.mark.parametrize("dtype", ["f2", "u1", "u2"])
def test_an_identity_network_gives_back_the_plate_where_nothing_is_resampled(identical, dtype):
    """No half pixel, no code value is lost on the way there and back."""
    clips = within_range(shot(size=(192, 240), dtype="f4"))
    scale = 1 if dtype == "f2" else np.iinfo(dtype).max
    plate = [(clips.source.read(frame) * scale).astype(dtype) for frame in clips.source.frames]
    clips = dataclasses.replace(clips, source=numbered("plate", plate))

    result = rendered(clips, identical, Params(grain=0))

    for frame, pixels in result.items():
        difference = np.abs(pixels.astype(float) - clips.source.read(frame).astype(float))
        assert difference.max() <= (1 if dtype == "u2" else 0)


@pytest.mark.parametrize("size", [(101, 333), (517, 800), (30, 40)])
def test_an_identity_network_gives_back_a_smooth_plate_where_it_is_resampled(identical, size):
    """Within the filter's error, and nothing is shifted."""
    y, x = np.mgrid[: size[0], : size[1]] / max(size)
    smooth = (0.4 + 0.2 * np.sin(5 * x + 3 * y))[..., None] * np.ones(3)
    matte = np.zeros(size, np.float32)
    matte[size[0] // 8 : -size[0] // 8, size[1] // 8 : -size[1] // 8] = 1
    clips = Clips(
        source=numbered("plate", [smooth.astype(np.float32)] * 2),
        matte=numbered("matte", [matte] * 2),
    )

    result = rendered(clips, identical, Params(grain=0, model_pixels=20000))

    np.testing.assert_allclose(result[1001], smooth, atol=2e-3)


def test_far_apart_and_moving_mattes_land_where_they_were(identical):
    """Two regions, one of them followed: an identity network still returns the plate."""
    rng = np.random.default_rng(0)
    plates = [rng.uniform(0.05, 0.9, (400, 900, 3)).astype(np.float16) for _ in range(6)]
    mattes = []
    for index in range(6):
        matte = np.zeros((400, 900), np.float32)
        matte[20:60, 20:50] = 1
        matte[300:340, 120 + 130 * index : 150 + 130 * index] = 1
        mattes.append(matte)
    clips = Clips(source=numbered("plate", plates), matte=numbered("matte", mattes))

    result = rendered(clips, identical, Params(grain=0, model_pixels=144 * 144))

    for frame, pixels in result.items():
        np.testing.assert_array_equal(pixels, clips.source.read(frame))


def test_fill_only_laid_over_the_plate_is_the_clean_plate(filling):
    """For artists who grade the fill before it goes over."""
    clips = within_range(shot(dtype="f4"))
    clips.matte.read(1001)[40:45] *= 0.5
    params = Params(grain=0)

    fill = rendered(clips, filling, dataclasses.replace(params, output_mode="fill only"))[1001]
    clean = rendered(clips, filling, params)[1001]

    over = fill[..., :3] + clips.source.read(1001) * (1 - fill[..., 3:])
    np.testing.assert_allclose(over, clean, rtol=1e-4, atol=1e-6)


def never_shown() -> tuple[Clips, np.ndarray]:
    """A standing shot, and which pixels, the same in every frame, its mattes never leave."""
    mattes = np.zeros((3, 96, 144), np.float32)
    for index in range(3):
        mattes[index, 30:60, 40 + 10 * index : 80 + 10 * index] = 1
    clips = Clips(source=shot(dtype="f4").source, matte=numbered("matte", mattes))
    return clips, mattes.min(axis=0) > 0


def test_what_was_made_up_is_an_output(standing):
    """Where a compositor has to look, and perhaps to paint: no frame shows what is there."""
    clips, never = never_shown()
    params = Params(hole_grow=0, output_mode="made up")

    result = rendered(clips, standing, params)
    half = rendered(clips, standing, dataclasses.replace(params, mix=0.5))

    for frame, pixels in result.items():
        assert pixels.shape == (96, 144, 1)
        np.testing.assert_array_equal(pixels[..., 0], never.astype(np.float32))
        np.testing.assert_array_equal(half[frame], pixels / 2)


@pytest.mark.parametrize("how", [{"propagate": False}, {}])
def test_without_real_pixels_all_of_the_matte_is_made_up(filling, standing, how):
    """Because the artist wants it so, or because no frame shows anything."""
    clips, _ = never_shown()
    params = Params(output_mode="made up", **how)

    made_up = rendered(clips, standing if how else filling, params)

    for frame, pixels in made_up.items():
        np.testing.assert_array_equal(pixels[..., 0], clips.matte.read(frame))


def test_what_an_artist_painted_is_not_made_up(standing):
    """They need not look there again; nor where other frames take it from."""
    clips, _ = never_shown()
    painted = Frames("painted", {1002: np.full((96, 144, 3), 0.5, np.float32)})
    clips = dataclasses.replace(clips, clean_frames=painted)

    effect = InpaintEffect(clips, Params(hole_grow=0, output_mode="made up"))
    effect.analyze(clips.source.frames, lambda: InpaintClient(standing), lambda *_: True)

    assert all(not effect.render(frame).any() for frame in clips.source.frames)
    assert not effect.message


def test_what_was_made_up_needs_no_second_run(standing):
    """An artist switches between outputs; nothing is sent or computed again."""
    clips, never = never_shown()
    params = Params(hole_grow=0)
    effect = InpaintEffect(clips, params)
    effect.analyze(clips.source.frames, lambda: InpaintClient(standing), lambda *_: True)

    state = effect.update(params=dataclasses.replace(params, output_mode="made up"))

    assert state is State.DONE
    assert effect.message.startswith("no frame shows all of what is hidden in 1001-1003: ")
    np.testing.assert_array_equal(effect.render(1002)[..., 0], never.astype(np.float32))


@pytest.mark.parametrize(("dtype", "half"), [("f2", 0.5), ("u1", 128), ("u2", 32768)])
def test_the_matte_as_it_was_used_is_an_output(filling, dtype, half):
    """With grow, feather, hold-out and mix in it."""
    clips = shot(dtype=dtype)

    result = rendered(clips, filling, Params(output_mode="matte used", mix=0.5))[1001]

    assert result.shape == (96, 144, 1)
    assert result.max() == half
    np.testing.assert_array_equal(result[..., 0] > 0, clips.matte.read(1001) > 0)


def test_mix_is_between_plate_and_clean_plate(filling):
    """In scene-linear light, halfway."""
    clips = within_range(shot(dtype="f4"))

    whole = rendered(clips, filling, Params(grain=0))[1001]
    half = rendered(clips, filling, Params(grain=0, mix=0.5))[1001]

    np.testing.assert_allclose(half, (whole + clips.source.read(1001)) / 2, rtol=1e-5)


def test_a_premultiplied_plate_is_filled_in_its_own_color(filling):
    """Half transparent and half as bright is the same color: the fill is premultiplied too."""
    clips = shot(dtype="f4", channels=4)
    plate = np.full((96, 144, 4), 0.25, np.float32)
    plate[..., 3] = 0.5
    clips = dataclasses.replace(clips, source=numbered("plate", [plate] * 3))

    result = rendered(clips, filling, Params(premultiplied=True, grain=0))[1001]

    from node.color import decode

    filled = decode(np.float32([0.25]))[0] * 0.5
    np.testing.assert_allclose(result[40, 60], [filled, filled, filled, 0.5], rtol=1e-4)


def test_wide_gamut_plates_keep_saturated_colors(identical):
    """A laser green of ACEScg is negative in Rec.709; the working space may be ACEScg."""
    clips = shot(dtype="f4")
    plate = np.full((96, 144, 3), 0.1, np.float32)
    plate[..., 1] = 0.8
    plate[..., 0] = 0.0
    clips = dataclasses.replace(clips, source=numbered("plate", [plate] * 3))
    wide = Params(color_space="ACEScg", working_space="ACEScg", grain=0)
    narrow = dataclasses.replace(wide, working_space="")

    kept, clipped = (rendered(clips, identical, params)[1001][40, 60] for params in (wide, narrow))

    np.testing.assert_allclose(kept, plate[0, 0], atol=1e-5)
    assert np.abs(clipped - plate[0, 0]).max() > 0.05
