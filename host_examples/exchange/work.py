"""The node at work in a thread of its own, looked at from the host's main thread."""

import logging
import threading
from collections.abc import Callable, Sequence

from node.client import InpaintClient
from node.clips import Pixels
from node.effect import InpaintEffect
from node.errors import NodeError

logger = logging.getLogger(__name__)


class Work:
    """One job. Nothing here touches the host: it may be called from any thread."""

    def __init__(
        self,
        effect: InpaintEffect,
        frames: Sequence[int],
        connect: Callable[[], InpaintClient],
        write: Callable[[int, Pixels], None],
    ) -> None:
        """Prepare; :meth:`start` begins.

        Args:
            effect: An instance with its clips connected.
            frames: What to complete, in rising order.
            connect: Makes the connection, once there is something to send.
            write: Keeps a finished frame; called from the thread.
        """
        self._effect = effect
        self._frames = frames
        self._connect = connect
        self._write = write
        self._asked_to_end = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sttn-inpaint", daemon=True)
        self.total = len(frames)
        self.stage, self.done = "reading", 0
        self.finished: list[int] = []
        """Frames that are written, in the order they came."""
        self.error = ""
        """Why it ended early; empty while it runs and when all went well."""

    @property
    def note(self) -> str:
        """What the artist has to know though all went well; empty for nothing."""
        return "" if self.error else self._effect.message

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def cancel(self) -> None:
        """Ask it to end; returns at once."""
        self._asked_to_end.set()

    @property
    def state(self) -> str:
        """What the node is at, by the name of its state."""
        return self._effect.state.name

    def ended(self, timeout_seconds: float = 0) -> bool:
        """Whether it is over, waiting for that no longer than asked."""
        return self._ended.wait(timeout_seconds)

    def _run(self) -> None:
        try:
            for frame, pixels in self._effect.render_sequence(
                self._frames, self._connect, self._progress
            ):
                self._write(frame, pixels)
                self.finished.append(frame)
        except NodeError as error:
            self.error = str(error)
        except Exception as error:
            logger.exception("a bug, please report it")
            self.error = f"a bug, please report it: {type(error).__name__}: {error}"
        finally:
            self._ended.set()

    def _progress(self, stage: str, done: int, total: int) -> bool:
        self.stage, self.done, self.total = stage, done, total
        return not self._asked_to_end.is_set()
