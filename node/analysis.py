"""One run over a shot: surveyed, sent, completed; finished frames are looked up in it."""

import hashlib
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from node.ahead import Stopped
from node.client import InpaintClient
from node.clips import Clips, Pixels
from node.completing import Completed, complete, made_up_in, send
from node.params import Params, param_specs
from node.shot import Shot
from node.surveying import Survey, survey

Connect = Callable[[], InpaintClient]
"""Makes the connection; called only once there is something to send, in a thread of its own."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """How far a run is."""

    stage: str
    """``reading``, ``sending``, ``preparing`` (looking for real pixels) or ``completing``."""
    done: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Cuts:
    """The server found cuts: nothing is copied across them."""

    before: tuple[int, ...]
    """Frames on the timeline, in order."""


@dataclass(frozen=True, kw_only=True)
class MadeUp:
    """No frame shows all of what is hidden, though it was looked for."""

    frames: tuple[int, ...]
    """Frames on the timeline in which some of it is made up, in order."""


Emit = Callable[[Step | Cuts | MadeUp | tuple[int, Pixels]], None]
"""Takes steps, what has to be known, and frames; raises CancelledError once the run is stopped."""


@dataclass(kw_only=True)
class Analysis:
    """What one run found and made."""

    shot: Shot
    survey: Survey
    completed: Completed
    digest: str = ""
    """Of all that it depends on."""
    finished: set[int] = field(default_factory=set)
    """Frames that can be rendered."""


def surveyed(
    clips: Clips, params: Params, frames: Sequence[int], done_before: Sequence[int], emit: Emit
) -> Analysis:
    """Begin a run: everything is looked at once, nothing is sent.

    Raises:
        NodeError: something is missing or does not fit.
    """
    shot = Shot(clips, params)
    found = survey(shot, frames, done_before, _steps("reading", emit))
    return Analysis(shot=shot, survey=found, completed=Completed())


def frames_completed(
    analysis: Analysis, connect: Connect, emit: Emit, stopped: Stopped
) -> Generator[int, None, None]:
    """Send and complete what was surveyed; needs no server where every matte is empty.

    Yields:
        The number of every wanted frame, in order, once it is final.

    Raises:
        NodeError: the server failed or is gone.
    """
    found = analysis.survey
    wanted = sorted(found.wanted)
    told = _steps("completing", emit)
    if any(found.completed_by_network(part) for part in found.parts):
        with connect() as connection:
            sending = _steps("sending", emit)
            parts = send(analysis.shot, found, connection, analysis.completed, sending, stopped)
            looks = analysis.shot.params.propagate
            preparing = _steps("preparing" if looks else "completing", emit)
            preparing(0, len(wanted))
            ready = complete(
                analysis.shot,
                found,
                parts,
                connection,
                analysis.completed,
                lambda frames: emit(Cuts(before=tuple(frames))),
                lambda share: preparing(int(share * len(wanted)), len(wanted)),
                stopped,
            )
            with closing(ready):
                for done, index in enumerate(ready):
                    analysis.finished.add(found.frames[index])
                    yield found.frames[index]
                    told(done + 1, len(wanted))
        if analysis.shot.params.propagate:
            indices = made_up_in(found, analysis.completed)
            emit(MadeUp(frames=tuple(found.frames[index] for index in indices)))
    else:
        for done, frame in enumerate(wanted):
            analysis.finished.add(frame)
            yield frame
            told(done + 1, len(wanted))


def digest(shot: Shot, frames: Sequence[int]) -> str:
    """Tells whether an analysis still fits: params, clips, and the color config in use."""
    settings = [
        f"{spec.name}={getattr(shot.params, spec.name)!r}"
        for spec in param_specs()
        if not spec.late
    ]
    told = "\n".join([*settings, os.environ.get("OCIO", ""), *shot.stamps(frames)])
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()


def _steps(stage: str, emit: Emit) -> Callable[[int, int], None]:
    return lambda done, total: emit(Step(stage=stage, done=done, total=total))
