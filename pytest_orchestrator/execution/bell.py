"""How threads that run steps wake the one that waits, and what it does on their behalf."""

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Bell:
    """Wakes the thread that made it.

    Who waits here is woken by signals at once, which most other ways to wait do not allow.
    """

    def __init__(self) -> None:
        self._home = threading.get_ident()
        self._words: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()

    def ring(self) -> None:
        """Wake who waits, now or next."""
        self._words.put(None)

    def relayed(self, act: Callable[[T], None]) -> Callable[[T], None]:
        """Return what does the same in the thread of the bell alone.

        There it is done at once, after all that was left to be done; for other threads it is
        done when somebody waits, or when something is done there next.
        """

        def relay(given: T) -> None:
            if threading.get_ident() != self._home:
                self._words.put(lambda: act(given))
                return
            self.catch_up()
            act(given)

        return relay

    def catch_up(self) -> None:
        """Do what other threads have left to be done."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._do(self._words.get_nowait())

    def wait(self, seconds: float | None = None) -> None:
        """Wait for a ring, for some seconds at most, or for something to do."""
        with contextlib.suppress(queue.Empty):
            self._do(self._words.get(timeout=seconds))

    def _do(self, told: Callable[[], None] | None) -> None:
        if told is not None:
            told()
