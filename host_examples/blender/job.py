"""One job, driven from Blender's main thread in small steps; only the network waits in a thread."""

import shutil
import tempfile
from pathlib import Path

import bpy

from host_examples.blender.export import HELD_OUT, MATTE, PLATE, Export, exported_color
from host_examples.blender.properties import params_of
from host_examples.blender.stale import fingerprint
from host_examples.blender.tree import show_results
from host_examples.exchange.exported import ExportedClip, PaintedClip, write_result
from host_examples.exchange.ranges import with_handles
from host_examples.exchange.work import Work
from node.client import InpaintClient
from node.clips import Clips, Pixels
from node.effect import HostDescription, create_instance
from node.errors import ClipError, NodeError, ServerUnreachableError

HOST = HostDescription(name="Blender", temporal_clip_access=True)
STAGES = {"reading": "SENDING", "sending": "SENDING", "completing": "RUNNING"}
HOW_TO_SERVE = (
    "Server is empty. Start one with 'sttn-server --address localhost:50071' and enter "
    "localhost:50071 as Server"
)


class Job:
    """From the first exported frame to the last one shown; state and message are on the group."""

    def __init__(self, scene: bpy.types.Scene, node: bpy.types.Node) -> None:
        """Check what can be checked at once.

        Raises:
            NodeError: something that the artist has to change first.
            ValueError: a param that cannot work.
        """
        self._node_name, self._group, self._scene = node.name, node.node_tree, scene
        self._params = params_of(self._group, exported_color())
        _require_server(self._params.server)
        available = range(scene.frame_start, scene.frame_end + 1)
        self._frames = self._params.chosen_frames(available)
        self._exporting = with_handles(self._frames, available, self._params.handles)
        painted = self._group.sttn.clean_frames
        self._painted = PaintedClip(bpy.path.abspath(painted)) if painted else None
        self._results = _new_folder(self._group)
        self._exported: dict[int, Path] = {}
        self._export_folder = Path(tempfile.mkdtemp(prefix="export-", dir=self._results))
        self._export = Export(scene, node, self._export_folder)
        self._work: Work | None = None
        self._cancelled = False
        self._shown = 0
        self._fingerprint = fingerprint(scene, node)
        self._tell("EXPORTING", "exporting", 0, len(self._exporting))

    @property
    def group(self) -> bpy.types.NodeTree:
        """The node group that it works for."""
        return self._group

    def cancel(self) -> None:
        """Ask it to end; returns at once."""
        self._cancelled = True
        if self._work is not None:
            self._work.cancel()

    def step(self, wait_seconds: float = 0) -> bool:
        """Do what has to be done on the main thread now.

        Args:
            wait_seconds: How long to wait for the server, where nothing else is to be done.

        Returns:
            Whether there is more to do.
        """
        try:
            return self._step(wait_seconds)
        except (NodeError, ValueError) as error:
            self._end("ERROR", str(error))
        except BaseException as error:
            self._end("ERROR", f"a bug, please report it: {type(error).__name__}: {error}")
            raise
        return False

    def _step(self, wait_seconds: float) -> bool:
        if self._cancelled and self._work is None:
            self._end("CANCELLED", "cancelled")
            return False
        if self._work is None:
            self._export_one()
            return True
        ended = self._work.ended(wait_seconds)
        self._show_finished()
        if not ended:
            self._tell(
                STAGES[self._work.stage], self._work.stage, self._work.done, self._work.total
            )
            return True
        self._end(*self._outcome())
        return False

    def _export_one(self) -> None:
        frame = self._exporting[len(self._exported)]
        self._exported[frame] = self._export.frame(frame)
        self._tell("EXPORTING", "exporting", len(self._exported), len(self._exporting))
        if len(self._exported) == len(self._exporting):
            self._work = self._started()

    def _started(self) -> Work:
        clips = Clips(
            source=ExportedClip("Source", self._exported, PLATE),
            matte=ExportedClip("Matte", self._exported, MATTE),
            clean_frames=self._painted,
            hold_out=ExportedClip("Hold Out", self._exported, HELD_OUT)
            if self._export.holds_out
            else None,
        )
        effect = create_instance(HOST, clips, self._params)
        # A finished frame of a clean plate is opaque, which tells it from a missing file.
        alpha = 1.0 if self._replaces else None

        def write(frame: int, pixels: Pixels) -> None:
            write_result(self._result(frame), pixels, like=self._exported[frame], alpha=alpha)

        def connect() -> InpaintClient:
            return connected(self._params.server)

        work = Work(effect, self._frames, connect, write)
        work.start()
        return work

    @property
    def _replaces(self) -> bool:
        return self._params.output_mode == "clean plate"

    def _result(self, frame: int) -> Path:
        return self._results / f"result.{frame:04d}.exr"

    def _show_finished(self) -> None:
        assert self._work is not None
        finished = list(self._work.finished)
        if len(finished) > self._shown:
            self._shown = len(finished)
            first, last = finished[0], finished[-1]
            show_results(self._group, self._result(first), first, last, over=self._replaces)

    def _outcome(self) -> tuple[str, str]:
        assert self._work is not None
        error, frames = self._work.error, len(self._frames)
        if not error:
            self._group.sttn.analyzed = self._fingerprint
            return "DONE", f"{frames} frames finished"
        kept = f"; {self._shown} of {frames} frames are finished and shown" if self._shown else ""
        if self._cancelled:
            return ("PARTIAL" if self._shown else "CANCELLED"), f"cancelled{kept}"
        return "ERROR", f"{error}{kept}"

    def _tell(self, state: str, stage: str, done: int, total: int) -> None:
        settings = self._group.sttn
        settings.state, settings.message = state, f"{stage}: {done} of {total} frames"
        settings.progress = done / max(1, total)

    def _end(self, state: str, message: str) -> None:
        self._export.__exit__(None, None, None)
        shutil.rmtree(self._export_folder, ignore_errors=True)
        settings = self._group.sttn
        settings.state, settings.message, settings.progress = state, message, float(state == "DONE")
        if self._shown:
            _remove_older(self._results)
        else:
            shutil.rmtree(self._results, ignore_errors=True)


