"""Work recorded on a GPU: what it asks CUDA for, shown without one."""

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from sttn.training.recorded import FIRST, Recorded
from sttn.training.rendering import Clips

OTHER, SECOND = torch.device("cuda", 0), torch.device("cuda", 1)


class Stream:
    def __init__(self, device):
        self.device, self.waited_for = device, []

    def wait_stream(self, other):
        self.waited_for.append(other)


class Card:
    """What of torch.cuda is asked for; its device is the first until another one is named."""

    def __init__(self):
        self.chosen = OTHER
        self.streams = {device: Stream(device) for device in (OTHER, SECOND)}
        self.recording = None
        self.replayed = 0
        self.Stream = Stream

    def current_stream(self, device):
        return self.streams[device]

    def CUDAGraph(self):
        return SimpleNamespace(replay=lambda: setattr(self, "replayed", self.replayed + 1))

    @contextmanager
    def device(self, device):
        before, self.chosen = self.chosen, device
        yield
        self.chosen = before

    @contextmanager
    def stream(self, stream):
        before, self.streams[stream.device] = self.streams[stream.device], stream
        with self.device(stream.device):
            yield
        self.streams[stream.device] = before

    @contextmanager
    def graph(self, graph, stream=None, capture_error_mode="global"):
        with self.stream(stream or Stream(self.chosen)):
            self.recording = graph
            yield
        self.recording = None


@pytest.fixture
def card(monkeypatch):
    pretended = Card()
    monkeypatch.setattr("sttn.training.recorded.torch.cuda", pretended)
    return pretended


def test_work_is_recorded_on_the_card_that_was_chosen_and_where_it_was_done_before(card):
    """On the second card an empty recording would be repeated for days, and nothing learned; and
    what autograd keeps of the first calls, as spectral norm makes it do, must not leave the stream.
    """
    seen = []
    usual = card.streams[SECOND]

    def work(clips):
        seen.append((card.streams[SECOND], card.chosen, card.recording is not None))
        return {}

    recorded = Recorded(work, SECOND)
    for _ in range(FIRST + 3):
        recorded(Clips(*torch.zeros(3, 1)))

    streams, devices, recording = zip(*seen, strict=True)
    assert set(streams) == {streams[0]} != {usual}
    assert set(devices) == {SECOND}
    assert recording == (*[False] * FIRST, True)
    assert card.replayed == 3
    assert card.streams[SECOND] is usual
    assert streams[0].waited_for == [usual] * FIRST
    assert usual.waited_for == [streams[0]] * FIRST


def test_memory_that_ran_out_while_work_was_recorded_is_told_as_that(card, monkeypatch):
    """One line that says to take fewer clips, and not how CUDA ends a recording."""

    @contextmanager
    def graph(*_, **__):
        try:
            yield
        finally:
            raise RuntimeError("CUDA error: operation failed due to a previous error")

    def work(clips):
        if calls.pop():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return {}

    monkeypatch.setattr(card, "graph", graph)
    calls = [True, *[False] * FIRST]
    recorded = Recorded(work, SECOND)
    for _ in range(FIRST):
        recorded(Clips(*torch.zeros(3, 1)))

    with pytest.raises(torch.OutOfMemoryError, match="out of memory"):
        recorded(Clips(*torch.zeros(3, 1)))
