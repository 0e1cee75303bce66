"""The engine on clips of every awkward kind, with an untrained network."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from sttn.errors import CancelledError, InvalidClipError, OutOfMemoryError
from sttn.inference import PRESETS, MemoryBudget, WindowConfig, complete, completed_frames
from sttn.inference.engine import Engine
from sttn.model import Generator, ModelConfig
from sttn.training.state import initialize
from tests.benchmarks.plain_path import plain_path

ALONE = WindowConfig(propagate=False, part_at_cuts=False)
"""The network without real pixels, whose arithmetic most of these tests are about."""


def clip(length: int, dtype: type = np.float32) -> tuple[np.ndarray, np.ndarray]:
    """Frames (T, 48, 96, 3) and masks with a moving hole."""
    rng = np.random.default_rng(length)
    frames = rng.random((length, 48, 96, 3), dtype=np.float32)
    if dtype is np.uint8:
        frames = (frames * 255).astype(np.uint8)
    masks = np.zeros((length, 48, 96), np.bool_)
    for index in range(length):
        masks[index, 10:30, index % 50 : index % 50 + 20] = True
    return frames, masks


@pytest.mark.parametrize(
    ("length", "dtype"),
    [(1, np.float32), (1, np.uint8), (2, np.uint8), (11, np.float32), (23, np.uint8)],
)
@pytest.mark.parametrize("preset", PRESETS)
def test_only_holes_change(generator, length, dtype, preset):
    """Outside the hole the clip comes back bit for bit; inside it is filled."""
    frames, masks = clip(length, dtype)

    result = complete(frames, masks, generator, PRESETS[preset])

    assert result.dtype == frames.dtype
    np.testing.assert_array_equal(result[~masks], frames[~masks])
    assert (result[masks] != frames[masks]).mean() > 0.9


def test_the_fill_does_not_depend_on_what_the_hole_hides(generator):
    """The object to be removed cannot shine through."""
    frames, masks = clip(7)
    other = np.where(masks[..., None], np.float32(0.5), frames)

    np.testing.assert_array_equal(
        complete(frames, masks, generator)[masks], complete(other, masks, generator)[masks]
    )


def test_frames_that_may_not_be_written_to_are_taken(generator):
    """As they are read from a memory map; nobody is warned of what does not matter to them."""
    frames, masks = clip(3)
    writable = complete(frames, masks, generator, ALONE)

    frames.flags.writeable = masks.flags.writeable = False

    np.testing.assert_array_equal(complete(frames, masks, generator, ALONE), writable)


def test_the_same_input_gives_the_same_output(generator):
    """A rerun on the farm matches the first."""
    frames, masks = clip(13)

    np.testing.assert_array_equal(
        complete(frames, masks, generator), complete(frames, masks, generator)
    )


def test_one_window_is_the_plain_network(generator):
    """Caching features and skipping references changes nothing."""
    frames, masks = clip(5)

    result = complete(frames, masks, generator, ALONE)

    hidden = torch.from_numpy(masks[None, :, None].astype(np.float32))
    inside = torch.from_numpy(frames).permute(0, 3, 1, 2)[None] * 2 - 1
    with torch.no_grad():
        plain = (generator(inside * (1 - hidden), hidden)[0] + 1) / 2
    expected = plain.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(result[masks], expected[masks], atol=1e-5)


@pytest.mark.parametrize("mask_attention", [True, False])
@pytest.mark.parametrize("length", [1, 9, 37])
def test_the_released_schedule_is_the_released_procedure(length, mask_attention):
    """Published numbers can be compared with: caching and regions change no pixel visibly."""
    torch.manual_seed(1)
    network = Generator(ModelConfig(channels=16, blocks=2, mask_attention=mask_attention)).eval()
    initialize(network)
    frames, masks = clip(length, np.uint8)

    result = complete(frames, masks, network, WindowConfig.released())

    # Truncation makes a step of any difference in rounding, but only where it falls on a step.
    apart = np.abs(result[masks].astype(int) - plain_path(frames, masks, network)[masks])
    assert apart.max() <= 1
    assert (apart == 0).mean() > 0.99


def test_the_released_schedule_without_truncation_agrees_to_float32(generator):
    """What truncation hides is tiny too."""
    frames, masks = clip(37, np.uint8)
    exact = replace(WindowConfig.released(), truncate=False)

    result = complete(frames.astype(np.float32) / 255, masks, generator, exact)

    expected = plain_path(frames, masks, generator, truncate=False)
    np.testing.assert_allclose(result[masks] * 255, expected[masks], atol=0.01)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "options",
    [
        {"batch": 3},
        {"budget": MemoryBudget(device_gigabytes=0, host_gigabytes=0)},
        {"budget": MemoryBudget(device_gigabytes=1e-4, host_gigabytes=1e-4)},
    ],
)
def test_batches_and_budgets_change_no_pixel(generator, preset, options):
    """How much memory a machine has does not show in the picture."""
    frames, masks = clip(53)

    window = replace(PRESETS[preset], propagate=False)

    results = [
        np.stack([f for _, f in completed_frames(frames, masks, generator, window, **o)])
        for o in ({}, options)
    ]

    np.testing.assert_allclose(results[0], results[1], atol=2e-5)


def test_running_out_of_memory_halves_the_batch(generator, monkeypatch):
    """The job goes on, slower; nobody has to find the right batch."""
    frames, masks = clip(60)
    plenty = [f for _, f in completed_frames(frames, masks, generator, ALONE)]
    transform, tried = generator.transform, []

    def scarce(features, *rest):
        tried.append(len(features))
        if len(features) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return transform(features, *rest)

    monkeypatch.setattr(generator, "transform", scarce)

    result = [f for _, f in completed_frames(frames, masks, generator, ALONE, batch=4)]

    assert max(tried) > 1
    np.testing.assert_allclose(result, plenty, atol=1e-6)


def test_too_little_memory_for_one_window_is_reported(generator, monkeypatch):
    """One line that says what would help."""
    frames, masks = clip(5)

    def none_left(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")

    monkeypatch.setattr(generator, "encode", none_left)

    with pytest.raises(OutOfMemoryError, match="not enough memory for one window; use a smaller"):
        complete(frames, masks, generator)


@pytest.mark.parametrize("aside", [False, True])
def test_what_is_final_is_handed_over_before_a_window_fails(generator, monkeypatch, aside):
    """A job that breaks late, on a CPU or on a GPU that computes aside, keeps what it has done."""
    frames, masks = clip(60)
    expected = [f for _, f in completed_frames(frames, masks, generator, ALONE)]
    monkeypatch.setattr(Engine, "computes_aside", aside)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
    transform, windows, got = generator.transform, [], []

    def failing(*given):
        windows.append(given)
        if len(windows) == 5:
            raise RuntimeError("the card fell off the bus")
        return transform(*given)

    monkeypatch.setattr(generator, "transform", failing)

    with pytest.raises(RuntimeError, match="off the bus"):
        got.extend(completed_frames(frames, masks, generator, ALONE))

    begins = 15  # the fifth window is of frames 15 to 25
    assert [index for index, _ in got] == list(range(begins))
    np.testing.assert_allclose([frame for _, frame in got], expected[:begins], atol=1e-6)


def test_handles_are_seen_but_not_returned(generator):
    """Frames before and after the shot help, and stay out of the result."""
    frames, masks = clip(15)

    whole = complete(frames, masks, generator)
    inner = complete(frames, masks, generator, handles=[0, 1, 13, 14])

    np.testing.assert_allclose(inner, whole[2:13], atol=1e-5)


def test_a_clean_frame_lends_to_every_window_and_is_not_returned(generator):
    """What the artist painted in one frame reaches all others, and only through attention."""
    frames, masks = clip(40)
    painted = np.concatenate([frames, 1 - frames[:1]])
    holes = np.concatenate([masks, np.zeros_like(masks[:1])])
    window = replace(ALONE, max_references=0)

    without = complete(frames, masks, generator, window)
    result = complete(painted, holes, generator, window, clean=[40])

    assert result.shape == frames.shape
    np.testing.assert_array_equal(result[~masks], frames[~masks])
    changed = [not np.allclose(result[i], without[i], atol=1e-4) for i in range(40)]
    assert all(changed)


def test_a_hole_may_cover_everything_everywhere(generator):
    """Nothing to copy from: still an answer, and no NaN."""
    frames, _ = clip(12)

    result = complete(frames, np.ones((12, 48, 96), np.bool_), generator)

    assert np.isfinite(result).all()


@pytest.mark.parametrize("preset", PRESETS)
def test_each_frame_is_read_and_encoded_once(generator, preset, monkeypatch):
    """Nothing is computed twice, however many windows see it."""
    frames, masks = clip(95)
    encode, encoded = generator.encode, []
    monkeypatch.setattr(
        generator, "encode", lambda batch: encoded.append(len(batch)) or encode(batch)
    )

    complete(frames, masks, generator, replace(PRESETS[preset], propagate=False))

    assert sum(encoded) == 95


def test_bfloat16_is_close_to_float32(generator):
    """Servers compute in bfloat16 where hardware likes it."""
    frames, masks = clip(12)
    half = Generator(generator.config).eval()
    half.load_state_dict(generator.state_dict())

    result = complete(frames, masks, half.to(torch.bfloat16), ALONE)

    apart = np.abs(result - complete(frames, masks, generator, ALONE))[masks]
    assert 0 < apart.mean() < 1 / 255


def test_frames_without_a_hole_pass_through_and_a_full_hole_is_filled(generator):
    """Both ends of what an artist's matte may be."""
    frames, masks = clip(12)
    masks[:] = False
    masks[4] = True

    result = complete(frames, masks, generator)

    untouched = [index for index in range(12) if index != 4]
    np.testing.assert_array_equal(result[untouched], frames[untouched])
    assert np.isfinite(result[4]).all()
    assert (result[4] != frames[4]).mean() > 0.9


