"""Remove what a matte covers from a plate.

    sttn-inpaint plate.####.exr --matte matte.####.exr --output clean.####.exr
    sttn-inpaint shot.mov --matte garbage.png --output clean.mkv
    sttn-inpaint comp.%04d.exr --matte-channel matte.A --output clean.%04d.exr --frames 1001-1048

Outside the matte every pixel stays as it is, bit for bit (in lossless files). Plate and matte
pair by frame number. Without --server a server is started for this job and stopped after it.
Exit codes: 0 done, 2 something is wrong with what was given (one line says what), 130 interrupted.
"""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Literal

import tyro
from tqdm import tqdm

from host_examples.standalone.local_server import local_server
from host_examples.standalone.media import (
    Writer,
    matte_of_plate,
    open_matte,
    open_output,
    open_plate,
    parse_frames,
)
from node.client import InpaintClient
from node.effect import InpaintEffect
from node.errors import CancelledError, ClipError, NodeError
from node.params import Params


def inpaint(
    plate: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PLATE")],
    output: str,
    matte: str | None = None,
    matte_channel: str | None = None,
    frames: str | None = None,
    color_space: str | None = None,
    server: str | None = None,
    weights: Path | None = None,
    preset: Literal["thorough", "balanced", "fast", "released"] | None = None,
    patience: float = 60.0,
    overwrite: bool = False,
    matte_grow: int = Params.matte_grow,
    model_pixels: int = Params.model_pixels,
    surroundings: float = Params.surroundings,
) -> None:
    """Remove what a matte covers from a plate.

    Args:
        plate: Movie, folder, name.####.exr or name.%04d.exr.
        output: Sequence pattern (same type as the plate) or movie: .mkv lossless, .mov, .mp4.
        matte: Movie, folder, pattern, or one still for all frames; 1 or white = replace.
        matte_channel: Channel of the matte, or of the plate if there is no --matte.
        frames: First and last frame, 1001-1048; all by default.
        color_space: The plate's color space in $OCIO or OCIO's studio config; by default
            scene-linear Rec.709 for float files, sRGB for integer ones.
        server: Address of a running sttn-server; without it one is started for this job.
        weights: Weights for the server that is started, .safetensors.
        preset: How the server that is started cuts the clip into windows: thorough looks longest,
            fast shortest; balanced by default.
        patience: Seconds that the server may be gone or busy before the job counts as lost.
        overwrite: Replace output files that exist.
        matte_grow: Model pixels by which the hole is larger than the matte.
        model_pixels: Pixels per frame that the network works on.
        surroundings: How far the network looks beyond the matte, as a share of its size.
    """
    source = open_plate(plate)
    if matte is not None:
        hole = open_matte(matte, matte_channel, source)
    elif matte_channel is not None:
        hole = matte_of_plate(source, plate, matte_channel)
    else:
        raise ClipError("give --matte, or --matte-channel for a channel of the plate")
    for flag, value in (("--weights", weights), ("--preset", preset)):
        if server is not None and value is not None:
            raise ClipError(f"{flag} goes with a server that is started; leave out --server")
    params = Params(
        color_space=color_space,
        matte_grow=matte_grow,
        model_pixels=model_pixels,
        surroundings=surroundings,
    )
    chosen = parse_frames(frames, source.frames)
    present = [frame for frame in chosen if frame in set(source.frames)]
    first = source.read(present[0] if present else source.frames[0])
    writer = open_output(output, source, first, color_space)
    if not overwrite:
        _require_new(writer, chosen)
    with ExitStack() as stack:

        def connect() -> InpaintClient:
            if server is not None:
                return InpaintClient(server, patience_seconds=patience)
            # Nobody would start a server of our own again.
            own = stack.enter_context(local_server(weights, preset))
            return InpaintClient(own, patience_seconds=1.0)

        _run(InpaintEffect(source, hole, params), chosen, writer, connect)


def _run(
    effect: InpaintEffect,
    frames: Sequence[int],
    writer: Writer,
    connect: Callable[[], InpaintClient],
) -> None:
    written: list[int] = []
    bar = _Bar()
    try:
        for frame, pixels in effect.render_sequence(frames, connect, bar.show):
            writer.write(frame, pixels)
            written.append(frame)
        writer.close()
    except KeyboardInterrupt:
        raise CancelledError(f"interrupted{_how_to_go_on(writer, frames, written)}") from None
    except NodeError as error:
        raise type(error)(f"{error}{_how_to_go_on(writer, frames, written)}") from error
    finally:
        bar.close()
        writer.discard()


def _how_to_go_on(writer: Writer, frames: Sequence[int], written: Sequence[int]) -> str:
    rest = [frame for frame in frames if frame not in set(written)]
    if not writer.keeps_frames or not written or not rest:
        return ""
    return (
        f"; {len(written)} of {len(frames)} frames are finished and stay; "
        f"go on with --frames {rest[0]}-{rest[-1]}"
    )


class _Bar:
    """One progress bar per stage, with frames done, frames/s and time left."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: tqdm[None] | None = None

    def show(self, stage: str, done: int, total: int) -> bool:
        """Show a stage's progress; always goes on (Ctrl-C interrupts)."""
        if self._bar is None or self._stage != stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=total, unit="frame", desc=stage, dynamic_ncols=True)
        self._bar.update(done - self._bar.n)
        return True

    def close(self) -> None:
        """Leave the last bar standing."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _require_new(writer: Writer, frames: Sequence[int]) -> None:
    existing = [path for path in dict.fromkeys(map(writer.path, frames)) if path.exists()]
    if existing:
        more = f" (and {len(existing) - 1} more)" if len(existing) > 1 else ""
        raise ClipError(f"{existing[0]}{more} exists; add --overwrite or choose another --output")


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        tyro.cli(inpaint, prog="sttn-inpaint", description=__doc__)
    except (CancelledError, KeyboardInterrupt) as error:
        print(f"sttn-inpaint: {error or 'interrupted'}", file=sys.stderr)
        sys.exit(130)
    except (NodeError, ValueError) as error:
        print(f"sttn-inpaint: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
