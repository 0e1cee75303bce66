"""Real pixels: what compositors expect to be copied sharply from frames that show it."""

import dataclasses
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from time import sleep

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sttn.errors import CheckpointError, OutOfMemoryError
from sttn.propagation import Fusion, Propagation, Shelf, load_fusion
from sttn.propagation.agreement import ALIKE, LEAST_VOTE, SHARE, agreed
from sttn.propagation.candidates import candidate, mean_by_evidence, surroundings
from sttn.propagation.fusion import NEVER, FusionConfig, save_fusion, seen
from sttn.propagation.motion import Motion
from sttn.propagation.recent import Recent
from sttn.propagation.shown import Shown, behind_membrane
from sttn.propagation.traces import by_flow, in_plane, sampled, sampled_sharply

CPU = torch.device("cpu")


def propagation(frames, masks, fusion) -> Propagation:
    return Propagation(frames.__getitem__, masks.__getitem__, len(frames), fusion)


def decibel(fill, truth, masks, index) -> float:
    inside = fill.box.of(masks[index])
    apart = fill.pixels - fill.box.of(truth[index]).astype(np.float32) / 255
    return float(-10 * np.log10(np.square(apart)[inside].mean()))


def test_what_a_pan_reveals_is_copied(panned):
    """A wall behind a standing hole comes back as it is in the frames beside."""
    frames, masks, truth = panned

    fill = propagation(frames, masks, load_fusion(CPU)).fill(10)

    assert decibel(fill, truth, masks, 10) > 30
    assert fill.trust[fill.box.of(masks[10])].mean() > 0.9
    assert fill.trust[~fill.box.of(masks[10])].max() == 0


def relief() -> np.ndarray:
    """A camera travels past a wall (T, 96, 144, 3) that is nearer here and farther there."""
    rng = np.random.default_rng(3)
    wall = cv2.GaussianBlur(rng.uniform(0, 255, (96, 400, 3)).astype(np.float32), (0, 0), 1.2)
    wall = ((wall - wall.mean()) * 3 + 128).clip(0, 255)
    across, columns = np.arange(400.0), np.arange(144.0) + 120
    rows = np.repeat(np.arange(96, dtype=np.float32)[:, None], 144, axis=1)
    frames = []
    for time in np.arange(17.0) - 8:
        shown = np.interp(columns, across - time * (5 + 1.5 * np.sin(across / 25)), across)
        at = np.repeat(shown[None].astype(np.float32), 96, axis=0)
        frames.append(cv2.remap(wall, at, rows, cv2.INTER_LINEAR))
    return np.stack(frames).round().astype(np.uint8)


def test_depth_that_the_hole_hides_is_found_at_the_second_look():
    """What lies around the hole cannot tell; what was filled at first can. (At first: 22.9 dB.)"""
    truth = relief()
    masks = np.zeros(truth.shape[:3], np.bool_)
    masks[:, 25:71, 50:90] = True
    stage = propagation(np.where(masks[..., None], np.uint8(0), truth), masks, load_fusion(CPU))

    reached = [decibel(stage.fill(at), truth, masks, at) for at in range(2, 15, 3)]

    assert np.mean(reached) > 23.7


def test_specks_that_nobody_shows_wait_for_no_network(panned):
    """The network would run over every frame for a handful of pixels between sharp ones."""
    _, masks, truth = panned
    speck = np.zeros_like(masks)
    speck[:, 44:50, 30:40] = True  # hidden in all frames, and beside it what they show
    deep = np.zeros_like(masks)
    deep[:, 25:71, 20:100] = True
    still = np.repeat(truth[:1], len(truth), axis=0)

    fills = []
    for hole in (speck, deep):
        moving = hole.copy()
        moving[::2, 36:60, 60:90] = True  # shown in every other frame
        fills.append((propagation(still, moving, load_fusion(CPU)).fill(10), moving))

    (small, around), (large, _) = fills
    inside = small.box.of(around[10])
    assert (small.trust[inside] == 1).all()
    assert decibel(small, still, around, 10) > 25
    assert small.origins[small.box.of(speck[10])][:, 3].max() == 0
    assert large.trust[large.box.of(deep[10])].min() == 0


