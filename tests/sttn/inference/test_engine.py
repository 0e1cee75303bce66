"""The engine on clips of every awkward kind, with an untrained network."""

import numpy as np
import pytest
import torch

from sttn.errors import CancelledError, InvalidClipError
from sttn.inference import WindowConfig, complete, completed_frames
from sttn.model import Generator, ModelConfig


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(ModelConfig(channels=16, blocks=1)).eval()


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


@pytest.mark.parametrize("length", [1, 2, 11, 23])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_only_holes_change(generator, length, dtype):
    """Outside the hole the clip comes back bit for bit; inside it is filled."""
    frames, masks = clip(length, dtype)

    result = complete(frames, masks, generator)

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


def test_the_same_input_gives_the_same_output(generator):
    """A rerun on the farm matches the first."""
    frames, masks = clip(13)

    np.testing.assert_array_equal(
        complete(frames, masks, generator), complete(frames, masks, generator)
    )


def test_one_window_is_the_plain_network(generator):
    """Caching features and skipping references changes nothing."""
    frames, masks = clip(5)

    result = complete(frames, masks, generator)

    hidden = torch.from_numpy(masks[None, :, None].astype(np.float32))
    inside = torch.from_numpy(frames).permute(0, 3, 1, 2)[None] * 2 - 1
    with torch.no_grad():
        plain = (generator(inside * (1 - hidden), hidden)[0] + 1) / 2
    expected = plain.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(result[masks], expected[masks], atol=1e-5)


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

    window = WindowConfig(max_references=0)
    first = next(completed_frames(Watched(), masks, generator, window))

    assert first[0] == 0
    assert max(read) <= 10


def test_cancelling_stops_before_the_next_window(generator):
    """Escape frees the machine."""
    frames, masks = clip(60)
    asked: list[None] = []

    def cancelled() -> bool:
        asked.append(None)
        return len(asked) > 2

    with pytest.raises(CancelledError):
        list(completed_frames(frames, masks, generator, cancelled=cancelled))

    assert len(asked) == 3


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda f, m: (f[:0], m[:0]), "no frames"),
        (lambda f, m: (f, m[:2]), "3 frames but 2 masks"),
        (lambda f, m: (f[:, :40], m[:, :40]), "40x96x3.*multiples of 48"),
        (lambda f, m: (f.astype(np.float64), m), "float64; give uint8"),
        (lambda f, m: (f, m.astype(np.uint8)), "mask 0 is uint8"),
        (lambda f, m: (np.where(m[..., None], f, np.float32("nan")), m), "NaN"),
    ],
)
def test_clips_that_cannot_be_completed_are_refused(generator, spoil, told):
    """The message names what is wrong."""
    frames, masks = spoil(*clip(3))

    with pytest.raises(InvalidClipError, match=told):
        complete(frames, masks, generator)
