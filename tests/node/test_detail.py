"""Fills at the plate's own sharpness: what compositors of 2K and 4K plates look for first."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.clips import Clips, Region
from node.color import encode
from node.detail import fetched, lost, without_grain
from node.params import Params
from node.raster import resample
from tests.node.shots import numbered, rendered
from tests.node.test_grain import grain, measured

WIDTH, HEIGHT, TIMES = 24, 18, 4
CROP = (WIDTH * TIMES, HEIGHT * TIMES)
WHOLE = Region(left=0, top=0, right=CROP[0], bottom=CROP[1])


def wall(seed: int, size: tuple[int, int] = (400, 400)) -> np.ndarray:
    """A fine texture in [0.2, 0.8]."""
    noise = np.random.default_rng(seed).uniform(-1, 1, (*size, 3)).astype(np.float32)
    return 0.5 + 0.3 * cv2.GaussianBlur(noise, (0, 0), 0.8)


def told(dx: float, dy: float, frame: int = 0) -> np.ndarray:
    """Origins of a model raster that is all fetched, so many model pixels away."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    each = [np.full_like(x, frame), x + dx, y + dy, np.ones_like(x)]
    return np.stack(each, axis=-1).astype(np.float32)


def shrunk(image: np.ndarray) -> np.ndarray:
    return resample(image, WIDTH, HEIGHT)


def part_of(image: np.ndarray, left: int, top: int) -> np.ndarray:
    return image[100 + top : 100 + top + CROP[1], 100 + left : 100 + left + CROP[0]]


@given(st.integers(-20, 20), st.integers(-20, 20))
def test_a_pan_by_whole_pixels_of_the_plate_brings_its_pixels(dx, dy):
    """Even where that is a fraction of the model's: shrunk plate and detail make the plate."""
    here, there = part_of(wall(0), 0, 0), part_of(wall(0), -dx, -dy)
    origins = told(dx / TIMES, dy / TIMES)

    detail = fetched(origins, CROP, WHOLE, lambda _: lost(there, shrunk(there)))

    enlarged, inside = resample(shrunk(here), *CROP), (slice(32, -32), slice(32, -32))
    missed = np.abs(enlarged - here)[inside]
    apart = np.abs(enlarged + detail - here)[inside]
    if dx % TIMES == dy % TIMES == 0:
        assert apart.max() < 2e-3
    else:  # the source was shrunk at other places, so it lost a little else
        assert apart.mean() < 0.6 * missed.mean()


def test_the_detail_of_a_zoom_follows_it():
    """Between the places that the server tells the way is interpolated, not stepped."""
    far = wall(1)
    rows, columns = np.mgrid[: CROP[1], : CROP[0]].astype(np.float32)
    zoomed = cv2.remap(far, 30 + columns * 1.1, 40 + rows * 1.1, cv2.INTER_CUBIC)
    source = far[: CROP[1] * 2, : CROP[0] * 2]
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    at = [(((v + 0.5) * TIMES - 0.5) * 1.1 + s + 0.5) / TIMES - 0.5 for v, s in ((x, 30), (y, 40))]
    origins = np.stack([np.zeros_like(x), *at, np.ones_like(x)], axis=-1)
    # A layer that is all detail shows the way alone.
    layer = source[: HEIGHT * TIMES, : WIDTH * TIMES]
    inside = (at[0] < WIDTH - 2) & (at[1] < HEIGHT - 2)
    origins[~inside] = (-1, 0, 0, 0)

    found = fetched(origins.astype(np.float32), CROP, WHOLE, lambda _: layer.astype(np.float16))

    whole = cv2.resize(inside.astype(np.uint8), CROP, interpolation=cv2.INTER_NEAREST)
    sure = cv2.erode(whole, np.ones((2 * TIMES + 1,) * 2)) > 0
    assert sure.sum() > 500
    assert np.abs(found - zoomed)[sure].mean() < 0.004
    assert np.abs(found - zoomed)[sure].max() < 0.05