@pytest.mark.parametrize("also", [(0, 0), (20, 45)], ids=["alone", "beside what nobody shows"])
def test_a_wire_does_not_show_where_somebody_crosses_it(panned, also):
    """The rig's matte hides it in all frames, the actor's what is around it in some: what closes
    the gap there goes on from what was found around it.
    """
    _, masks, truth = panned
    still = np.repeat(truth[:1], len(truth), axis=0)
    wire = np.zeros_like(masks)
    wire[:, :, 70:72] = True
    moving = wire.copy()
    moving[9:12, 15:80, 40:100] = True
    moving[:, 40 : 40 + also[0], 5 : 5 + also[1]] = True  # never shown, and too large for it
    stage = propagation(still, moving, load_fusion(CPU))

    assert decibel(stage.fill(4), still, wire, 4) > 22
    assert decibel(stage.fill(10), still, wire, 10) > 18


def test_threads_find_what_one_alone_finds(panned):
    """Frames ahead are looked at in threads, in any order: the same shot gives the same pixels."""
    frames, masks, _ = panned
    alone = propagation(frames, masks, load_fusion(CPU))
    shared = Propagation(
        frames.__getitem__, masks.__getitem__, len(frames), load_fusion(CPU), at_once=24
    )

    with ThreadPoolExecutor(4) as threads:
        together = list(threads.map(shared.fill, reversed(range(len(frames)))))[::-1]

    for index, fill in enumerate(together):
        np.testing.assert_array_equal(fill.pixels, alone.fill(index).pixels)
        np.testing.assert_array_equal(fill.origins, alone.fill(index).origins)


class OnGpu(torch.Tensor):
    is_cuda = True


class Scarce(Fusion):
    """Says that it lies on a GPU, and finds no memory there at first."""

    def __init__(self, failures) -> None:
        super().__init__()
        self.failures, self.inside, self.most = failures, 0, 0

    def parameters(self, recurse=True):
        return (each.detach().as_subclass(OnGpu) for each in super().parameters(recurse))

    def forward(self, *seen):
        self.inside += 1
        self.most = max(self.most, self.inside)
        sleep(0.02)
        self.inside -= 1
        if self.failures:
            self.failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().forward(*seen)


def test_threads_take_memory_of_a_gpu_in_turns_and_wait_for_it_once(panned):
    """Eight of them and the network share it: a job does not fail where there was room for one."""
    _, around, right, _, nothing = offered()
    scarce, known = Scarce(failures=1), seen(around, [right, *[nothing] * 11])
    stage = propagation(*panned[:2], scarce)

    with ThreadPoolExecutor(4) as threads:
        weighed = list(threads.map(torch.inference_mode()(stage._weights), [known] * 4))

    assert scarce.most == 1
    for weights in weighed:
        torch.testing.assert_close(weights, known.scores.softmax(0))
    scarce.failures = 2
    with pytest.raises(OutOfMemoryError, match="one hole; use a smaller raster"):
        stage._weights(known)


def test_motion_is_prepared_once_by_any_thread(panned):
    """The first frame of a shot waits for the motion of sixty, which threads find side by side."""
    frames, masks, _ = panned
    alone, shared = (propagation(frames, masks, load_fusion(CPU)) for _ in range(2))

    work = [prepare for index in (3, 4, 9) for prepare in shared.preparations(index)]

    named = [(id(prepare.func.__self__), prepare.args[0]) for prepare in work]
    assert len(set(named)) == len(named)
    assert {pair for _, pair in named} == set(range(len(frames) - 1))
    with ThreadPoolExecutor(4) as threads:
        filled = threads.submit(shared.fill, 3)
        for prepare in work:
            threads.submit(prepare)
    np.testing.assert_array_equal(filled.result().pixels, alone.fill(3).pixels)


