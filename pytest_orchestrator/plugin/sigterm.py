"""SIGTERM and SIGHUP, by which CI cancels, end a session that has recipes as Ctrl-C does."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

_ENDS = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP


def interrupt_on_sigterm() -> Callable[[], object]:
    """Raise KeyboardInterrupt at these signals, unless somebody handles them already.

    Returns:
        A function that puts the former handling back.
    """

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    numbers = [getattr(signal, name) for name in _ENDS if hasattr(signal, name)]
    in_main_thread = threading.current_thread() is threading.main_thread()
    free = [one for one in numbers if in_main_thread and signal.getsignal(one) is signal.SIG_DFL]
    for number in free:
        signal.signal(number, interrupt)
    return lambda: [signal.signal(number, signal.SIG_DFL) for number in free]
