"""The node, in the order a host calls it; OpenFX's actions by their names. Start reading here.

describe, describe_in_context     what the node is: clips, params        node.describing
create_instance                   one node in one host
get_frames_needed ...             what a host asks before it renders
analyze                           the shot to the server and back, once
    survey                        one look at every frame                node.surveying
    tracks                        which parts the network sees           node.tracks
    send, complete                jobs on the server                     node.completing
render                            a finished frame, or the plate         node.rendering
abort                             from any thread
"""

import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import Enum

from node.ahead import Stopped, handed_over
from node.analysis import (
    Analysis,
    Connect,
    Cuts,
    Emit,
    MadeUp,
    Step,
    digest,
    frames_completed,
    surveyed,
)
from node.background import in_background
from node.clips import Clips, Pixels, Region, in_words, runs
from node.completing import frames_at_once
from node.describing import (
    ClipSpec,
    ContextDescription,
    EffectDescription,
    HostDescription,
    describe,
    describe_in_context,
    require_temporal_access,
)
from node.errors import CancelledError
from node.params import Params, ParamSpec
from node.rendering import finished, is_identity, unfinished
from node.shot import Shot

__all__ = [
    "ClipPreferences",
    "ClipSpec",
    "Clips",
    "ContextDescription",
    "EffectDescription",
    "HostDescription",
    "InpaintEffect",
    "ParamSpec",
    "Params",
    "State",
    "create_instance",
    "describe",
    "describe_in_context",
]

_CHANGED = "the shot or its params changed since the analysis; analyze again"

COMPOSITED_AT_ONCE = 2
"""Frames; hosts keep files at hand for no more."""

Progress = Callable[[str, int, int], bool]
"""Called often with the stage (reading, sending, preparing, completing), frames done and frames
in all; answers False to stop. Preparing, until the first frame is completed, is told as the share
that is done of it."""


class State(Enum):
    """What a host shows on the node."""

    IDLE = "idle"
    EXPORTING = "reading the shot"
    SENDING = "sending"
    RUNNING = "completing"
    PARTIAL = "completing, some frames are finished"
    DONE = "done"
    STALE = "stale: analyze again"
    CANCELLED = "cancelled"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class ClipPreferences:
    """What the output is like."""

    components: str
    bit_depth: str
    """Name of numpy's type; the source's."""
    premultiplied: bool
    frame_varying: bool = True


def create_instance(
    host: HostDescription, clips: Clips, params: Params | None = None
) -> "InpaintEffect":
    """OpenFX ``CreateInstance``.

    Raises:
        HostError: the host serves single frames only.
    """
    require_temporal_access(host)
    return InpaintEffect(clips, params)


