"""The job as an artist sees it: analyze once, look frames up, stop at once, see what is stale."""

import dataclasses
import threading
import time
from contextlib import ExitStack

import numpy as np
import pytest

from node.client import InpaintClient
from node.effect import InpaintEffect, Params, State
from node.errors import CancelledError, ClipError, ServerLostError, ServerUnreachableError
from tests.conftest import serving
from tests.node.shots import Frames, rendered, shot
from tests.server.engines import ScenesEngine


def same(first: np.ndarray, second: np.ndarray) -> bool:
    return first.tobytes() == second.tobytes()


def test_an_analyzed_shot_renders_as_a_streamed_one(address, quiet):
    """Nuke looks frames up in any order; a farm streams them: the pixels are the same."""
    clips = shot()
    effect = InpaintEffect(clips)

    effect.analyze(clips.source.frames, lambda: InpaintClient(address), quiet)

    streamed = rendered(clips, address)
    assert effect.state is State.DONE
    assert all(same(effect.render(frame), streamed[frame]) for frame in (1003, 1001, 1002))
    assert effect.get_frames_needed(1002)["Source"] == [(1002, 1002)]
    effect.close()


def test_cuts_are_told_by_their_frames_on_the_timeline(quiet):
    """The artist reads why the second scene shows nothing of the first, and what to do about it."""
    clips = shot()
    effect = InpaintEffect(clips)

    with serving(ScenesEngine()) as address:
        effect.analyze(clips.source.frames, lambda: InpaintClient(address), quiet)

    assert effect.state is State.DONE
    assert effect.message.startswith("cut before frame 1003: ")
    assert "part_at_cuts" in effect.message
    effect.close()


def test_until_a_frame_is_finished_the_plate_shows(address, fake_engine):
    """Never black; states and stages follow one another."""
    clips = shot(length=4)
    effect = InpaintEffect(clips)
    seen: list[tuple[State, bool, bool]] = []
    fake_engine.held_at = 2
    fake_engine.hold.clear()

    def watch(stage: str, done: int, total: int) -> bool:
        first, last = effect.render(1001), effect.render(1004)
        seen.append(
            (
                effect.state,
                same(first, clips.source.read(1001)),
                same(last, clips.source.read(1004)),
            )
        )
        if effect.state is State.PARTIAL:
            fake_engine.hold.set()
        return True

    before = effect.render(1001)
    effect.analyze(clips.source.frames, lambda: InpaintClient(address), watch)

    assert same(before, clips.source.read(1001))
    states = list(dict.fromkeys(state for state, _, _ in seen))
    assert states == [State.EXPORTING, State.SENDING, State.RUNNING, State.PARTIAL]
    assert (State.PARTIAL, False, True) in seen
    assert not same(effect.render(1004), clips.source.read(1004))
    effect.close()


def test_a_frame_that_is_being_rendered_survives_what_begins_meanwhile(address, quiet):
    """A viewer draws while the artist presses Analyze again: it gets the frame whole."""
    clips = shot()
    effect = InpaintEffect(clips)
    effect.analyze(clips.source.frames, lambda: InpaintClient(address), quiet)
    wanted = effect.render(1002)

    class ClosedMeanwhile(Frames):
        def read(self, frame: int) -> np.ndarray:
            effect.close()
            return super().read(frame)

    frames = {frame: clips.source.read(frame) for frame in clips.source.frames}
    folder = effect._analysis.completed._folder
    effect.clips = dataclasses.replace(clips, source=ClosedMeanwhile("plate", frames))

    assert same(effect.render(1002), wanted)
    assert not folder.exists()


@pytest.mark.parametrize("stage", ["reading", "sending", "preparing", "completing"])
def test_abort_takes_effect_within_a_tenth_of_a_second(address, fake_engine, stage):
    """Escape at any stage, from another thread, while the server is busy with a window."""
    clips = shot(length=4)
    slow = Slow(clips.source, 0.3 if stage in ("reading", "sending") else 0.0)
    effect = InpaintEffect(dataclasses.replace(clips, source=slow))
    fake_engine.held_at = 1 if stage == "completing" else 0
    fake_engine.hold.clear()

    def seconds_to_abort() -> float:
        reached, took = threading.Event(), []

        def watch(at: str, done: int, total: int) -> bool:
            if at == stage:
                reached.set()
            return True

        def run() -> None:
            with pytest.raises(CancelledError):
                effect.analyze(clips.source.frames, lambda: InpaintClient(address), watch)
            took.append(time.monotonic())

        thread = threading.Thread(target=run)
        thread.start()
        assert reached.wait(60)
        time.sleep(0.05)
        asked = time.monotonic()
        effect.abort()
        thread.join(60)
        return took[0] - asked

    # The best of a few: what else runs on the machine holds up any of them.
    assert any(seconds_to_abort() < 0.1 for _ in range(5))
    fake_engine.hold.set()
    assert effect.state is State.CANCELLED
    assert same(effect.render(1003), clips.source.read(1003))
    time.sleep(0.4)
    effect.close()


