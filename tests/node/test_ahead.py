"""Work on several frames at once, as artists wait for less and farms have no more memory for it."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from node.ahead import AT_ONCE, handed_over, made_ahead
from node.clips import Clips, Region
from node.completing import Completed, frames_at_once, send
from node.connection import never
from node.params import Params
from node.shot import Shot
from node.surveying import survey
from node.tracks import Track
from tests.node.shots import shot


def test_what_is_made_comes_in_order_and_no_farther_ahead_than_is_said():
    """Memory holds a few frames of a shot, whichever is done first."""
    asked, second = [], threading.Event()

    def given():
        for number in range(7):
            asked.append(number)
            yield number

    def make(number, given_up):
        if number == 0:
            assert second.wait(10)
        elif number == 1:
            second.set()
        return 10 * number

    made = made_ahead(given(), make, never, 3)

    assert next(made) == 0
    assert asked == [0, 1, 2]
    assert list(made) == [10 * number for number in range(1, 7)]


def test_an_error_is_told_when_its_turn_comes_and_the_rest_is_given_up():
    """A truncated file in the middle of a shot; nobody waits for the frames behind it."""
    begun, told = threading.Event(), []

    def make(number, given_up):
        if number == 1:
            assert begun.wait(10)
            raise ValueError("frame 1")
        if number == 2:
            begun.set()
            while not given_up():
                pass
            told.append("given up")
        return number

    made = made_ahead(range(9), make, never, 3)

    assert next(made) == 0
    with pytest.raises(ValueError, match="frame 1"):
        next(made)
    assert told == ["given up"]


def test_results_are_handed_over_in_order_and_at_once():
    """Frame 1 is composited before frame 0; the first one does not wait for what comes later."""
    first_is_there, second_is_made, handed = threading.Event(), threading.Event(), []

    def given():
        yield 0
        yield 1
        assert first_is_there.wait(10)
        yield 2

    def make(number):
        if number == 0:
            assert second_is_made.wait(10)
        elif number == 1:
            second_is_made.set()
        return number

    def hand_over(number):
        handed.append(number)
        first_is_there.set()

    handed_over(given(), make, hand_over, 2)

    assert handed == [0, 1, 2]


def test_what_was_done_before_a_failure_is_handed_over():
    """A server that dies: its finished frames are written, and none after one that cannot be."""
    handed = []

    def given():
        yield from (3, 2)
        raise ConnectionError("the server is gone")

    with pytest.raises(ConnectionError):
        handed_over(given(), float, handed.append, 2)
    with pytest.raises(ZeroDivisionError):
        handed_over([4, 2, 1, 0, 5], lambda number: 4 // number, handed.append, 2)

    assert handed == [3.0, 2.0, 1, 2, 4]


@pytest.mark.parametrize(
    ("size", "expected"), [((96, 144), AT_ONCE), ((4320, 7680), 1), ((2, 2**25), 1)]
)
def test_large_crops_are_prepared_fewer_at_a_time(size, expected):
    """An 8K plate on a workstation with many cores and not so much memory."""
    whole = Region(left=0, top=0, right=size[1], bottom=size[0])
    track = Track(boxes={0: whole}, crops=(whole,), width=432, height=240)
    part = SimpleNamespace(track=track)

    assert frames_at_once(SimpleNamespace(parts=[part])) == expected


class Reading:
    """A clip that notices whether it is read by two threads at once, and what it expects."""

    def __init__(self, clip, busy):
        self.name, self.frames = clip.name, clip.frames
        self._clip, self._busy = clip, busy
        self.expected = []

    def expect(self, frames):
        self.expected.append(list(frames))

    def read(self, frame):
        assert self._busy.acquire(blocking=False), "two frames are read at once"
        try:
            return self._clip.read(frame)
        finally:
            self._busy.release()


class Taking:
    """A connection that takes frames, some threads' at a time."""

    def send(self, plate, mask, role, *, cancelled):
        return plate.mean()


def test_clips_are_read_by_one_thread_at_a_time_and_told_what_comes():
    """Hosts and movies that can only be read one frame after another; files that decode ahead."""
    clips = shot(12)
    busy = threading.Lock()
    plate, matte = Reading(clips.source, busy), Reading(clips.matte, busy)
    looked_at = Shot(Clips(source=plate, matte=matte), Params())
    found = survey(looked_at, plate.frames, (), lambda done, total: None)
    completed, steps = Completed(), []

    try:
        (sent,) = send(
            looked_at, found, Taking(), completed, lambda *step: steps.append(step), never
        )
    finally:
        completed.discard()

    assert steps == [(done, 12) for done in range(1, 13)]
    assert sent == [part_mean(looked_at, found, index) for index in range(12)]
    assert plate.expected[0] == plate.expected[-1] == list(found.frames)
    assert plate.expected == matte.expected


def test_what_is_kept_is_read_without_pythons_parser(monkeypatch):
    """Long shots on Python 3.11, whose parser raises a SystemError now and then beside threads."""
    monkeypatch.setattr("ast.literal_eval", lambda *_, **__: 1 / 0)
    completed, pixels = Completed(), np.arange(12, dtype=np.float16).reshape(2, 2, 3)

    try:
        completed.keep("completed", 0, 7, pixels.transpose(1, 0, 2))
        kept = completed.load("completed", 0, 7)
    finally:
        completed.discard()

    assert (completed.has("completed", 0, 7), completed.has("detail", 0, 7)) == (True, False)
    assert kept.dtype == np.float16
    np.testing.assert_array_equal(kept, pixels.transpose(1, 0, 2))


def part_mean(looked_at, found, index):
    (part,) = found.parts
    return part.seen(part.code(looked_at.look(found.frames[index])[0], index)).mean()
