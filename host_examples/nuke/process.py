"""What the Process and Cancel buttons and the farm script do.

Nuke is touched on its main thread only: a thread watches the work and asks the main thread to
update the node. Progress tasks are the exception that Nuke makes.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

import nuke

from host_examples.nuke.group import show_results
from host_examples.nuke.job import Job
from host_examples.nuke.knobs import is_inpaint, shown_params

logger = logging.getLogger(__name__)

LOOK_SECONDS = 0.05
"""How often the watching thread looks at the work and at the progress bar's Cancel."""

AT_WORK = ("EXPORTING", "SENDING", "RUNNING")

_running: list[Job] = []
"""Jobs under way."""


def process(group: nuke.Group, wait: bool = False) -> None:
    """Export, complete and show; on the main thread.

    Args:
        group: Made by ``group.create``.
        wait: Return only when all is done, as a farm wants it; else a thread goes on.
    """
    if _job_of(group) is not None:
        nuke.message(f"{group.fullName()} is still at work; cancel it first")
        return
    _tell(group, "EXPORTING", "exporting plate and matte")
    try:
        job = Job(group)
        job.export()
    except Exception as error:
        _tell_error(group, error)
        return
    _running.append(job)
    job.work.start()
    if wait:
        _watch(job, lambda call: call())
    else:
        threading.Thread(target=_watch, args=(job, _on_main_thread), daemon=True).start()


def cancel(group: nuke.Group) -> None:
    """End what is under way; finished frames stay."""
    job = _job_of(group)
    if job is not None:
        job.cancel()


def made(group: nuke.Node) -> None:
    """A node came with a script, a paste or an undo: what it says of a run may be long over."""
    if not is_inpaint(group) or _job_of(group) is not None:
        return
    state, message = group["state"].value(), group["message"].value()
    if state in AT_WORK or (state == "PARTIAL" and not message.startswith("cancelled")):
        kept = "PARTIAL" if state == "PARTIAL" else "CANCELLED"
        _tell(group, kept, "cancelled: this was kept while a run was under way; process again")


def knob_changed(group: nuke.Group, knob: nuke.Knob) -> None:
    """Mark a finished node whose params or inputs changed."""
    watched = {spec["name"] for spec in shown_params()} | {
        *("inputChange", "channel", "overscan", "clean_frames")
    }
    if group["state"].value() == "DONE" and knob.name() in watched:
        _tell(group, "STALE", f"{knob.name()} changed since the last run; process again")


def _job_of(group: nuke.Node) -> Job | None:
    # By the name it has now: nodes are renamed, and a new one may get the name of one that is gone.
    name = group.fullName()
    return next((job for job in _running if job.name == name), None)


def _watch(job: Job, on_main_thread: Callable[[Callable[[], None]], None]) -> None:
    task = nuke.ProgressTask("STTN Inpaint")
    work, told = job.work, ""
    while not work.ended(LOOK_SECONDS):
        if task.isCancelled():
            job.cancel()
        progress = f"{work.stage}: {work.done} of {work.total} frames"
        if progress != told:
            told = progress
            task.setMessage(progress)
            task.setProgress(100 * work.done // max(1, work.total))
            on_main_thread(partial(_show_progress, job, progress))
    on_main_thread(partial(_end, job))


def _show_progress(job: Job, progress: str) -> None:
    try:
        _tell(job.group, job.work.state, progress)
        _show_finished(job)
    except Exception:
        job.cancel()  # the node is gone, say, or was edited; _end sees to it


def _show_finished(job: Job) -> int:
    finished = job.finished()
    if finished:
        show_results(job.group, job.results, finished)
    return len(finished)


def _end(job: Job) -> None:
    _running.remove(job)
    job.remove_export()
    if not job.name:
        return  # nobody is left to be told
    try:
        shown, total = _show_finished(job), len(job.frames)
    except Exception as error:
        _tell_error(job.group, error)
        return
    failed = job.work.error
    if shown < total and not failed:
        failed = f"it ended without an error, but not all of {job.results} is there"
    if not job.cancelled and not failed:
        noted = f"; {job.work.note}" if job.work.note else ""
        _tell(job.group, "DONE", f"{total} frames finished{noted}")
        return
    kept = f"; {shown} of {total} frames are finished and shown" if shown else ""
    if job.cancelled:
        _tell(job.group, "PARTIAL" if shown else "CANCELLED", f"cancelled{kept}")
    else:
        _tell(job.group, "ERROR", f"{failed}{kept}")


def _on_main_thread(call: Callable[[], None]) -> None:
    nuke.executeInMainThreadWithResult(call)  # type: ignore[no-untyped-call]


def _tell_error(group: nuke.Node, error: Exception) -> None:
    if isinstance(error, (ValueError, RuntimeError)):
        # Nuke has no other word for it: a render that is cancelled raises a RuntimeError.
        cancelled = str(error).lower().startswith("cancel")
        _tell(group, "CANCELLED" if cancelled else "ERROR", str(error))
    else:
        logger.error("a bug, please report it", exc_info=error)
        _tell(group, "ERROR", f"a bug, please report it: {type(error).__name__}: {error}")


def _tell(group: nuke.Node, state: str, message: str) -> None:
    group["state"].setValue(state)
    group["message"].setValue(message)
