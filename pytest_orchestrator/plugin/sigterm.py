"""SIGTERM, by which CI cancels, ends a session that has recipes as Ctrl-C does."""

import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn


def interrupt_on_sigterm() -> Callable[[], object]:
    """Raise KeyboardInterrupt at SIGTERM, unless somebody handles it already.

    Returns:
        A function that puts the former handling back.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt("SIGTERM")

    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return lambda: None
    signal.signal(signal.SIGTERM, interrupt)
    return lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)
