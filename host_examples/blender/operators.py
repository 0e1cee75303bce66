"""What the panel's buttons do."""

import contextlib
import shutil
from pathlib import Path
from typing import ClassVar

import bpy

from host_examples.blender.job import Job
from host_examples.blender.results import old_runs
from host_examples.blender.tree import add_node, find_node, own_group, require_tree
from node.errors import NodeError

_running: list[Job] = []
"""The job under way; there is never more than one."""

_AT_WORK = ("EXPORTING", "SENDING", "RUNNING")

TICK_SECONDS = 0.05
"""How often a modal job looks around; a key is answered within this."""


def running() -> Job | None:
    """The job under way."""
    return _running[0] if _running else None


class AddNode(bpy.types.Operator):
    """Adds an STTN Inpaint node to the scene's compositor."""

    bl_idname = "sttn.add_node"
    bl_label = "Add STTN Inpaint"
    bl_options: ClassVar = {"REGISTER", "UNDO"}

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Add it beside the view's center and make it active."""
        tree = require_tree(context.scene)
        node = add_node(tree)
        if context.space_data is not None and context.space_data.type == "NODE_EDITOR":
            node.location = context.space_data.cursor_location
        for each in tree.nodes:
            each.select = each == node
        tree.nodes.active = node
        return {"FINISHED"}


class Inpaint(bpy.types.Operator):
    """Exports plate and matte, has the server complete them, and shows the result in the node."""

    bl_idname = "sttn.inpaint"
    bl_label = "Inpaint"
    bl_options: ClassVar = {"UNDO"}  # and the file counts as changed

    node: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Node", description="Name of the node; by default the active one, or the only one"
    )

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Run to the end, blocking: for scripts and farms. Ctrl-C cancels."""
        job = self._begin(context)
        if job is None:
            return {"CANCELLED"}
        try:
            while job.step(TICK_SECONDS):
                pass
        except KeyboardInterrupt:
            job.cancel()
            while job.step(TICK_SECONDS):
                pass
        return self._finish(context, job)

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Run beside the artist's work; Escape or the panel's Cancel ends it."""
        job = self._begin(context)
        if job is None:
            return {"CANCELLED"}
        manager = context.window_manager
        self._timer = manager.event_timer_add(TICK_SECONDS, window=context.window)
        manager.progress_begin(0, 1)
        manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Take a step at every tick of the timer."""
        job = running()
        assert job is not None
        if event.type == "ESC" and event.value == "PRESS":
            job.cancel()
        elif event.type != "TIMER":
            return {"PASS_THROUGH"}
        if job.step():
            context.window_manager.progress_update(job.progress)
            _redraw(context)
            return {"RUNNING_MODAL"}
        context.window_manager.event_timer_remove(self._timer)
        context.window_manager.progress_end()
        return self._finish(context, job)

    def cancel(self, context: bpy.types.Context) -> None:
        """Called by Blender where the window closes or another file is opened."""
        job = running()
        if job is not None:
            job.abandon()
            _running.clear()

    def _begin(self, context: bpy.types.Context) -> Job | None:
        under_way = running()
        if under_way is not None:
            self.report({"ERROR"}, "another node is still at work; cancel it first")
            return None
        node = find_node(context.scene, self.node)
        if node is None:
            named = f"named {self.node!r}" if self.node else "selected"
            self.report({"ERROR"}, f"no STTN Inpaint node is {named}; add one, or select it")
            return None
        if own_group(node):
            self.report(
                {"INFO"}, f"{node.name} shared its node group; {node.node_tree.name} is its own"
            )
        try:
            job = Job(context.scene, node)
        except (NodeError, ValueError) as error:
            settings = node.node_tree.sttn
            settings.state, settings.message = "ERROR", str(error)
            self.report({"ERROR"}, str(error))
            return None
        _running.append(job)
        return job

    def _finish(self, context: bpy.types.Context, job: Job) -> set[str]:
        _running.clear()
        _redraw(context)
        state, message = job.outcome
        self.report({{"ERROR": "ERROR", "DONE": "INFO"}.get(state, "WARNING")}, message)
        return {"FINISHED"} if state == "DONE" else {"CANCELLED"}


class Cancel(bpy.types.Operator):
    """Ends the job under way; finished frames stay."""

    bl_idname = "sttn.cancel"
    bl_label = "Cancel"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Only while there is something to cancel."""
        return running() is not None

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Ask it to end."""
        job = running()
        assert job is not None
        job.cancel()
        return {"FINISHED"}


class RemoveOldRuns(bpy.types.Operator):
    """Removes from disk the runs that were made in this file and that no node in it shows."""

    bl_idname = "sttn.remove_old_runs"
    bl_label = "Remove Old Runs"

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        """Not while one is being made."""
        return running() is None

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """Say what would go, and ask."""
        runs: list[Path] = []
        with contextlib.suppress(NodeError):  # execute says why
            runs = old_runs()
        if not runs:
            return self.execute(context)
        told = (
            f"{_summed(runs)} will be gone. Copies, versions and backups of this file that show "
            "them will show the plate."
        )
        manager = context.window_manager
        return set(manager.invoke_confirm(self, event, title=self.bl_label, message=told))

    def execute(self, context: bpy.types.Context) -> set[str]:
        """Remove them."""
        try:
            runs = old_runs()
        except NodeError as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        told = f"removed {_summed(runs)}" if runs else "no run of this file is old"
        for run in runs:
            shutil.rmtree(run, ignore_errors=True)
        left = [str(run) for run in runs if run.exists()]
        if left:
            self.report({"ERROR"}, f"could not remove all of {', '.join(left)}; remove it by hand")
            return {"CANCELLED"}
        self.report({"INFO"}, told)
        return {"FINISHED"}


def _summed(runs: list[Path]) -> str:
    size = sum(path.stat().st_size for run in runs for path in run.iterdir())
    folders = ", ".join(sorted({str(run.parent) for run in runs}))
    return f"{len(runs)} old run{'s' * (len(runs) > 1)} in {folders} ({size / 1e9:.1f} GB)"


@bpy.app.handlers.persistent  # type: ignore[untyped-decorator]
def end_interrupted(*_: object) -> None:
    """After a file was opened or something undone: nobody is at work for what says so."""
    job = running()
    for group in bpy.data.node_groups:
        settings = group.sttn
        at_work = settings.state in _AT_WORK or (settings.state == "PARTIAL" and settings.progress)
        if at_work and not (job is not None and job.works_for(group)):
            settings.state = "PARTIAL" if settings.state == "PARTIAL" else "CANCELLED"
            settings.message = "this was kept while a run was under way; run again"
            settings.progress = 0


def _redraw(context: bpy.types.Context) -> None:
    for window in context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "NODE_EDITOR":
                area.tag_redraw()


_CLASSES = (AddNode, Inpaint, Cancel, RemoveOldRuns)
_HANDLERS = ("load_post", "undo_post", "redo_post")


def register() -> None:
    """Make the operators known."""
    for each in _CLASSES:
        bpy.utils.register_class(each)
    for name in _HANDLERS:
        getattr(bpy.app.handlers, name).append(end_interrupted)


def unregister() -> None:
    """Forget the operators; a job under way is cancelled."""
    for job in _running:
        job.abandon()
    _running.clear()
    for name in _HANDLERS:
        getattr(bpy.app.handlers, name).remove(end_interrupted)
    for each in reversed(_CLASSES):
        bpy.utils.unregister_class(each)