def test_across_an_edge_in_depth_ways_do_not_mix():
    """A post before a wall moves otherwise than the wall: nothing comes from between them."""
    origins = told(0, 0)
    origins[:, WIDTH // 2 :, 1] += 3
    ramp = np.arange(CROP[0], dtype=np.float32)[None, :, None] * np.ones((CROP[1], 1, 3))

    found = fetched(origins, CROP, WHOLE, lambda _: ramp)[HEIGHT, :, 0]

    middle = CROP[0] // 2
    np.testing.assert_allclose(found[4:middle], np.arange(4, middle), atol=1e-3)
    np.testing.assert_allclose(
        found[middle : middle + 20], np.arange(middle, middle + 20) + 12, atol=1e-3
    )


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(0, 40))
def test_a_part_is_the_part_of_the_whole(seed, left, top):
    """What is composited does not depend on how much of it is; frames lend what is theirs."""
    rng = np.random.default_rng(seed)
    origins = told(*rng.uniform(-2, 2, 2))
    origins[..., 0] = rng.integers(-1, 3, (HEIGHT, WIDTH))
    origins[..., 3] = np.where(origins[..., 0] < 0, 0, rng.uniform(0.1, 1, (HEIGHT, WIDTH)))
    layers = [part_of(wall(index), 0, 0).astype(np.float16) for index in range(3)]
    box = Region(left=left, top=top, right=left + 30, bottom=top + 25)

    some = fetched(origins, CROP, box, layers.__getitem__)

    np.testing.assert_array_equal(some, box.of(fetched(origins, CROP, WHOLE, layers.__getitem__)))
    nowhere = np.full_like(origins, -1)
    nowhere[..., 3] = 0
    assert not fetched(nowhere, CROP, box, layers.__getitem__).any()


def test_grain_that_came_with_the_detail_is_left_out_and_texture_stays():
    """It would stand still; the fill gets grain of its own, which lives."""
    light = np.full((5, 200, 240, 3), 0.5)
    known = measured(light + 0.012 * grain((5, 200, 240), 0))
    noise = (0.012 * grain((1, 96, 96), 0, seed=9)[0]).astype(np.float32)
    texture = part_of(wall(4), 0, 0)[:72, :72] - np.float32(0.5)
    code = np.full((72, 72, 3), 0.5, np.float32)

    rest, stays = without_grain(noise[:72, :72], known, code)
    kept, most = without_grain(texture + noise[:72, :72], known, code)

    assert rest.std() < 0.3 * noise.std()
    assert stays.mean() < 0.15
    assert most.mean() > 0.9
    assert np.abs(kept - texture).std() < 1.1 * noise.std()


def moving_hole(dtype: str) -> tuple[Clips, np.ndarray]:
    """A fine standing plate four times the model raster, and a hole that moves over it."""
    scale = 255 if dtype == "u1" else 6
    plate = (wall(5, (192, 288)) * scale).astype(dtype)
    matte = np.zeros((4, 192, 288), np.float32)
    for index in range(4):
        matte[index, 60:110, 40 + 60 * index : 80 + 60 * index] = 1
    clips = Clips(
        source=numbered("plate", [np.where(m[..., None] > 0, 0, plate) for m in matte]),
        matte=numbered("matte", matte),
    )
    return clips, plate


@pytest.mark.parametrize("dtype", ["f2", "u1"])
@pytest.mark.parametrize("grain", [0.0, 1.0])
def test_what_other_frames_show_comes_back_as_sharp_as_the_plate(standing, dtype, grain):
    """Through node, wire and server, HDR included; without detail it is blurred."""
    clips, plate = moving_hole(dtype)

    apart = {}
    for detail in (0.0, 1.0):
        params = Params(model_pixels=72 * 48, grain=grain, hole_grow=1, detail=detail)
        missed = [
            np.abs(pixels.astype(float) - plate)[clips.matte.read(frame) > 0].mean()
            for frame, pixels in rendered(clips, standing, params).items()
        ]
        apart[detail] = np.mean(missed) / plate.mean()

    assert apart[1.0] < 0.01
    assert apart[0.0] > 5 * apart[1.0]


def test_half_the_detail_is_half_way(standing):
    """A dial, not a switch; and no analysis is made again for it."""
    clips, _ = moving_hole("f4")
    results = [
        rendered(clips, standing, Params(model_pixels=72 * 48, grain=0, hole_grow=1, detail=share))[
            1002
        ]
        for share in (0, 0.5, 1)
    ]

    none, half, full = map(encode, results)
    covered = clips.matte.read(1002) > 0
    np.testing.assert_allclose(half[covered], (none + full)[covered] / 2, atol=2e-3)


@pytest.mark.parametrize("dtype", ["f2", "u1"])
def test_nothing_that_another_frame_shows_is_made_up(standing, dtype):
    """At the plate's size too, which is not the size at which it is told."""
    clips, _ = moving_hole(dtype)
    params = Params(model_pixels=72 * 48, hole_grow=1, output_mode="made up")

    for pixels in rendered(clips, standing, params).values():
        assert pixels.shape == (192, 288, 1)
        assert not pixels.any()
