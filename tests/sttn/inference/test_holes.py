"""Real pixels before the network: what is left for it, and how both meet."""

from threading import Event, Lock, current_thread, main_thread
from threading import enumerate as threads
from time import sleep

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sttn.errors import CancelledError, InvalidClipError
from sttn.inference import WindowConfig, complete, completed_frames
from sttn.inference.laying import lay, without_seam
from sttn.inference.preparing import Preparation
from sttn.model import Generator, ModelConfig
from sttn.model.region import Region
from sttn.propagation.flow import DisFlow
from sttn.settings.computing import THREADS


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    return Generator(ModelConfig(channels=16, blocks=1)).eval()


@pytest.fixture(scope="module")
def completed(panned, generator) -> np.ndarray:
    """The shot, once for all who look at it."""
    frames, masks, _ = panned
    return complete(frames, masks, generator)


def hole_psnr(result: np.ndarray, truth: np.ndarray, masks: np.ndarray) -> float:
    return float(-10 * np.log10(np.square((result / 255.0 - truth / 255.0)[masks]).mean()))


def test_real_pixels_beat_an_untrained_network(panned, generator, completed):
    """What other frames show needs no training."""
    frames, masks, truth = panned

    alone = complete(frames, masks, generator, WindowConfig(propagate=False))

    assert hole_psnr(completed, truth, masks) > hole_psnr(alone, truth, masks) + 8
    np.testing.assert_array_equal(completed[~masks], frames[~masks])


def test_handles_lend_and_the_network_rests_where_all_is_known(panned, generator, monkeypatch):
    """A shot whose background shows beside it costs the network nothing."""
    frames, masks, truth = panned
    clear = masks.copy()
    clear[:8], clear[16:] = False, False
    transformed = []
    transform = generator.transform
    monkeypatch.setattr(generator, "transform", lambda *a: transformed.append(1) or transform(*a))
    fills = complete(frames, clear, generator, handles=[*range(6), *range(18, 24)])

    assert hole_psnr(fills[2:10], truth[8:16], masks[8:16]) > 28
    assert len(transformed) <= 2


def test_where_real_pixels_come_from_is_told(panned, generator):
    """A node fetches fine detail there: wrong places would bring the wrong detail."""
    frames, masks, _ = panned
    some = masks.copy()
    some[:4] = False
    told = {}
    completed = completed_frames(frames, some, generator, origins=told.__setitem__)
    fills = {}
    for index, pixels in completed:
        assert (index in told) == some[index].any()
        fills[index] = pixels

    for index, origins in told.items():
        frame, x, y, share, real = np.moveaxis(origins, -1, 0)
        fetched = frame >= 0
        assert 0 <= real.min() <= real.max() <= 1
        assert (real >= share - 1e-6).all(), "every place is seen sometime, so nothing is made up"
        assert (real[~some[index]] == 1).all()
        assert not (fetched & ~some[index]).any()
        assert (share[fetched] > 0).all()
        assert share.max() <= 1
        rows, columns = np.nonzero(fetched & (share > 0.9))
        there = frame[rows, columns].astype(int)
        moved = there - index
        # The camera pans by 5.3 and 0.4 pixels a frame.
        assert np.abs(x[rows, columns] - (columns - 5.3 * moved)).mean() < 0.5
        assert np.abs(y[rows, columns] - (rows - 0.4 * moved)).mean() < 0.5
        places = np.rint(np.stack([y, x], axis=-1)[rows, columns]).astype(int)
        assert not some[there, places[:, 0], places[:, 1]].any()
    assert np.mean([(o[..., 3] > 0.9)[some[i]].mean() for i, o in told.items()]) > 0.5


def test_a_network_alone_fetches_nothing(panned, generator):
    """Nothing is told that is not so."""
    frames, masks, _ = panned
    told = {}
    config = WindowConfig(propagate=False)
    for _ in completed_frames(frames[:4], masks[:4], generator, config, origins=told.__setitem__):
        pass

    assert not told


def test_frames_are_read_by_one_thread_at_a_time(panned, generator, completed):
    """A caller's movie reader need not know of threads."""
    frames, masks, _ = panned
    reading = Lock()

    class Reader(list):
        def __getitem__(self, index):
            assert reading.acquire(blocking=False), "read by two threads at once"
            sleep(0.001)
            reading.release()
            return super().__getitem__(index)

    result = complete(Reader(frames), masks, generator)

    np.testing.assert_array_equal(result, completed)


