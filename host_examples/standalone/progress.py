"""What a terminal shows while the node works."""

from tqdm import tqdm


class ProgressBar:
    """One bar per stage, with frames done, frames/s and time left."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: tqdm[None] | None = None

    def show(self, stage: str, done: int, total: int) -> bool:
        """Show a stage's progress; always goes on (Ctrl-C interrupts)."""
        if self._bar is None or self._stage != stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=total, unit="frame", desc=stage, dynamic_ncols=True)
        if done != self._bar.n:  # a log file gets no line for every look at the clock
            self._bar.update(done - self._bar.n)
        return True

    def close(self) -> None:
        """Leave the last bar standing."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
