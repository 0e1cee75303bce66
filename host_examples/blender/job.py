"""One job, driven from Blender's main thread in small steps; only the network waits in a thread."""

import contextlib
import logging
import shutil
import tempfile
from pathlib import Path

import bpy

from host_examples.blender.export import HELD_OUT, MATTE, PLATE, Export, exported_color
from host_examples.blender.properties import params_of
from host_examples.blender.results import EXPORT, file_name, new_folder
from host_examples.blender.stale import fingerprint
from host_examples.blender.tree import result_node, show_results
from host_examples.exchange.exported import (
    ExportedClip,
    PaintedClip,
    painted_files,
    write_result,
)
from host_examples.exchange.ranges import with_handles
from host_examples.exchange.work import Work
from host_examples.standalone.images import ImageSequence
from node.client import InpaintClient
from node.clips import Clips, Pixels
from node.effect import HostDescription, create_instance
from node.errors import ClipError, NodeError, ServerUnreachableError
from server.protocol.channel import is_local

logger = logging.getLogger(__name__)

HOST = HostDescription(name="Blender", temporal_clip_access=True)
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
        group = node.node_tree
        # An undo replaces everything that Blender holds; this number finds the group again.
        self._group_uid = group.session_uid
        self._params = params_of(group, exported_color())
        _require_server(self._params.server)
        result_node(group)  # nothing would show without it
        available = range(scene.frame_start, scene.frame_end + 1)
        self._frames = self._params.chosen_frames(available)
        self._exporting = with_handles(self._frames, available, self._params.handles)
        painted = group.sttn.clean_frames
        self._painted = painted_files(bpy.path.abspath(painted)) if painted else None
        group.sttn.analyzing = fingerprint(scene, node)
        self._results = new_folder(group)
        self._exported: dict[int, Path] = {}
        self._export_folder = Path(tempfile.mkdtemp(prefix=EXPORT, dir=self._results))
        try:
            self._export = Export(scene, node, self._export_folder)
        except ClipError:
            shutil.rmtree(self._results)
            raise
        self._work: Work | None = None
        self._cancelled = False
        self.progress = 0.0
        self.outcome = "", ""
        """State and message at the end; empty before."""
        self._shown = 0
        self._tell("EXPORTING", "exporting", 0, len(self._exporting))

    @property
    def group(self) -> bpy.types.NodeTree:
        """The node group that it works for.

        Raises:
            ReferenceError: it was removed.
        """
        for group in bpy.data.node_groups:
            if self.works_for(group):
                return group
        raise ReferenceError("the node group was removed")

    def works_for(self, group: bpy.types.NodeTree) -> bool:
        """Whether it is this group's."""
        return bool(group.session_uid == self._group_uid)

    def cancel(self) -> None:
        """Ask it to end; returns at once."""
        self._cancelled = True
        if self._work is not None:
            self._work.cancel()

    def abandon(self) -> None:
        """End now: there is nobody left to tell."""
        self._end("CANCELLED", "cancelled")

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
        except ReferenceError as error:
            self._end("ERROR", f"undone or removed while at work ({error}); run again")
        except Exception as error:
            logger.exception("a bug, please report it")
            self._end("ERROR", f"a bug, please report it: {type(error).__name__}: {error}")
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
            work = self._work
            self._tell(work.state, work.stage, work.done, work.total)
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
        files = ImageSequence("export", self._exported)
        source = ExportedClip("Source", files, PLATE)
        clips = Clips(
            source=source,
            matte=ExportedClip("Matte", files, MATTE),
            clean_frames=PaintedClip(self._painted, source) if self._painted else None,
            hold_out=ExportedClip("Hold Out", files, HELD_OUT) if self._export.holds_out else None,
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
        return self._results / file_name(frame)

    def _show_finished(self) -> None:
        assert self._work is not None
        finished = list(self._work.finished)
        if len(finished) > self._shown:
            self.group.sttn.analyzed = ""  # of what showed until now
            self._shown = len(finished)
            first, last = finished[0], finished[-1]
            show_results(self.group, self._result(first), first, last, over=self._replaces)

    def _outcome(self) -> tuple[str, str]:
        assert self._work is not None
        error, frames = self._work.error, len(self._frames)
        if not error:
            self.group.sttn.analyzed = self.group.sttn.analyzing
            noted = f"; {self._work.note}" if self._work.note else ""
            return "DONE", f"{frames} frames finished{noted}"
        kept = f"; {self._shown} of {frames} frames are finished and shown" if self._shown else ""
        if self._cancelled:
            return ("PARTIAL" if self._shown else "CANCELLED"), f"cancelled{kept}"
        return "ERROR", f"{error}{kept}"

    def _tell(self, state: str, stage: str, done: int, total: int) -> None:
        settings = self.group.sttn
        settings.state, settings.message = state, f"{stage}: {done} of {total} frames"
        settings.progress = self.progress = done / max(1, total)

    def _end(self, state: str, message: str) -> None:
        self.cancel()
        self.outcome = state, message
        self._export.close()
        shutil.rmtree(self._export_folder if self._shown else self._results, ignore_errors=True)
        with contextlib.suppress(ReferenceError):
            settings = self.group.sttn
            settings.state, settings.message = self.outcome
            settings.progress = float(state == "DONE")


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
    if not is_local(address) and not bpy.app.online_access:
        raise ServerUnreachableError(
            f"{address} is on another machine, and Blender may not go online; "
            "switch on Preferences > System > Network > Allow Online Access"
        )
