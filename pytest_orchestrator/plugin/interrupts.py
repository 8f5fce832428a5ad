"""Signals that end a session: CI's as Ctrl-C does, and none in the middle of a report."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn

_ENDS = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP


def interrupt_on_sigterm() -> Callable[[], None]:
    """Raise KeyboardInterrupt at SIGTERM and SIGHUP, unless somebody handles them already.

    Returns:
        A function that puts the former handling back.
    """

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    def restore() -> None:
        for number in free:
            signal.signal(number, signal.SIG_DFL)

    free = [one for one in _handled(*_ENDS) if signal.getsignal(one) is signal.SIG_DFL]
    for number in free:
        signal.signal(number, interrupt)
    return restore


def keep_statuses() -> Callable[[], None]:
    """Have the kernel keep how children end, where SIGCHLD is ignored.

    Who starts pytest may ignore it, and a `conftest.py`: then ``subprocess`` returns 0 for
    whatever a step inside pytest has started, and for programs of our own.

    Returns:
        A function that puts the former handling back.
    """
    ignored = [one for one in _handled("SIGCHLD") if signal.getsignal(one) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)

    def restore() -> None:
        for number in ignored:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.SIG_IGN)

    return restore


@contextlib.contextmanager
def interrupts_wait() -> Iterator[None]:
    """Let an interrupt wait until something is whole; a second one does not wait."""
    usual: dict[signal.Signals, Callable[[int, FrameType | None], Any]] = {}
    waiting: list[tuple[int, FrameType | None]] = []

    def wait(number: int, frame: FrameType | None) -> None:
        waiting.append((number, frame))
        if len(waiting) > 1:
            usual[signal.Signals(number)](number, frame)

    for number in _handled("SIGINT", *_ENDS):
        handler = signal.getsignal(number)
        if callable(handler):
            usual[number] = handler
            signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
    if waiting:
        first, frame = waiting[0]
        usual[signal.Signals(first)](first, frame)


def _handled(*names: str) -> list[signal.Signals]:
    """Return the signals of these names that this thread may handle."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [getattr(signal, name) for name in names if hasattr(signal, name)]
