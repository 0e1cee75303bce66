"""What the commands share before they do anything."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells count it."""


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Inside the block Ctrl-C ends this process at once, without a word and with exit code 130.

    For imports: they take seconds and hold nothing worth saving, and much of them is C code, which
    may swallow the exception that Python raises. A Ctrl-C that the shell ignores stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