class Slow:
    """Frames that take their time, as 4K EXR files on a server do."""

    def __init__(self, clip: Frames, seconds: float) -> None:
        self.name, self.frames = clip.name, clip.frames
        self._clip, self._seconds = clip, seconds

    def read(self, frame: int) -> np.ndarray:
        if threading.current_thread().name == "sttn-node":
            time.sleep(self._seconds)
        return self._clip.read(frame)


def test_changes_make_an_analysis_stale_and_undoing_them_does_not(address, quiet):
    """The artist sees that the fill belongs to another matte; the plate shows meanwhile."""
    clips = shot()
    effect = InpaintEffect(clips)
    effect.analyze(clips.source.frames, lambda: InpaintClient(address), quiet)
    moved = {frame: np.roll(clips.matte.read(frame), 5, 0) for frame in clips.matte.frames}
    other = dataclasses.replace(clips, matte=Frames("matte", moved))

    stale = effect.update(clips=other)

    assert stale is State.STALE
    assert "analyze again" in effect.message
    assert same(effect.render(1002), clips.source.read(1002))
    assert effect.update(clips=clips) is State.DONE
    assert effect.update(params=Params(surroundings=1.0)) is State.STALE
    assert effect.update(params=Params(mix=0.5, grain=0.2)) is State.DONE
    assert not same(effect.render(1002), clips.source.read(1002))
    effect.close()


def test_an_ocio_config_of_another_kind_makes_it_stale(address, quiet, monkeypatch):
    """Color is part of what was analyzed."""
    clips = shot()
    effect = InpaintEffect(clips)
    effect.analyze(clips.source.frames, lambda: InpaintClient(address), quiet)
    monkeypatch.setenv("OCIO", "ocio://cg-config-latest")

    assert effect.update() is State.STALE
    effect.close()


def test_errors_stay_on_the_node(quiet):
    """Until the next analysis the message says what went wrong."""
    clips = shot()
    effect = InpaintEffect(clips)

    with pytest.raises(ServerUnreachableError):
        effect.analyze(
            clips.source.frames, lambda: InpaintClient("localhost:1", connect_seconds=0.2), quiet
        )

    assert effect.state is State.ERROR
    assert "no server answers at localhost:1" in effect.message


def test_an_analysis_that_failed_in_the_middle_becomes_stale_too(fake_engine, quiet):
    """What was finished before the server went away belongs to the shot as it was."""
    clips = shot(length=6)
    fake_engine.held_at = 2
    fake_engine.hold.clear()
    effect = InpaintEffect(clips)
    with ExitStack() as stack:
        address = stack.enter_context(serving(fake_engine))

        def watch(stage: str, done: int, total: int) -> bool:
            if stage == "completing" and done == 2:
                stack.close()
            return True

        with pytest.raises(ServerLostError):
            effect.analyze(
                clips.source.frames, lambda: InpaintClient(address, patience_seconds=0.2), watch
            )
    assert effect.state is State.ERROR
    told = effect.message

    assert effect.update() is State.ERROR
    assert not same(effect.render(1001), clips.source.read(1001))
    assert effect.update(params=Params(frames="1003-1004")) is State.STALE
    assert same(effect.render(1001), clips.source.read(1001))
    assert effect.update(params=Params(frames="1003-1005")) is State.STALE
    assert effect.update(params=Params()) is State.ERROR
    assert "went away" in effect.message == told
    effect.close()


def test_a_gap_is_told_before_a_host_starts_its_frames(address, quiet):
    """A farm job fails at once, not at its thousandth frame; what was made stays after the last."""
    clips = shot()
    effect = InpaintEffect(clips)
    effect.analyze(clips.source.frames, lambda: InpaintClient(address), quiet)

    with pytest.raises(ClipError, match="plate has no frame 1004"):
        effect.begin_sequence_render([1003, 1004])
    effect.begin_sequence_render([1002, 1003])
    effect.end_sequence_render()

    assert not same(effect.render(1002), clips.source.read(1002))
    effect.close()


def test_a_gap_is_held_on_demand(address):
    """A missing frame is an error, or its neighbor stands in: never black."""
    clips = shot()
    del clips.source._frames[1002]

    with pytest.raises(ClipError, match=r"no frame 1002.*on_missing"):
        rendered(clips, address, frames=[1001, 1002, 1003])
    held = rendered(clips, address, Params(on_missing="hold"), frames=[1001, 1002, 1003])

    assert same(held[1002][0], clips.source.read(1001)[0])


def test_a_resumed_run_gives_the_frames_an_uninterrupted_one_would(address, quiet):
    """Crop, peak and grain are those of the whole range."""
    clips = shot(length=6)
    for number, frame in enumerate(clips.matte.frames):
        clips.matte._frames[frame] = np.roll(clips.matte.read(frame), 9 * number, 1)
    whole = rendered(clips, address)

    effect = InpaintEffect(clips)
    rest = dict(
        effect.render_sequence(
            [1004, 1005, 1006],
            lambda: InpaintClient(address),
            quiet,
            done_before=[1001, 1002, 1003],
        )
    )

    assert list(rest) == [1004, 1005, 1006]
    assert all(same(rest[frame], whole[frame]) for frame in rest)
