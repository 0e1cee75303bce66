"""Remove what a matte covers from a plate.

    sttn-inpaint plate.####.exr --matte matte.####.exr --output clean.####.exr
    sttn-inpaint shot.mov --matte garbage.png --output clean.mkv
    sttn-inpaint comp.%04d.exr --matte-channel matte.A --output clean.%04d.exr --frames 1001-1048
    sttn-inpaint plate.####.exr --matte matte.####.exr --output clean.####.exr --resume

Outside the matte every pixel stays as it is, bit for bit (in lossless files). Plate and matte
pair by frame number. Without --server a server is started for this job and stopped after it.

    the object's edge shimmers through          --matte-grow 4
    the fill's edge is visible                  --matte-feather 8
    what other frames show is soft              --model-pixels 400000
    something passes in front of the object     --hold-out its_matte.####.exr
    the background never shows                  paint a frame or two: --clean-frames painted/

Exit codes: 0 done, 2 something is wrong with what was given (one line says what), 130 interrupted
(Ctrl-C, SIGTERM or SIGHUP; what is not finished is cleared away).
"""

import logging
import re
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Literal

import tyro
from tqdm.contrib.logging import logging_redirect_tqdm

from host_examples.standalone.images import ImagePlate
from host_examples.standalone.local_server import starting_server
from host_examples.standalone.media import (
    Writer,
    first_pixels,
    matte_of_plate,
    open_matte,
    open_output,
    open_plate,
    require_apart,
)
from host_examples.standalone.movies import Movie
from host_examples.standalone.progress import ProgressBar
from node.client import InpaintClient
from node.clips import Clip, Clips
from node.color import PlateColor
from node.effect import HostDescription, InpaintEffect, create_instance
from node.errors import CancelledError, ClipError, NodeError
from node.params import Params, param_specs
from server.protocol.channel import Access
from sttn.command_line import INTERRUPTED, run_command, stopped_by_signals, stopping_signals

HOST = HostDescription(name="sttn-inpaint", temporal_clip_access=True)


@dataclass(frozen=True, kw_only=True)
class Flags(Params):
    """Every param as a flag."""

    def __post_init__(self) -> None:
        """Leave the check to :class:`Params`: here a wrong value would be told as unreadable."""


def inpaint(
    plate: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PLATE")],
    output: str,
    node: tyro.conf.OmitArgPrefixes[Flags],
    matte: str | None = None,
    hold_out: str | None = None,
    clean_frames: str | None = None,
    layer: str = "",
    weights: Path | None = None,
    preset: Literal["thorough", "balanced", "fast", "released"] | None = None,
    rate: float | None = None,
    patience: float = 60.0,
    overwrite: bool = False,
    resume: bool = False,
) -> None:
    """Remove what a matte covers from a plate.

    Args:
        plate: Movie, folder, name.####.exr, name.%04d.exr, or one image.
        output: Sequence pattern (same type as the plate) or movie: .mkv lossless, .mov, .mp4; for
            a single frame its file too.
        node: What the node does.
        matte: Movie, folder, pattern, or one still for all frames; 1 or white = replace.
        hold_out: As --matte; 1 or white = never changed and never copied from.
        clean_frames: Folder or pattern of frames that you painted, numbered as the plate's: they
            are copied from, and show under the matte as they are. One image without a number is
            copied from only.
        layer: The plate where files hold several layers: beauty for beauty.R and so on; empty
            takes R, G and B. Clean frames, mattes and hold-outs may lack it.
        weights: Weights for the server that is started, .safetensors or a published .pth.
        preset: How the server that is started cuts the clip into windows: thorough looks longest,
            fast shortest, released as the published test did; balanced by default.
        rate: Frames per second of a movie made of a sequence; 24 where its files tell none.
        patience: Seconds that the server may be gone or busy before the job counts as lost.
        overwrite: Replace output files that exist.
        resume: Keep output files that exist and do the others only, and those that are empty; all
            frames are looked at.
    """
    params = Params(**asdict(node))
    _require_named(
        {
            "PLATE": plate,
            "--output": output,
            "--matte": matte,
            "--hold-out": hold_out,
            "--clean-frames": clean_frames,
        }
    )
    source = open_plate(plate, alpha=params.premultiplied, layer=layer)
    painted = clean_frames and open_plate(
        clean_frames, alpha=params.premultiplied, layer=layer, over=source
    )
    clips = Clips(
        source=source,
        matte=_matte(source, matte, params.matte_channel),
        clean_frames=painted or None,
        hold_out=open_matte(hold_out, "", source) if hold_out else None,
    )
    for flag, value in (("--weights", weights), ("--preset", preset)):
        if params.server and value is not None:
            raise ClipError(f"{flag} goes with a server that is started; leave out --server")
    if overwrite and resume:
        raise ClipError("--overwrite replaces what --resume would keep; leave one out")
    if not patience >= 0:  # nor is nan
        raise ClipError(f"--patience must be at least 0 seconds, got {patience:g}")
    effect = create_instance(HOST, clips, params)
    chosen = params.chosen_frames(source.frames)
    if len(chosen) > 1 and chosen[1] - chosen[0] > 1:
        logging.warning("%s: frames are %d apart", source.name, chosen[1] - chosen[0])
    effect.begin_sequence_render(chosen)
    first = first_pixels(source, chosen)
    color = PlateColor(params.color_space, first.dtype, config=params.ocio_config)
    single = len(chosen) == 1
    writer = open_output(output, source, first, color, params.output_mode, rate, single=single)
    existing = [frame for frame in chosen if writer.path(frame).exists()]
    targets = list(dict.fromkeys(map(writer.path, existing)))
    require_apart(targets, clips)
    if resume and not writer.keeps_frames:
        raise ClipError("a movie is written in one go; --resume needs a sequence as --output")
    if targets and not overwrite and not resume:
        raise _would_replace(targets, writer)
    done = [frame for frame in existing if resume and writer.path(frame).stat().st_size]
    missing = [frame for frame in chosen if frame not in done]
    if not missing:
        print(f"all {len(chosen)} frames are there; nothing to do")
        return
    with ExitStack() as stack:
        # A server of our own starts while the shot is looked at.
        own = None if params.server else stack.enter_context(starting_server(weights, preset))

        def connect() -> InpaintClient:
            if own is None:
                return InpaintClient(params.server, patience_seconds=patience)
            # Nobody would start it again, and credentials are for others.
            return InpaintClient(own(), access=Access(), patience_seconds=1.0)

        _run(
            effect,
            missing,
            writer,
            connect,
            done_before=done,
            replaced=targets if overwrite and writer.keeps_frames else (),
        )