def connected(address: str) -> InpaintClient:
    """A connection, or a message in this host's words.

    Raises:
        ServerUnreachableError: nothing answers.
    """
    try:
        return InpaintClient(address)
    except ServerUnreachableError:
        raise ServerUnreachableError(
            f"nothing answers at {address}; start a server there with "
            f"'sttn-server --address {address}', or change Server"
        ) from None


def _require_server(address: str) -> None:
    if not address:
        raise ServerUnreachableError(HOW_TO_SERVE)
    host = address.rpartition(":")[0]
    local = address.startswith("unix:") or host in ("localhost", "127.0.0.1", "[::1]")
    if not local and not bpy.app.online_access:
        raise ServerUnreachableError(
            f"{address} is on another machine, and Blender may not go online; "
            "switch on Preferences > System > Network > Allow Online Access"
        )


def _new_folder(group: bpy.types.NodeTree) -> Path:
    # Each run has a folder of its own: what is shown stays until something newer is there.
    settings = group.sttn
    if settings.folder:
        base = Path(bpy.path.abspath(settings.folder))
    elif bpy.data.is_saved:
        base = Path(bpy.path.abspath("//sttn"))
    else:
        raise ClipError("results are kept beside the file: save it first, or choose a Folder")
    parent = base / bpy.path.clean_name(group.name)
    taken = [int(each.name) for each in parent.glob("[0-9]*")] if parent.is_dir() else [0]
    folder: Path = parent / f"{max(taken, default=0) + 1:04d}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise ClipError(f"cannot write to {parent}: {error}; choose another Folder") from error
    return folder


def _remove_older(results: Path) -> None:
    for folder in results.parent.glob("[0-9]*"):
        if folder != results:
            shutil.rmtree(folder, ignore_errors=True)