class InpaintEffect:
    """One node. All calls but :meth:`abort` and :meth:`render` belong to one thread."""

    def __init__(self, clips: Clips, params: Params | None = None) -> None:
        self.clips = clips
        self.params = params or Params()
        self.state = State.IDLE
        self.message = ""
        """The persistent message: what the artist has to know, until the next analysis."""
        self._aborted = threading.Event()
        self._analysis: Analysis | None = None
        self._ended = self.state, self.message
        """How the analysis ended, which is so again when a change is taken back."""

    # What a host asks before it renders.

    def get_frames_needed(self, frame: int) -> dict[str, list[tuple[int, int]]]:
        """First and last of every range of frames that a clip is asked for, to render one frame.

        A finished frame needs itself; before that the whole shot is needed: the frames to complete
        and those to copy from.
        """
        if self._analysis is not None and frame in self._analysis.finished:
            return {name: [(frame, frame)] for name in self.clips.connected()}
        shot = Shot(self.clips, self.params)
        wanted = shot.frames
        everything = {*wanted, *shot.around(wanted)}
        return {
            name: runs(everything & set(clip.frames))
            for name, clip in self.clips.connected().items()
        }

    def get_region_of_definition(self, frame: int) -> Region:
        """The box in which the output has pixels: the source's."""
        pixels = Shot(self.clips, self.params).plate(frame)
        return Region(left=0, top=0, right=pixels.shape[1], bottom=pixels.shape[0])

    def get_regions_of_interest(self, frame: int) -> dict[str, Region]:
        """The box of every clip that is read: all of it, for a matte may be anywhere."""
        return dict.fromkeys(self.clips.connected(), self.get_region_of_definition(frame))

    def get_clip_preferences(self) -> ClipPreferences:
        """What the output is like."""
        shot = Shot(self.clips, self.params)
        pixels = shot.plate(shot.frames[0])
        components = {
            "clean plate": "RGBA" if pixels.shape[-1] == 4 else "RGB",
            "fill only": "RGBA",
            "matte used": "Alpha",
            "made up": "Alpha",
        }[self.params.output_mode]
        return ClipPreferences(
            components=components,
            bit_depth=pixels.dtype.name,
            premultiplied=self.params.premultiplied or self.params.output_mode == "fill only",
        )

    def is_identity(self, frame: int) -> bool:
        """Whether the output is the source, untouched."""
        return is_identity(Shot(self.clips, self.params), frame)

    # The job.

    def begin_sequence_render(self, frames: Sequence[int]) -> None:
        """Check, before a host starts its frames, that all of them are there.

        Raises:
            ClipError: a frame is missing.
        """
        Shot(self.clips, self.params).require_present(frames)

    def render(self, frame: int) -> Pixels:
        """A finished frame, or the plate; never black. May be called from any thread.

        Returns:
            (H, W, C) of the source's type, as output_mode says.

        Raises:
            ClipError: the source has no such frame.
        """
        analysis, shot = self._analysis, Shot(self.clips, self.params)
        if analysis is None or self.state is State.STALE or frame not in analysis.finished:
            return unfinished(shot, frame)
        with analysis.completed.held() as there:
            if not there:  # another analysis begins
                return unfinished(shot, frame)
            return finished(shot, frame, analysis.survey, analysis.completed)

    def end_sequence_render(self) -> None:
        """Nothing is kept for a sequence; what the analysis made stays until the next one."""

    def analyze(self, frames: Sequence[int], connect: Connect, progress: Progress) -> None:
        """Have a range of frames completed; :meth:`render` then looks them up.

        Blocks; frames can be rendered as they are finished. What comes back is kept on disk.

        Args:
            frames: Numbers on the timeline.
            connect: Makes the connection.
            progress: Called often, in this thread.

        Raises:
            NodeError: what went wrong, in words for the artist; it is the ``message`` too.
        """

        def work(emit: Emit, stopped: Stopped) -> None:
            analysis = surveyed(self.clips, self.params, frames, (), emit)
            analysis.digest = digest(analysis.shot, analysis.survey.frames)
            self._analysis = analysis
            with closing(frames_completed(analysis, connect, emit, stopped)) as frames_done:
                for _ in frames_done:
                    pass

        for _ in self._followed(work, progress):
            pass

    def render_sequence(
        self,
        frames: Sequence[int],
        connect: Connect,
        progress: Progress,
        *,
        done_before: Sequence[int] = (),
    ) -> Generator[tuple[int, Pixels], None, None]:
        """Complete a range of frames, handing each over as soon as it is final.

        Args:
            frames: Numbers on the timeline, in rising order.
            connect: Makes the connection.
            progress: Called often, in this thread.
            done_before: Frames of the same range that were handed over in an earlier run: the
                others come out as they would have then.

        Yields:
            Frame number and (H, W, C) of the source's type, as output_mode says; bit for bit
            the plate wherever the matte is 0.

        Raises:
            NodeError: what went wrong, in words for the artist; it is the ``message`` too.
        """

        def work(emit: Emit, stopped: Stopped) -> None:
            analysis = surveyed(self.clips, self.params, frames, done_before, emit)

            def composited(frame: int) -> tuple[int, Pixels]:
                return frame, finished(analysis.shot, frame, analysis.survey, analysis.completed)

            with closing(frames_completed(analysis, connect, emit, stopped)) as frames_done:
                at_once = min(COMPOSITED_AT_ONCE, frames_at_once(analysis.survey))
                handed_over(frames_done, composited, emit, at_once)
            analysis.completed.discard()

        yield from self._followed(work, progress)

    def abort(self) -> None:
        """Stop the job from any thread; returns at once, and the job within 100 ms."""
        self._aborted.set()

    def update(self, clips: Clips | None = None, params: Params | None = None) -> State:
        """Take what the host has now; STALE where the analysis was made of something else.

        Late params (mix, output_mode, grain, server) are not part of an analysis. Clips that cannot
        stamp their frames are read again, all of them.
        """
        self.clips = clips or self.clips
        self.params = params or self.params
        analysis = self._analysis
        ended = (State.DONE, State.STALE, State.CANCELLED, State.ERROR)
        if analysis is not None and self.state in ended:
            fresh = digest(Shot(self.clips, self.params), analysis.survey.frames)
            if self.state is not State.STALE:
                self._ended = self.state, self.message
            changed = fresh != analysis.digest
            self.state, self.message = (State.STALE, _CHANGED) if changed else self._ended
        return self.state

    def close(self) -> None:
        """OpenFX ``DestroyInstance``: give the disk back."""
        analysis, self._analysis = self._analysis, None
        if analysis is not None:
            analysis.completed.discard()

    def _followed(
        self, work: Callable[[Emit, Stopped], None], progress: Progress
    ) -> Iterator[tuple[int, Pixels]]:
        # Runs a job in the background, shows its steps, and hands over its frames.
        self.close()
        self._aborted.clear()
        self.message = ""
        step, cuts = Step(stage="reading", done=0, total=0), set[int]()
        self._show(step)

        def go_on() -> None:
            if self._aborted.is_set() or (
                step.total and not progress(step.stage, step.done, step.total)
            ):
                raise CancelledError("cancelled")

        try:
            for item in in_background(work, go_on):
                if isinstance(item, Step):
                    step = item
                    self._show(step)
                elif isinstance(item, Cuts):
                    cuts.update(item.before)
                    self.message = _about(sorted(cuts))
                elif isinstance(item, MadeUp):
                    self.message = _about(sorted(cuts), item.frames)
                else:
                    yield item
            self.state = State.DONE
        except (CancelledError, GeneratorExit, KeyboardInterrupt):
            self.state, self.message = State.CANCELLED, "cancelled"
            raise
        except Exception as error:
            self.state, self.message = State.ERROR, str(error) or type(error).__name__
            raise

    def _show(self, step: Step) -> None:
        if step.stage == "completing":
            self.state = State.PARTIAL if step.done else State.RUNNING
        elif step.stage == "preparing":
            self.state = State.RUNNING
        else:
            self.state = State.EXPORTING if step.stage == "reading" else State.SENDING


def _about(cuts: Sequence[int], made_up: Sequence[int] = ()) -> str:
    """In words for the artist."""
    said = []
    if cuts:
        said.append(
            f"cut before frame {', '.join(map(str, cuts))}: what lies on either side is completed "
            "on its own; switch part_at_cuts off if this is one shot"
        )
    if made_up:
        said.append(
            f"no frame shows all of what is hidden in {in_words(made_up)}: the rest is made up; "
            "output_mode 'made up' shows where"
        )
    return "; ".join(said)
