"""One run for one Group: its frames, its folder, its export, and the work on it."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import nuke

from host_examples.exchange.ranges import with_handles
from host_examples.nuke.group import MATTE_CHANNEL, prepare_export
from host_examples.nuke.knobs import set_params, set_path
from host_examples.nuke.side_process import Exported, SideProcess

if TYPE_CHECKING:
    from host_examples.exchange.work import Work

NODES_PYTHON = (3, 10)
"""The oldest Python that the node runs in; Nuke 15 is the first to have it."""


class Job:
    """Made, exported and shown on the main thread; its work goes on elsewhere."""

    def __init__(self, group: nuke.Group) -> None:
        """Check what can be checked at once.

        Raises:
            ValueError: something that the artist has to change first.
        """
        plate = group.input(0)
        if plate is None:
            raise ValueError("nothing is connected to Source; connect the plate first")
        views = nuke.views()
        if len(views) > 1:
            raise ValueError(
                f"the script has the views {', '.join(views)}, which would all get one picture; "
                "write each by itself (OneView before a Write), and process it in a script of one "
                "view"
            )
        self.group = group
        self._params = set_params(group)
        available = range(plate.firstFrame(), plate.lastFrame() + 1)
        self.frames = _chosen(self._params["frames"], available)
        handles = self._params["handles"]
        self._exporting = with_handles(self.frames, available, handles, of="the plate")
        self._folder = _new_folder(group)
        self._exports = {"Plate": f"{self._folder}/export.plate.####.exr"}
        if group.input(2) is not None:
            self._exports["HoldOut"] = f"{self._folder}/export.holdout.####.exr"
        self.results = f"{self._folder}/result.####.exr"
        self.work = self._prepared_work()
        self.cancelled = False

    @property
    def name(self) -> str:
        """What the group is called by now; empty where it is gone, with its script or without."""
        try:
            return str(self.group.fullName())
        except ValueError:
            return ""

    def cancel(self) -> None:
        """Ask it to end; returns at once. Any thread."""
        self.cancelled = True
        self.work.cancel()

    def export(self) -> None:
        """Write plate and matte; blocks the main thread, as every render from Python does.

        Raises:
            RuntimeError: Nuke could not, or the artist cancelled.
            ValueError: the group was edited.
        """
        proxy = nuke.root()["proxy"]
        was_proxy = proxy.value()
        proxy.setValue(False)
        try:
            for name, pattern in self._exports.items():
                write = prepare_export(self.group, name, pattern)
                write["disable"].setValue(False)
                try:
                    nuke.execute(write, self._exporting[0], self._exporting[-1], 1)
                finally:
                    write["disable"].setValue(True)
        except Exception:
            self.remove_export()
            raise
        finally:
            proxy.setValue(was_proxy)

    def remove_export(self) -> None:
        """Exported frames have served; those that are still being read stay, as Windows wants."""
        for path in Path(self._folder).glob("export.*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def finished(self) -> list[int]:
        """Frames that are written, from the first one on, without gaps."""
        done = set(self.work.finished)
        missing = (index for index, frame in enumerate(self.frames) if frame not in done)
        return self.frames[: next(missing, len(self.frames))]

    def _prepared_work(self) -> Work | SideProcess:
        plate, held_out = self._exports["Plate"], self._exports.get("HoldOut", "")
        exported = Exported(
            plate=plate,
            matte_channel=MATTE_CHANNEL,
            hold_out=held_out,
            clean_frames=set_path(self.group, "clean_frames"),
            frames=self._exporting,
        )
        if self._params["server"] and sys.version_info >= NODES_PYTHON:
            try:
                from host_examples.nuke.in_process import in_process
            except ImportError:
                pass  # its libraries are not installed in Nuke; the side process has its own
            else:
                return in_process(exported, self.results, self.frames, self._params)
        command = set_path(self.group, "command")
        return SideProcess(command, exported, self.results, self.frames, self._params)


def _chosen(text: str, available: range) -> list[int]:
    if not text:
        return list(available)
    try:
        given = nuke.FrameRange(text)
    except (ValueError, RuntimeError):
        raise ValueError(f"frames {text!r} is not a range; write 1001-1048") from None
    frames = list(range(given.first(), given.last() + 1))
    if len(frames) != given.frames():
        raise ValueError(f"frames {text!r} leaves some out or runs backwards; write 1001-1048")
    return frames


def _new_folder(group: nuke.Group) -> str:
    # Each run has a folder of its own: what is shown stays until something newer is there.
    base = set_path(group, "folder") or os.path.join(
        os.environ.get("NUKE_TEMP_DIR") or tempfile.gettempdir(), "sttn"
    )
    parent = os.path.join(base, group.fullName())
    try:
        os.makedirs(parent, exist_ok=True)
        folder = os.path.join(parent, f"run-{uuid.uuid4().hex}")
        os.mkdir(folder)  # for whoever the umask lets in: another account may render
    except OSError as error:
        raise ValueError(f"cannot write to {parent}: {error}; choose another folder") from error
    return Path(folder).as_posix()  # Nuke wants forward slashes, on Windows too
