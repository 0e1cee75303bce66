"""Where results are kept: ``FOLDER/FILE/GROUP/0001``, one numbered folder for every run.

What is shown stays until something newer is there, and what the saved file shows stays until it is
saved anew.
"""

import shutil
from pathlib import Path

import bpy

from node.errors import ClipError


def new_folder(group: bpy.types.NodeTree) -> Path:
    """A folder for a run.

    Raises:
        ClipError: there is no place for it, or it cannot be written.
    """
    if not group.sttn.folder and not bpy.data.is_saved:
        raise ClipError("results are kept beside the file: save it first, or choose a Folder")
    # The file's name is part of it: versions of a shot lie side by side.
    file = Path(bpy.data.filepath).stem if bpy.data.is_saved else "unsaved"
    base = Path(bpy.path.abspath(group.sttn.folder or "//sttn"))
    parent = base / file / bpy.path.clean_name(group.name)
    taken = [int(each.name) for each in _runs(parent)]
    folder: Path = parent / f"{max(taken, default=0) + 1:04d}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise ClipError(f"cannot write to {parent}: {error}; choose another Folder") from error
    return folder


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def remove_superseded(*_: object) -> None:
    """After saving: runs of this file that are older than what it shows are of no more use."""
    file = Path(bpy.data.filepath).stem
    for group in bpy.data.node_groups:
        result = group.nodes.get("Result") if group.sttn.is_inpaint else None
        if result is None or result.image is None:
            continue
        shown = Path(bpy.path.abspath(result.image.filepath)).parent
        if shown.parent.parent.name != file:
            continue  # shown by another version of the file, too
        for folder in _runs(shown.parent):
            if folder.name < shown.name:
                shutil.rmtree(folder, ignore_errors=True)


def _runs(parent: Path) -> list[Path]:
    return [each for each in parent.glob("[0-9]*") if each.name.isdigit() and each.is_dir()]


def register() -> None:
    """Tidy up after every save."""
    bpy.app.handlers.save_post.append(remove_superseded)


def unregister() -> None:
    """Tidy up no more."""
    bpy.app.handlers.save_post.remove(remove_superseded)