def test_frames_are_handed_over_before_the_clip_is_done(generator):
    """The artist sees the first frame while the last are computed."""
    frames, masks = clip(60)
    read: list[int] = []

    class Watched:
        def __len__(self) -> int:
            return len(frames)

        def __getitem__(self, index: int) -> np.ndarray:
            read.append(index)
            return frames[index]

    window = replace(ALONE, max_references=0)
    first = next(completed_frames(Watched(), masks, generator, window))

    assert first[0] == 0
    assert max(read) <= 10


def test_frames_are_handed_over_across_a_stretch_without_holes(generator):
    """A pause in the artist's matte holds nothing up."""
    frames, masks = clip(60)
    masks[8:] = False
    read: list[int] = []

    class Watched:
        def __len__(self) -> int:
            return len(frames)

        def __getitem__(self, index: int) -> np.ndarray:
            read.append(index)
            return masks[index]

    window = replace(ALONE, max_references=0)
    frames_out = completed_frames(frames, Watched(), generator, window)
    for expected in range(20):
        index, _ = next(frames_out)
        assert index == expected

    assert max(read) < 40


def third(asked: list[None]) -> bool:
    """Whether this is the third time that somebody asks, or a later one."""
    asked.append(None)
    return len(asked) > 2


def test_cancelling_stops_before_the_next_window(generator):
    """Escape frees the machine."""
    frames, masks = clip(60)
    asked: list[None] = []

    with pytest.raises(CancelledError):
        list(completed_frames(frames, masks, generator, ALONE, cancelled=lambda: third(asked)))

    assert len(asked) == 3