def test_large_rasters_wait_on_disk(panned, tmp_path, monkeypatch):
    """Memory has a budget: what exceeds it changes no pixel and leaves no file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    frames, masks, _ = panned
    fills = []
    for shelf in (Shelf(), Shelf(0)):
        stage = Propagation(
            frames.__getitem__, masks.__getitem__, len(frames), load_fusion(CPU), shelf
        )
        fills.append(stage.fill(9))

    np.testing.assert_array_equal(fills[0].pixels, fills[1].pixels)
    np.testing.assert_array_equal(fills[0].trust, fills[1].trust)
    assert not list(tmp_path.iterdir())


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(0, 200))
@settings(max_examples=40, deadline=None)
def test_a_shelf_holds_what_fits_and_has_room_again(sizes, limit):
    """Whatever is dropped makes room; whatever does not fit is the same in a file."""
    shelf, held = Shelf(limit), []
    for number, size in enumerate(sizes):
        array = np.full(size, number, np.uint8)
        held.append(shelf.kept(array))
        assert sum(a.size for a in held if not isinstance(a, np.memmap)) <= limit
        np.testing.assert_array_equal(held[-1], array)
        del array
        if number % 3 == 2:
            del held[0]
    held.clear()

    whole = shelf.kept(np.zeros(limit + 1, np.uint8)), shelf.kept(np.zeros(max(limit, 1), np.uint8))

    assert isinstance(whole[0], np.memmap)
    assert isinstance(whole[1], np.memmap) == (limit == 0)


def test_arrays_that_the_caller_keeps_make_room_all_the_same():
    """A script whose shot is in memory must not have everything after 2 GB of it read from disk."""
    shelf, frames = Shelf(1000), [np.zeros(400, np.uint8) for _ in range(9)]

    waiting = deque((shelf.kept(frame) for frame in frames), maxlen=1)

    assert not isinstance(waiting[0], np.memmap)


def test_arrays_on_disk_share_few_files_which_go_with_them(monkeypatch):
    """A long shot has thousands of arrays; a process may often open 1024 files, and disks fill."""
    monkeypatch.setattr("sttn.propagation.shelf.SLAB", 4096)
    shelf, held, open_before = Shelf(0), deque(maxlen=40), len(os.listdir("/dev/fd"))

    for number in range(400):
        held.append(shelf.kept(np.full((11, 9), number, np.int16)))
        assert len(os.listdir("/dev/fd")) - open_before <= 5  # 16 arrays a file, one is written to

    assert [int(array.mean()) for array in held] == list(range(360, 400))
    larger = shelf.kept(np.arange(3000))
    np.testing.assert_array_equal(larger, np.arange(3000))
    held.clear()
    del shelf, larger
    assert len(os.listdir("/dev/fd")) == open_before


def test_a_value_is_made_once_whoever_asks():
    """And an error reaches everybody who waits for it."""
    made, asked, barrier = [], [], Barrier(4)

    def make(key):
        made.append(key)
        while len(asked) % 4:
            sleep(0.001)
        sleep(0.05)
        if key == 2:
            raise ValueError("unreadable")
        return key * 10

    recent = Recent(2, make)

    def ask(key):
        barrier.wait()
        asked.append(key)
        try:
            return recent[key]
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, [1] * 4)) == [10] * 4
        assert list(threads.map(ask, [2] * 4)) == ["unreadable"] * 4
    assert made == [1, 2]
    assert (recent[3], recent[4], recent[1]) == (30, 40, 10)
    assert made == [1, 2, 3, 4, 1]


def test_a_float_plate_is_filled_like_an_8_bit_one(panned):
    """Scene-linear plates arrive as float32 in the working space."""
    frames, masks, _ = panned
    floats = frames.astype(np.float32) / 255

    fills = [propagation(f, masks, load_fusion(CPU)).fill(4) for f in (frames, floats)]

    np.testing.assert_allclose(fills[0].pixels, fills[1].pixels, atol=3e-4)  # half floats
    np.testing.assert_allclose(fills[0].trust, fills[1].trust, atol=1e-3)


def test_what_the_hole_hides_does_not_matter(panned):
    """The object to be removed cannot shine through, not by a bit."""
    frames, masks, _ = panned
    noise = np.random.default_rng(0).integers(0, 255, frames.shape, np.uint8)
    other = np.where(masks[..., None], noise, frames)

    fills = [propagation(f, masks, load_fusion(CPU)).fill(9) for f in (frames, other)]

    np.testing.assert_array_equal(fills[0].pixels, fills[1].pixels)
    np.testing.assert_array_equal(fills[0].trust, fills[1].trust)


def test_where_nothing_shows_nothing_is_trusted(panned):
    """A locked-off shot with a standing matte: the network has to invent."""
    frames, masks, _ = panned
    still = np.repeat(frames[:1], 8, axis=0)

    fill = propagation(still, masks[:8], load_fusion(CPU)).fill(3)

    assert fill.trust.max() == 0


def test_frames_after_a_cut_are_not_believed(panned):
    """An edit inside the clip puts nothing of the other shot into the hole."""
    frames, masks, _ = panned
    rng = np.random.default_rng(1)
    after = rng.integers(0, 60, (6, *frames.shape[1:]), np.uint8)
    clip = np.concatenate([np.repeat(frames[:1], 6, axis=0), after])
    holes = np.concatenate([masks[:6], np.zeros_like(masks[:6])])

    fill = propagation(clip, holes, load_fusion(CPU)).fill(5)

    assert fill.trust.mean() < 0.02


def test_a_frame_without_a_hole_needs_nothing(panned):
    """Mattes have gaps."""
    frames, masks, _ = panned
    holes = masks.copy()
    holes[5] = False

    assert propagation(frames, holes, load_fusion(CPU)).fill(5) is None


def test_the_result_does_not_depend_on_the_order_in_which_frames_are_asked_for(panned):
    """A resumed job begins in the middle and gives the same pixels."""
    frames, masks, _ = panned
    fusion = load_fusion(CPU)
    whole = propagation(frames, masks, fusion)
    for index in range(15):
        whole.fill(index)

    later = propagation(frames, masks, fusion).fill(15)

    np.testing.assert_array_equal(whole.fill(15).pixels, later.pixels)


@pytest.mark.parametrize(
    "follow",
    [
        by_flow,
        partial(in_plane, homography=lambda step: step.plane),
        partial(in_plane, homography=lambda step: step.camera),
    ],
)
def test_places_are_followed_to_where_they_show(panned, follow):
    """A pan by 5.3 and 0.4 pixels a frame: what is hidden shows to the left later on."""
    frames, masks, _ = panned
    motion = Motion(lambda i: behind_membrane(frames[i], masks[i]), 30, Shelf())
    start = np.array([[75.0, 48.0]], np.float32)

    first, second, before, _ = follow(motion, lambda i: ~masks[i], len(frames), 8, start)

    steps = first.frames[0] - 8
    assert steps == 3  # 15 pixels to the edge of the hole
    np.testing.assert_allclose(first.places[0], [75 - 5.3 * 3, 48 - 0.4 * 3], atol=0.7)
    assert second.frames[0] == first.frames[0] + 4
    assert before.frames[0] < 8


def test_the_fusion_is_told_how_places_were_followed(panned):
    """It was trained on these numbers: 1 by flow, 2 more for a second look."""
    frames, masks, _ = panned

    offers = propagation(frames, masks, Fusion()).offers(8)

    kinds = seen(offers.around, offers.candidates).offered[:, 12]
    assert kinds.amin((1, 2)).tolist() == kinds.amax((1, 2)).tolist()
    assert kinds[:, 0, 0].tolist() == [1, 3, 1, 3, 0, 2, 0, 2, 0, 2, 0, 2]


def test_motion_is_looked_for_again_only_around_holes(panned):
    """Frames without a hole, and what is far from one, cost nothing more."""
    _, masks, truth = panned
    holes = masks.copy()
    holes[5:] = False
    wide = np.concatenate([truth, truth[:, :, ::-1]], axis=2)
    wider = np.concatenate([holes, np.zeros_like(holes)], axis=2)
    first = Motion(lambda i: behind_membrane(wide[i], wider[i]), 30, Shelf())

    def filled(i):
        return Shown(image=wide[i], hole=wider[i], unknown=np.zeros_like(wider[i]))

    again = Motion(filled, 30, Shelf(), first)

    assert again.pair(8) is first.pair(8)
    there, once = again.pair(2)[0].flow, first.pair(2)[0].flow
    np.testing.assert_array_equal(there[:, 144:], once[:, 144:])
    inside = wider[2]
    assert not np.array_equal(there[inside], once[inside])
    np.testing.assert_allclose(there[inside].mean(0), (-5.3, -0.4), atol=0.05)


@given(st.integers(0, 600), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_sampling_takes_any_number_of_places(count, channels):
    """OpenCV's limit on the size of a map is nobody's business."""
    image = np.random.default_rng(0).random((7, 9, channels), dtype=np.float32)
    places = np.stack([np.arange(count) % 9, np.arange(count) % 7], axis=1).astype(np.float32)

    found = sampled(image, places)

    x, y = places.astype(int).T
    np.testing.assert_allclose(found, image[y, x], atol=1e-6)


def test_sampling_takes_what_a_hole_in_a_4k_frame_asks_for():
    """Twelve candidates for a third of it: more places than OpenCV takes in rows of 256."""
    places = np.zeros((8_400_000, 2), np.float32)
    places[-1] = 1, 0

    found = sampled(np.array([[[0.25], [0.75]]]), places)

    np.testing.assert_array_equal(found[[0, -2, -1], 0], [0.25, 0.25, 0.75])


def offered() -> tuple:
    """Surroundings with a hole, a candidate that is right but darker, and one that is wrong."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.3, 0.9, (40, 40, 3)).astype(np.float32)
    hole = np.zeros((40, 40), np.bool_)
    hole[14:26, 14:26] = True
    wider = np.zeros_like(hole)
    wider[8:32, 8:32] = True
    flat = np.where(hole[..., None], 0.6, truth).astype(np.float32)
    blind = np.where(wider[..., None], 0.6, truth).astype(np.float32)
    around = surroundings(flat, blind, hole, wider & ~hole)
    distance = np.where(wider, 3, 0).astype(np.float32)
    right = candidate(around, np.where(wider[..., None], truth - 0.1, 0), distance)
    noise = rng.random(truth.shape, dtype=np.float32)
    wrong = candidate(around, np.where(wider[..., None], noise, 0), distance)
    nothing = candidate(around, np.zeros_like(truth), np.zeros_like(distance))
    return truth, around, right, wrong, nothing


