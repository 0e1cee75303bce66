"""The node inside Nuke's own Python, which is new enough from Nuke 15 on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from host_examples.exchange.exported import (
    ExportedClip,
    PaintedClip,
    painted_files,
    write_result,
)
from host_examples.exchange.work import Work
from host_examples.nuke.side_process import Exported, file_of
from host_examples.standalone.images import ImageSequence
from node.client import InpaintClient
from node.clips import Clips, Pixels
from node.effect import HostDescription, Params, create_instance

PLATE = ("R", "G", "B", "A")
"""What Nuke's rgba layer is called in an EXR file; there is no A where Source has no alpha."""
HOST = HostDescription(name="Nuke", temporal_clip_access=True)


def in_process(
    exported: Exported, results: str, frames: Sequence[int], params: Mapping[str, Any]
) -> Work:
    """Work on exported frames, ready to start.

    Args:
        exported: What there is to work on.
        results: Pattern of the results.
        frames: What to complete.
        params: The artist's, by name.

    Raises:
        ValueError: a param that cannot work, or no such clean frames.
    """
    plate = _paths(exported, exported.plate)
    files = ImageSequence("export", plate)
    source = ExportedClip("Source", files, PLATE)
    held_out = ImageSequence("export", _paths(exported, exported.hold_out))
    clips = Clips(
        source=source,
        matte=ExportedClip("Matte", files, (exported.matte_channel,)),
        clean_frames=PaintedClip(painted_files(exported.clean_frames), source)
        if exported.clean_frames
        else None,
        hold_out=ExportedClip("HoldOut", held_out, ("A",)) if exported.hold_out else None,
    )
    chosen = Params(**params)

    def write(frame: int, pixels: Pixels) -> None:
        write_result(Path(file_of(results, frame)), pixels, like=plate[frame])

    return Work(
        create_instance(HOST, clips, chosen), frames, lambda: InpaintClient(chosen.server), write
    )


def _paths(exported: Exported, pattern: str) -> dict[int, Path]:
    return {frame: Path(path) for frame, path in exported.files(pattern).items()}
