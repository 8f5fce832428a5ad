"""How threads that run steps wake the one that waits, and what it shows on their behalf."""

import queue
import threading
from collections.abc import Callable

from pytest_orchestrator.execution.wait import Wait


class Bell:
    """Wakes the thread that made it.

    Who waits here is woken by signals at once, which most other ways to wait do not allow.

    Args:
        show: Tells a person of a step that waits for a lock; called in that thread alone.
    """

    def __init__(self, show: Callable[[Wait], None]) -> None:
        self._show = show
        self._home = threading.get_ident()
        self._words: queue.SimpleQueue[Wait | None] = queue.SimpleQueue()

    def ring(self) -> None:
        """Wake who waits, now or next."""
        self._words.put(None)

    def tell(self, wait: Wait) -> None:
        """Have a wait for a lock shown."""
        if threading.get_ident() == self._home:
            self._show(wait)
        else:
            self._words.put(wait)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for a ring, for some seconds at most, and show what was told."""
        try:
            told = self._words.get(timeout=seconds)
        except queue.Empty:
            return
        if told is not None:
            self._show(told)