def test_motion_is_found_beside_what_is_filled(panned, generator, monkeypatch):
    """Threads that fill frames would all wait for the same motion."""
    frames, masks, _ = panned
    found, search, prepared = [], DisFlow.__call__, []
    monkeypatch.setattr(Preparation, "moved", lambda _: prepared.append(current_thread().name))
    monkeypatch.setattr(
        DisFlow,
        "__call__",
        lambda self, *ways: found.append(current_thread().name) or search(self, *ways),
    )

    next(completed_frames(frames, masks, generator, WindowConfig(part_at_cuts=False)))

    beside = [name for name in found if name != "MainThread"]
    assert len(prepared) > len(frames)
    assert len(set(prepared)) >= min(2, THREADS)
    # Both ways of every pair, far away and nearby and nearby again; and of some strides. Once each.
    assert len(beside) <= 6 * (len(frames) - 1) + 12


def test_how_far_the_looking_is_grows_ahead_of_the_frames(panned, generator):
    """Nobody shall sit before a bar at zero until the first frame comes."""
    frames, masks, _ = panned
    shares, before_first = [], 0

    for _ in completed_frames(frames, masks, generator, prepared=shares.append):
        before_first = before_first or len(shares)

    assert shares == sorted(set(shares))
    assert before_first > 5
    assert 0.4 < shares[before_first - 1] <= shares[-1] <= 1


def test_cancelling_does_not_wait_for_the_network_or_leave_threads_behind(panned, generator):
    """An artist who stops a shot gets the machine back."""
    frames, masks, _ = panned
    asked = []
    completed = completed_frames(
        frames, masks, generator, cancelled=lambda: asked.append(1) or len(asked) > 1
    )

    with pytest.raises(CancelledError):
        next(completed)

    assert not [thread for thread in threads() if thread.name.startswith("real-pixels")]


def test_what_is_looked_for_ends_with_the_next_frame_it_reads(panned, generator):
    """A long shot on a slow disk: nobody waits for forty frames that nobody wants."""
    frames, masks, _ = panned
    read, heard = [], Event()

    class Slow(list):
        def __getitem__(self, index):
            read.append(index)
            sleep(0.05)
            if len(set(read)) > 3 and current_thread() is not main_thread():
                heard.wait(20)
            return super().__getitem__(index)

    def cancelled():
        if len(set(read)) > 3:
            heard.set()
        return heard.is_set()

    completed = completed_frames(Slow(frames), masks, generator, cancelled=cancelled)
    with pytest.raises(CancelledError):
        next(completed)

    assert 3 < len(set(read)) < 12


def test_an_unreadable_frame_ahead_is_told(panned, generator):
    """What goes wrong in a thread reaches the caller."""
    frames, masks, _ = panned
    broken = list(frames.astype(np.float32) / 255)
    broken[20] = np.full_like(broken[20], np.nan)

    with pytest.raises(InvalidClipError, match="frame 20 holds NaN"):
        list(completed_frames(broken, masks, generator))


def test_a_seam_is_spread_out():
    """A fill that is darker all around is lifted to its surroundings; its detail stays."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.4, 0.6, (40, 40, 3)).astype(np.float32)
    hole = np.zeros((40, 40), np.bool_)
    hole[12:28, 12:28] = True

    result = without_seam(truth - 0.1, truth, hole)

    np.testing.assert_allclose(result[hole], truth[hole], atol=1e-3)


def test_without_surroundings_a_fill_stays(generator):
    """A hole that is the whole frame has no seam."""
    said = np.full((8, 8, 3), 0.5, np.float32)

    np.testing.assert_array_equal(
        without_seam(said, np.zeros_like(said), np.ones((8, 8), np.bool_)), said
    )


@given(st.integers(0, 2**32 - 1), st.booleans(), st.floats(0, 1), st.sampled_from("CF"))
def test_only_the_hole_is_laid_and_rounded_to_the_nearest_step(seed, in_8_bits, share, order):
    """What lies outside a hole stays bit for bit, however the caller's frames lie in memory."""
    rng = np.random.default_rng(seed)
    frame = rng.random((9, 13, 3)).astype(np.float32)
    frame = np.array((frame * 255).astype(np.uint8) if in_8_bits else frame, order=order)
    box = Region(2, 2 + rng.integers(1, 7), 3, 3 + rng.integers(1, 10))
    pixels = rng.uniform(-0.2, 1.2, (*box.size, 3)).astype(np.float32)
    pixels[rng.random(box.size) < 0.1] = -0.0
    hole = np.zeros((9, 13), np.bool_)
    where = box.of(hole)
    where[...] = rng.random(box.size) < share
    expected, shown = frame.copy(), pixels[where].clip(0, 1)
    box.of(expected)[where] = np.rint(shown * np.float32(255)) if in_8_bits else shown

    lay(frame, box, pixels, where)

    assert frame.tobytes() == expected.tobytes()
