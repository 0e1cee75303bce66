"""A server's disk: what lasts, what is shared by nobody, what is cleaned up."""

import os
import subprocess
import sys
import tempfile

import pytest

from server import folders
from server.errors import StartError
from server.folders import store_folder
from tests import links


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """Where temporary folders lie; all of them count as settled."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(folders, "SETTLED_SECONDS", -1.0)


def test_what_a_killed_server_left_is_removed_by_the_next_one(tmp_path):
    """Weeks of restarts do not fill the disk."""
    code = (
        "import os, signal, tempfile, sys; tempfile.tempdir = sys.argv[1]\n"
        "from server.folders import store_folder\n"
        "with store_folder(None) as folder:\n"
        "    (folder / 'plate').write_bytes(bytes(1000))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    (left,) = tmp_path.glob("sttn-plates-*")

    with store_folder(None) as fresh:
        assert not left.exists()
        assert fresh.exists()

    assert not list(tmp_path.glob("sttn-plates-*"))


def test_a_server_at_work_keeps_its_folder():
    """A second one on the same machine does not touch it."""
    with store_folder(None) as first, store_folder(None) as second:
        assert first.exists()
        assert second != first


def test_a_server_keeps_its_folder_though_a_cleaner_took_the_lock():
    """Cleaners of /tmp take files that nobody has written for days; the next server does not."""
    with store_folder(None) as first:
        (first / "lock").unlink()
        with store_folder(None):
            assert first.exists()


def test_a_folder_that_lasts_belongs_to_one_server(tmp_path):
    """Two would evict each other's plates."""
    with store_folder(tmp_path / "store") as folder:
        (folder / "plate").write_bytes(b"pixels")
        with pytest.raises(StartError, match="another server uses the store"):
            store_folder(tmp_path / "store").__enter__()

    assert (tmp_path / "store" / "plate").exists()


def test_a_folder_that_cannot_be_is_one_line(tmp_path):
    """The unit file names a path that is a file."""
    (tmp_path / "store").write_text("")

    with pytest.raises(StartError, match=f"cannot use the store {os.fspath(tmp_path)}"):
        store_folder(tmp_path / "store").__enter__()


@pytest.mark.parametrize("trap", links.TRAPS)
def test_links_that_somebody_lays_are_not_followed(tmp_path, trap):
    """Everybody may write to TMPDIR: whatever a link there points to stays as it is."""
    with links.laid(tmp_path, f"{folders.PREFIX}evil", trap), store_folder(None):
        pass


def test_what_somebody_else_left_stays(tmp_path, monkeypatch):
    """A folder of another user that root may open."""
    left = tmp_path / f"{folders.PREFIX}other"
    left.mkdir()
    monkeypatch.setattr(os, "getuid", lambda: left.stat().st_uid + 1)

    with store_folder(None):
        pass

    assert list(left.iterdir()) == []
