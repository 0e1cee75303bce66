"""Files that are not whole yet lie beside their targets, one of its own for every run."""

import logging
import os
import re
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

ABANDONED_SECONDS = 86400.0
"""A file that nobody has written to for so long is a crashed run's; a job may be suspended."""

_NAME = re.compile(r"\.(.+)\.\d+-[0-9a-f]{8}\.part(\.[^.]+)?")


def begun(target: Path) -> Path:
    """An empty file for what will become a target, which no other run has.

    Raises:
        OSError: it cannot be made.
    """
    own = f".{target.stem}.{os.getpid()}-{secrets.token_hex(4)}.part{target.suffix}"
    path = target.with_name(own)
    path.open("xb").close()
    return path


def clear_abandoned(folder: Path, is_target: Callable[[str], bool]) -> None:
    """Remove what crashed runs left unfinished, and tell what may be one's that is at work.

    Args:
        folder: Where targets lie; may be missing.
        is_target: Whether a file name is one of them.
    """
    recent = []
    for name in os.listdir(folder) if folder.is_dir() else ():
        match = _NAME.fullmatch(name)
        if match is None or not is_target(match[1] + (match[2] or "")):
            continue
        with suppress(OSError):  # just finished, or somebody else's
            if (folder / name).stat().st_mtime < time.time() - ABANDONED_SECONDS:
                (folder / name).unlink()
            else:
                recent.append(name)
    if recent:
        more = f" (and {len(recent) - 1} more)" if len(recent) > 1 else ""
        logger.warning(
            "%s%s is unfinished: another run writes there too, or one crashed; remove it then",
            *(folder / min(recent), more),
        )