def _require_named(locations: Mapping[str, str | None]) -> None:
    # A variable of a script that was never set; as a path it would be the current folder.
    for flag, location in locations.items():
        if location == "":
            raise ClipError(f"{flag} is empty; name something, or leave it out")


def _would_replace(targets: Sequence[Path], writer: Writer) -> ClipError:
    more = f" (and {len(targets) - 1} more)" if len(targets) > 1 else ""
    ways = "--overwrite or --resume" if writer.keeps_frames else "--overwrite"
    return ClipError(f"{targets[0]}{more} exists; add {ways}, or choose another --output")


def _matte(source: ImagePlate | Movie, matte: str | None, channel: str) -> Clip:
    if matte is not None:
        return open_matte(matte, channel, source)
    if channel:
        return matte_of_plate(source, channel)
    raise ClipError("give --matte, or --matte-channel for a channel of the plate")


def _run(
    effect: InpaintEffect,
    frames: Sequence[int],
    writer: Writer,
    connect: Callable[[], InpaintClient],
    *,
    done_before: Sequence[int],
    replaced: Sequence[Path],
) -> None:
    written: list[int] = []
    bar = ProgressBar()
    resume = "--resume instead of --overwrite" if replaced else "--resume"
    results = effect.render_sequence(frames, connect, bar.show, done_before=done_before)
    try:
        # Warnings get a line of their own, above the bar.
        with _aborted_by_signals(effect), logging_redirect_tqdm():
            for frame, pixels in results:
                if not written:
                    # What is there from now on is new, so that --resume can tell.
                    _remove(replaced)
                writer.write(frame, pixels)
                written.append(frame)
        writer.close()
    except KeyboardInterrupt:
        how = _how_to_go_on(writer, frames, written, resume)
        raise CancelledError(f"interrupted{how}") from None
    except NodeError as error:
        how = _how_to_go_on(writer, frames, written, resume)
        raise type(error)(f"{error}{how}") from error
    finally:
        results.close()
        bar.close()
        writer.discard()
    if effect.message:
        _tell(effect.message)


def _remove(paths: Sequence[Path]) -> None:
    try:
        for path in paths:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise ClipError(f"cannot replace {error.filename}: {error.strerror}") from None


@contextmanager
def _aborted_by_signals(effect: InpaintEffect) -> Iterator[None]:
    # Python drops what is raised while an object is finalized, Ctrl-C too; the job hears of it.
    def interrupt(number: int, frame: FrameType | None) -> None:
        effect.abort()
        signal.default_int_handler(number, frame)

    usual = signal.default_int_handler
    # A shell's background job ignores Ctrl-C, and shall.
    heard = [number for number in stopping_signals() if signal.getsignal(number) is usual]
    for number in heard:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, usual)


def _how_to_go_on(
    writer: Writer, frames: Sequence[int], written: Sequence[int], resume: str
) -> str:
    if not writer.keeps_frames or not written or len(written) == len(frames):
        return ""
    return (
        f"; {len(written)} of {len(frames)} frames are finished and stay; "
        f"go on with the same command and {resume}"
    )


def main() -> None:
    """Run the command line."""
    # Killed, it would leave a server's log, half a movie and the fills so far behind.
    stopped_by_signals()
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        run_command(inpaint, "sttn-inpaint", description=__doc__)
    except (CancelledError, KeyboardInterrupt) as error:
        _tell(str(error) or "interrupted")
        sys.exit(INTERRUPTED)
    except (NodeError, OSError, ValueError) as error:
        _tell(str(error))
        sys.exit(2)


def _tell(message: str) -> None:
    # The node says params, which are flags here.
    for spec in param_specs():
        if "_" in spec.name:
            flag = "--" + spec.name.replace("_", "-")
            message = re.sub(rf"(?<![\w/.-]){spec.name}(?![\w/.-])", flag, message)
    print(f"sttn-inpaint: {message}", file=sys.stderr)
