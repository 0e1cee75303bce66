"""The node inside Nuke's own Python, which is new enough from Nuke 15 on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from host_examples.exchange.exported import ExportedClip, write_result
from host_examples.exchange.work import Work
from node.client import InpaintClient
from node.clips import Clips, Pixels
from node.describing import HostDescription
from node.effect import create_instance
from node.params import Params

PLATE = ("R", "G", "B", "A")
"""What Nuke's rgba layer is called in an EXR file."""
HOST = HostDescription(name="Nuke", temporal_clip_access=True)


def in_process(
    files: Mapping[int, str],
    results: str,
    frames: Sequence[int],
    matte_channel: str,
    params: Mapping[str, Any],
) -> Work:
    """Work on exported frames, ready to start.

    Args:
        files: Exported frames, handles included.
        results: Pattern of the results.
        frames: What to complete.
        matte_channel: Channel of the exported files.
        params: The artist's, by name.

    Raises:
        ValueError: a param that cannot work.
    """
    exported = {frame: Path(path) for frame, path in files.items()}
    clips = Clips(
        source=ExportedClip("Source", exported, PLATE),
        matte=ExportedClip("Matte", exported, (matte_channel,)),
    )
    chosen = Params(**params)

    def write(frame: int, pixels: Pixels) -> None:
        write_result(Path(results.replace("####", f"{frame:04d}")), pixels, like=exported[frame])

    return Work(
        create_instance(HOST, clips, chosen), frames, lambda: InpaintClient(chosen.server), write
    )
