"""Disks of artists' machines: nothing is left on them, however a host ends."""

import os
import subprocess
import sys
import tempfile

import pytest

from node import scratch
from node.scratch import Scratch
from tests import links


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """An empty TMPDIR, in which folders settle at once."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "SETTLED_SECONDS", -1.0)
    return tmp_path


def test_a_folder_is_given_back_with_its_job(temporary):
    """A host that runs for weeks."""
    job = Scratch()
    (job.folder / "completed-0-0.npy").write_bytes(b"pixels")

    del job

    assert not list(temporary.iterdir())


def test_what_a_crashed_host_left_is_removed_by_the_next_job(temporary):
    """Gigabytes in TMPDIR after every crash of Blender."""
    code = f"""
import os, tempfile
tempfile.tempdir = {str(temporary)!r}
from node.scratch import Scratch
job = Scratch()
(job.folder / "completed-0-0.npy").write_bytes(b"pixels")
os.kill(os.getpid(), 9)
"""
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = temporary.iterdir()

    job = Scratch()

    assert list(temporary.iterdir()) == [job.folder]
    assert left != job.folder


def test_what_another_job_uses_stays():
    """Two hosts on one machine, and two jobs in one host."""
    first, second = Scratch(), Scratch()

    assert first.folder.is_dir()
    assert second.folder.is_dir()
    Scratch()
    assert first.folder.is_dir()


def test_a_job_keeps_its_folder_though_a_cleaner_took_the_lock():
    """Cleaners of /tmp take files that nobody has written for days; the next job does not."""
    first = Scratch()
    (first.folder / "lock").unlink()

    Scratch()

    assert first.folder.is_dir()


def test_a_folder_that_is_just_being_made_stays(temporary, monkeypatch):
    """Between its making and its locking nothing tells it from one that is left."""
    monkeypatch.setattr(scratch, "SETTLED_SECONDS", 60.0)
    fresh = temporary / f"{scratch.PREFIX}fresh"
    fresh.mkdir()

    Scratch()

    assert fresh.is_dir()


@pytest.mark.parametrize("trap", links.TRAPS)
def test_links_that_somebody_lays_are_not_followed(temporary, trap):
    """Everybody may write to TMPDIR: whatever a link there points to stays as it is."""
    with links.laid(temporary, f"{scratch.PREFIX}evil", trap):
        Scratch()


def test_what_somebody_else_left_stays(temporary, monkeypatch):
    """A folder of another user that root may open."""
    left = temporary / f"{scratch.PREFIX}other"
    left.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: left.stat().st_uid + 1)

    Scratch()

    assert list(left.iterdir()) == []
