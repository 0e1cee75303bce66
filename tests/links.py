"""Links that somebody lays into a folder where everybody may write."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TRAPS = ("lock", "folder")
"""What is a link: the lock in a folder that seems to be left, or that folder itself."""


@contextmanager
def laid(temporary: Path, name: str, trap: str) -> Iterator[None]:
    """Somebody else's work is what a link points to; it has to be as it was afterwards."""
    work = temporary / "work"
    work.mkdir()
    (work / "precious").write_text("a week's work")
    left = temporary / name
    if trap == "lock":
        left.mkdir()
        (left / "lock").symlink_to(work / "precious")
    else:
        left.symlink_to(work)
    yield
    assert [path.name for path in work.iterdir()] == ["precious"]
    assert (work / "precious").read_text() == "a week's work"
