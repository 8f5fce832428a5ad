"""Signals that wait until a child that was just started is watched."""

import signal
import threading
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM)


class HeldSignals:
    """Holds the signals that interrupt this process, from its making to `release`.

    One that comes while a child is being started would raise where nobody knows the child
    yet, which would then outlive the session.
    """

    def __init__(self) -> None:
        self._came: list[int] = []
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            for number in _NUMBERS:
                handler = signal.getsignal(number)
                if callable(handler):
                    self._before[number] = handler
                    signal.signal(number, self._note)

    def release(self) -> None:
        """Let signals through again, first of all those that came."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
        while self._came:
            signal.raise_signal(self._came.pop())

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._came.append(number)
