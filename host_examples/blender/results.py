"""Where results are kept: ``FOLDER/FILE/NODE/0001``, one numbered folder for every run.

Nothing is removed but by the artist: versions, copies and backups of a file show its runs too.
``made_by.txt`` in a run's folder says which file it was made in, so that files that share a Folder
do not remove one another's.
"""

import os
import time
from pathlib import Path

import bpy

from host_examples.blender.tree import RESULT
from host_examples.standalone.unfinished import ABANDONED_SECONDS
from node.errors import ClipError

MADE_BY = "made_by.txt"
EXPORT = "export-"
"""How the folder of exported frames begins, which a run has while it is under way."""

_saved: dict[str, tuple[list[int], set[Path]]] = {}
"""Of the file on disk, by its path: when it was saved and how large it is, and the runs that it
shows; what is open may show newer ones."""


def new_folder(group: bpy.types.NodeTree) -> Path:
    """A folder for a run.

    Raises:
        ClipError: there is no place for it, or it cannot be written.
    """
    if not group.sttn.folder and not bpy.data.is_saved:
        raise ClipError("results are kept beside the file: save it first, or choose a Folder")
    parent = _parent(group) / bpy.path.clean_name(group.name)
    taken = [int(each.name) for each in _runs(parent)]
    folder: Path = parent / f"{max(taken, default=0) + 1:04d}"
    try:
        folder.mkdir(parents=True)
        (folder / MADE_BY).write_text(bpy.data.filepath, encoding="utf-8")
    except OSError as error:
        raise ClipError(f"cannot write to {parent}: {error}; choose another Folder") from error
    return folder


def file_name(frame: int) -> str:
    """What a frame's result is called in its run's folder."""
    return f"result.{frame:04d}.exr"


def missing_result(group: bpy.types.NodeTree) -> Path | str | None:
    """The first file that a node shows and that is not there, or what would show it."""
    result = group.nodes.get(RESULT)
    if result is None:
        return f"the node {RESULT} of {group.name}"
    if result.image is None:
        return None
    folder = _folder(result.image)
    there = set(os.listdir(folder)) if folder.is_dir() else set()
    shown = range(result.frame_start, result.frame_start + result.frame_duration)
    return next((folder / file_name(each) for each in shown if file_name(each) not in there), None)


def old_runs() -> list[Path]:
    """Runs that were made in this file, and that it shows no more: neither open nor on disk.

    None of them where nobody knows what the file on disk shows: it was neither opened nor saved
    since the extension is there. Another Blender's that are under way are not old.

    Raises:
        ClipError: another Blender saved the file since, and may show any of them in it, or the file
            is gone.
    """
    path = bpy.data.filepath
    if path not in _saved:
        return []
    stamp, shown = _saved[path]
    if not (now := _stamp(path)):
        raise ClipError(f"{path} is not there any more; save it")
    if now != stamp:
        raise ClipError(f"{path} was saved elsewhere since; open it again")
    kept = _shown() | shown
    places = {_parent(group) for group in bpy.data.node_groups if group.sttn.is_inpaint}
    runs = [run for place in places for node in place.glob("*") for run in _runs(node)]
    ours = [run for run in runs if run.resolve() not in kept and _is_ours(run)]
    return sorted(run for run in ours if not _is_under_way(run))


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def remember_saved(path: str, *_: object) -> None:
    """After loading and saving, but not after saving a copy elsewhere."""
    if path == bpy.data.filepath:
        _saved.clear()
        _saved[path] = _stamp(path), _shown()


def _stamp(path: str) -> list[int]:
    try:
        status = os.stat(path)
    except OSError:
        return []
    return [status.st_mtime_ns, status.st_size]


def _parent(group: bpy.types.NodeTree) -> Path:
    # The file's name is part of it: versions of a shot lie side by side.
    file = Path(bpy.data.filepath).stem if bpy.data.is_saved else "unsaved"
    return Path(bpy.path.abspath(group.sttn.folder or "//sttn")) / file


def _runs(parent: Path) -> list[Path]:
    return [each for each in parent.glob("[0-9]*") if each.name.isdigit() and each.is_dir()]


def _is_ours(run: Path) -> bool:
    try:
        made_by = (run / MADE_BY).read_text(encoding="utf-8")
    except OSError:
        return False
    return made_by == str(bpy.data.filepath)


def _is_under_way(run: Path) -> bool:
    # Exports of Blenders that crashed stay, and nobody writes to them.
    since = time.time() - ABANDONED_SECONDS
    try:
        exports = list(run.glob(f"{EXPORT}*"))
        return any(max(run.stat().st_mtime, each.stat().st_mtime) > since for each in exports)
    except OSError:  # it ends just now
        return True


def _shown() -> set[Path]:
    return {_folder(image) for image in bpy.data.images if image.filepath}


def _folder(image: bpy.types.Image) -> Path:
    return Path(bpy.path.abspath(image.filepath, library=image.library)).parent.resolve()


def register() -> None:
    """Know what the file on disk shows."""
    bpy.app.handlers.load_post.append(remember_saved)
    bpy.app.handlers.save_post.append(remember_saved)


def unregister() -> None:
    """Look no more."""
    bpy.app.handlers.load_post.remove(remember_saved)
    bpy.app.handlers.save_post.remove(remember_saved)