def between_pixels(shape):
    """Every pixel of an image half a pixel on, where a mean of neighbors takes most detail."""
    rows, columns = np.indices(shape).reshape(2, -1)
    return np.stack([columns + 0.5, rows + 0.5], axis=1).astype(np.float32)


def test_what_is_fetched_is_as_sharp_as_the_plate():
    """A fill that is softer than its surroundings is seen at once."""
    wave = np.sin(np.arange(64) * 2 * np.pi / 4).astype(np.float32)
    image = np.repeat((wave[:, None] + wave)[..., None], 3, axis=2)
    places, visible = between_pixels((64, 64)), np.ones((64, 64), np.bool_)

    sharp = sampled_sharply(image, places, visible).reshape(64, 64, 3)[8:-8, 8:-8]
    soft = sampled(image, places).reshape(64, 64, 3)[8:-8, 8:-8]

    assert sharp.std() > 0.95 * image.std()
    assert soft.std() < 0.75 * image.std()


@given(st.integers(0, 2**16), st.sampled_from([np.uint8, np.float16, np.float32]))
@settings(max_examples=30, deadline=None)
def test_nothing_of_what_is_removed_is_fetched(seed, dtype):
    """Beside a hole only what shows is looked at: the removed object leaves no halo."""
    rng = np.random.default_rng(seed)
    visible = np.ones((40, 40), np.bool_)
    visible[10:30, 12:28] = False
    image = (255 * rng.random((40, 40, 3))).astype(dtype)
    other = np.where(visible[..., None], image, dtype(rng.integers(2, 100)))
    rows, columns = np.nonzero(visible)
    places = np.stack([columns, rows], axis=1) + rng.uniform(-0.4, 0.4, (len(rows), 2))
    clear = ~cv2.dilate((~visible).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    places = places[clear[rows, columns]].astype(np.float32)

    assert np.array_equal(
        sampled_sharply(image, places, visible), sampled_sharply(other, places, visible)
    )


def test_a_candidate_is_corrected_by_what_it_misses_the_margin_by():
    """Light that changed between two frames leaves no patch."""
    truth, around, right, _, _ = offered()

    np.testing.assert_allclose(right.pixels[around.hole], truth[around.hole], atol=0.01)


def test_evidence_prefers_what_fits_the_margin():
    """What is wrong beside the hole is not believed inside it."""
    truth, around, right, wrong, _ = offered()

    mean = mean_by_evidence(around, [right, wrong])

    assert wrong.error[around.hole].mean() > right.error[around.hole].mean()
    np.testing.assert_allclose(mean[around.hole], truth[around.hole], atol=0.06)


def test_untrained_the_network_is_the_mean_by_evidence_and_agreement():
    """Training starts from what is known to work."""
    _, around, right, wrong, nothing = offered()
    known = seen(around, [right, wrong, *[nothing] * 10])

    weights = Fusion()(known.offered[None], known.shared[None], known.scores[None])[0]

    torch.testing.assert_close(weights, known.scores.softmax(0))


def test_what_others_show_too_is_believed():
    """Of two that fit the margin equally well, the one that a third agrees with weighs more."""
    _, around, right, _, nothing = offered()
    other = dataclasses.replace(right, pixels=(right.pixels + 0.3).clip(0, 1))

    known = seen(around, [right, other, right, *[nothing] * 9])

    hole = torch.from_numpy(around.hole)
    first, second, third = known.scores.softmax(0)[1:4, hole]
    torch.testing.assert_close(first, third)
    assert (first > 1.9 * second).all()


@given(st.integers(0, 2**16), st.integers(1, 5), st.integers(1, 30))
@settings(max_examples=50, deadline=None)
def test_votes_are_those_of_every_pair(seed, count, places):
    """Against the sum as it is written; filling in space loses and gains nothing by it."""
    rng = np.random.default_rng(seed)
    scores, pixels = rng.normal(0, 9, (count, places)), rng.random((count, 3, places))
    worth = np.exp(SHARE * scores) / np.exp(SHARE * scores).sum(0)
    apart = np.square(pixels[:, None] - pixels).mean(2)
    alike = np.exp(np.maximum(-apart / (2 * ALIKE**2), LEAST_VOTE))
    expected = worth * np.einsum("kjn,jn->kn", alike, worth)

    both = agreed(torch.from_numpy(scores), torch.from_numpy(pixels)).exp().numpy()

    np.testing.assert_allclose(both.sum(0), np.exp(scores).sum(0), rtol=1e-6)
    np.testing.assert_allclose(both / both.sum(0), expected / expected.sum(0), rtol=1e-6)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_weights_sum_to_one_and_nothing_found_weighs_nothing(precision):
    """Nothing comes out that was not found or filled."""
    _, around, right, wrong, nothing = offered()
    known = seen(around, [right, wrong, *[nothing] * 10])
    torch.manual_seed(0)
    fusion = Fusion()
    for head in (fusion.score, fusion.score_in_space):
        torch.nn.init.normal_(head.weight)
    fusion = fusion.to(precision)

    weights = fusion(
        known.offered[None].to(precision), known.shared[None].to(precision), known.scores[None]
    )[0]

    torch.testing.assert_close(weights.sum(0), torch.ones(40, 40))
    assert weights[3:].max() == 0
    assert (known.scores[3:] == NEVER).all()


def test_fusion_weights_are_checked(tmp_path):
    """A file of another network is named, and what is wrong with it."""
    save_fusion(Fusion(FusionConfig(width=32)), tmp_path / "wide.safetensors")

    assert load_fusion(CPU, path=tmp_path / "wide.safetensors").config.width == 32
    (tmp_path / "other.safetensors").write_bytes(b"no such thing")
    with pytest.raises(CheckpointError, match=r"other\.safetensors is not a safetensors file"):
        load_fusion(CPU, path=tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"no weights at .*missing\.safetensors"):
        load_fusion(CPU, path=tmp_path / "missing.safetensors")
    with pytest.raises(ValueError, match="width must be a multiple of 16, got 24"):
        FusionConfig(width=24)


def test_fusion_weights_that_are_replaced_are_read_again(tmp_path):
    """Whoever trains and looks at the result in one session, under one name."""
    path = tmp_path / "fusion.safetensors"
    save_fusion(Fusion(), path)
    before = load_fusion(CPU, path=path)
    assert load_fusion(CPU, path=str(path)) is before

    save_fusion(Fusion(FusionConfig(width=32)), path)

    assert load_fusion(CPU, path=path).config.width == 32
