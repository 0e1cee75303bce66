"""What the commands share: how they start, and how they are told what to do."""

import io
import os
import re
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import partial, wraps
from typing import TypeVar

INTERRUPTED = 130
"""Exit code of a command that Ctrl-C ended, as shells count it."""

LONGEST = 300
"""Characters of what is told of a command line; a pattern without quotes may be many files."""

PLAIN = (
    (r"^Error parsing (settings: |settings\.)?", ""),
    (r"invalid literal for int\(\) with base 10: (.*)", r"\1 is no whole number"),
    (r"could not convert string to float: (.*)", r"\1 is no number"),
    (r"no type matching (?:{None}\|)?(.*) could be instantiated from \[(.*)\]\..*", r"\2 is no \1"),
)
"""What Python and tyro say, and what people understand."""

Result = TypeVar("Result")


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


def stopping_signals() -> tuple[signal.Signals, ...]:
    """What stops a process and lets it tidy up: SIGINT, SIGTERM, and SIGHUP, which a terminal sends
    where it goes away, unless it is ignored, as nohup has it; Windows has none.
    """
    heard = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        heard.append(signal.SIGHUP)
    return tuple(heard)


def stopped_by_signals() -> None:
    """Have SIGTERM, as a farm sends it, and SIGHUP, as an ssh session that drops does, stop this
    process as Ctrl-C does instead of killing it.
    """
    for number in stopping_signals():
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def run_command(
    function: Callable[..., Result],
    prog: str,
    arguments: Sequence[str] | None = None,
    description: str | None = None,
) -> Result:
    """Call a function with what was typed, as tyro reads it by the function's signature.

    Args:
        function: What the command does.
        prog: The command's name.
        arguments: What was typed behind it; ``sys.argv`` if not given.
        description: What --help says first; the function's docstring if not given.

    Raises:
        ValueError: what was typed cannot be read; one line says why.
        SystemExit: --help was asked for.
    """
    import tyro  # not above: this module is imported before Ctrl-C has a meaning

    read: Callable[[], Callable[[], Result]] = partial(
        tyro.cli, _postponed(function), prog=prog, description=description, args=arguments
    )
    try:
        with redirect_stderr(io.StringIO()):
            call = read()
    except SystemExit as ended:
        if ended.code != 2:
            raise
        raise ValueError(f"{_sentence(_complaint(read))}; see {prog} --help") from None
    return call()


def _postponed(function: Callable[..., Result]) -> Callable[..., Callable[[], Result]]:
    # With the function's signature. So what the function itself says is never taken for tyro's.
    @wraps(function)
    def postponed(*args: object, **named: object) -> Callable[[], Result]:
        return partial(function, *args, **named)

    return postponed


def _complaint(read: Callable[[], object]) -> str:
    # What tyro says of a command line where nothing is colored, framed or wrapped.
    said, columns = io.StringIO(), os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100000"
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            read()
    except SystemExit:
        pass
    finally:
        del os.environ["COLUMNS"]
        if columns is not None:
            os.environ["COLUMNS"] = columns
    return said.getvalue()


def _sentence(complaint: str) -> str:
    """One line for tyro's many.

    Between rules lie a title, what is wrong, flags that this is about or that were perhaps meant,
    indented, and below each what it is for, indented more.
    """
    title, *parts = re.split(r"\n *-+ *\n", complaint)
    wrong, *more = parts or [title]
    sentence = " ".join(line.strip() for line in wrong.splitlines() if _indent(line) < 8)
    for theirs, ours in PLAIN:
        sentence = re.sub(theirs, ours, sentence)
    sentence = textwrap.shorten(sentence.rstrip("."), LONGEST, placeholder=" ...")
    meant = [part for part in more if re.match(" *(Perhaps you meant|Arguments similar)", part)]
    flags = [row.strip() for part in meant for row in part.splitlines() if _indent(row) == 6]
    return f"{sentence} (perhaps {' or '.join(flags[:3])})" if flags else sentence


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