def test_cancelling_does_not_wait_for_a_window_of_real_pixels(generator):
    """Escape is asked about at every frame that is looked for in others."""
    frames, masks = clip(60)
    asked: list[None] = []

    with pytest.raises(CancelledError):
        next(completed_frames(frames, masks, generator, cancelled=lambda: third(asked)))


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f, m: (f[:0], m[:0]), "no frames"),
        (lambda f, m: (f, m[:2]), "3 frames but 2 masks"),
        (lambda f, m: (f[:, :40], m[:, :40]), "40x96x3.*multiples of 48"),
        (lambda f, m: (f, m[:, :40]), "mask 0 is bool"),
        (lambda f, m: (f.astype(np.float64), m), "float64; give uint8"),
        (lambda f, m: (f, m.astype(np.uint8)), "mask 0 is uint8"),
        (lambda f, m: (np.where(m[..., None], f, np.float32("nan")), m), "NaN"),
        (
            lambda f, m: (f * 255, m),
            r"frame 0 goes up to 25\d.*; give float32 in \[0, 1\], or uint8",
        ),
        (
            lambda f, m: (np.tile(f, (1, 1, 342, 1)), m),
            "48x32832x3; height and width must be at most",
        ),
    ],
)
def test_clips_that_cannot_be_completed_are_refused(generator, spoil, told):
    """The message names what is wrong."""
    frames, masks = spoil(*clip(3))

    with pytest.raises(InvalidClipError, match=told):
        complete(frames, masks, generator)


def test_float16_and_empty_batches_are_refused(generator):
    """The first would fill holes that cover all of a clip with NaN, the second computes nothing."""
    frames, masks = clip(3)

    with pytest.raises(ValueError, match="in float16; give it in float32 or bfloat16"):
        complete(frames, masks, deepcopy(generator).half())
    with pytest.raises(InvalidClipError, match="batch must be at least 1, got 0"):
        list(completed_frames(frames, masks, generator, batch=0))


@pytest.mark.parametrize(
    ("roles", "told"),
    [
        ({"clean": [1]}, "clean frame 1 has a hole"),
        ({"clean": [3]}, "clean frame 3 does not exist; the clip's 3 frames"),
        ({"handles": [-1]}, "handle -1 does not exist"),
        ({"handles": [1], "clean": [1]}, "frame 1 cannot be"),
        ({"handles": [0, 1, 2]}, "all frames are clean frames or handles"),
    ],
)
def test_roles_that_make_no_sense_are_refused(generator, roles, told):
    """An index off by one is named."""
    frames, masks = clip(3)

    with pytest.raises(InvalidClipError, match=told):
        complete(frames, masks, generator, **roles)
