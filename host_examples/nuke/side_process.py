"""The node in a process of its own, for a Nuke whose Python is too old for it.

It runs ``sttn-inpaint`` on the exported frames and looks like
:class:`host_examples.exchange.work.Work` from outside.
"""

from __future__ import annotations

import logging
import os
import re
import subprocess
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

logger = logging.getLogger(__name__)

STARTED_BY_NUKE = ("PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""What Nuke sets for its own Python, and what would break another one."""
_PROGRESS = re.compile(r"(reading|sending|preparing|completing):.*?(\d+)/(\d+)")

_FRAME = " \n╭─╮│╰╯"
"""What is drawn around the words where a flag is refused."""


class Exported(NamedTuple):
    """What Nuke wrote and what the artist painted, as patterns with ``####``; empty means none."""

    plate: str
    matte_channel: str
    """Channel of the plate's files."""
    hold_out: str
    clean_frames: str
    frames: Sequence[int]
    """What was exported, handles included."""

    def files(self, pattern: str) -> dict[int, str]:
        """Every exported file by its frame."""
        return {frame: file_of(pattern, frame) for frame in self.frames}


class SideProcess:
    """One run of ``sttn-inpaint``."""

    def __init__(
        self,
        command: str,
        exported: Exported,
        results: str,
        frames: Sequence[int],
        params: dict[str, Any],
    ) -> None:
        """Prepare; :meth:`start` begins.

        Args:
            command: ``sttn-inpaint``, by name or path.
            exported: What there is to work on.
            results: Pattern of the results.
            frames: What to complete, in rising order without gaps.
            params: The artist's, by name; empty text is left to the default, ``frames`` to the
                argument of that name.
        """
        self._arguments = [
            *(command, exported.plate, "--matte-channel", exported.matte_channel),
            *("--output", results),
            *("--frames", f"{frames[0]}-{frames[-1]}", "--overwrite"),
            *_flags({"hold_out": exported.hold_out, "clean_frames": exported.clean_frames}),
            *_flags({name: value for name, value in params.items() if name != "frames"}),
        ]
        self._results, self._frames = results, list(frames)
        self._ended = threading.Event()
        self._process: Any = None
        self._thread = threading.Thread(target=self._run, name="sttn-inpaint")
        self._thread.daemon = True
        self.stage, self.done, self.total = "reading", 0, len(frames)
        self.error = ""
        """Why it ended early; empty while it runs and when all went well."""
        self.note = ""
        """What the artist has to know though all went well; empty for nothing."""
        self._asked_to_end = False

    @property
    def finished(self) -> list[int]:
        """Frames that are written."""
        return [frame for frame in self._frames if os.path.exists(file_of(self._results, frame))]

    @property
    def state(self) -> str:
        """What the node is at, by the name of its state."""
        states = {"reading": "EXPORTING", "sending": "SENDING"}
        return "PARTIAL" if self.finished else states.get(self.stage, "RUNNING")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """Ask it to end; returns at once."""
        self._asked_to_end = True
        if self._process is not None and self._process.poll() is None:
            # To sttn-inpaint that is Ctrl-C, which it ignores where Nuke was started to ignore it.
            self._process.terminate()
        # It may take seconds to stop a server of its own; the artist need not wait for that.
        self._ended.set()

    def ended(self, timeout_seconds: float = 0) -> bool:
        """Whether it is over, waiting for that no longer than asked."""
        return self._ended.wait(timeout_seconds)

    def _run(self) -> None:
        try:
            self.error = self._told()
        except OSError as error:
            self.error = f"cannot start {self._arguments[0]}: {error}; enter its whole path"
        except Exception as error:
            logger.exception("a bug, please report it")
            self.error = f"a bug, please report it: {type(error).__name__}: {error}"
        finally:
            self._ended.set()

    def _told(self) -> str:
        environment = {
            name: value for name, value in os.environ.items() if name not in STARTED_BY_NUKE
        }
        environment["PYTHONIOENCODING"] = "utf-8"  # Nuke's locale may be another, or none
        self._process = subprocess.Popen(
            self._arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",  # as text: a bar's carriage returns end lines too
            errors="replace",
            # Windows would open a console for it.
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            env=environment,
        )
        if self._asked_to_end:
            self.cancel()
        last = ""
        with self._process:
            for line in self._process.stderr:
                progress = _PROGRESS.search(line)
                if progress:
                    self.stage = progress.group(1)
                    self.done, self.total = int(progress.group(2)), int(progress.group(3))
                else:
                    last = line.strip(_FRAME) or last
        if self._process.returncode == 0:
            name, _, told = last.partition("sttn-inpaint: ")
            self.note = "" if name else told
            return ""
        return last or "it ended without a word"


def _flags(params: dict[str, Any]) -> list[str]:
    flags: list[str] = []
    for name, value in params.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        elif value != "":
            flags += [f"--{flag}", str(value)]
    return flags


def file_of(pattern: str, frame: int) -> str:
    """The file that a pattern means for one frame."""
    return pattern.replace("####", f"{frame:04d}")
