"""A deadline for a step that runs inside this process.

At the deadline the stacks of all threads are written to stderr and the main thread is
interrupted, wherever it waits. What cannot be ended so is ended from outside, by `guard`.
"""

import contextlib
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from types import FrameType

from pytest_orchestrator.execution import frames


class TimeLimitReached(BaseException):
    """Raised in the main thread at the deadline; not an Exception, so that few swallow it."""

    __module__ = "pytest_orchestrator"


@contextlib.contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Interrupt the block when its time is over.

    Args:
        seconds: The time it has; None is for ever. Without effect outside the main thread.

    Raises:
        TimeLimitReached: In the block, at the deadline; and after it, where the block
            swallowed that.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    expired = False

    def on_alarm(_number: int, frame: FrameType | None) -> None:
        nonlocal expired
        expired = True
        _tell_stacks(frame)
        raise TimeLimitReached

    started = time.monotonic()
    before = signal.signal(signal.SIGALRM, on_alarm)
    others, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    except (Exception, SystemExit) as error:
        if expired:
            raise TimeLimitReached from error
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if others:
            # Whoever else watches the time (pytest-timeout) goes on to do so.
            left = others - (time.monotonic() - started)
            signal.setitimer(signal.ITIMER_REAL, max(left, 0.001))
    if expired:
        raise TimeLimitReached


def _tell_stacks(interrupted: FrameType | None) -> None:
    """Write the stacks of all threads with code of the user, the main thread (this one) first.

    Not by faulthandler: it stops after a hundred threads, and the oldest come last.
    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    others = sys._current_frames()  # noqa: SLF001
    here = threading.get_ident()
    del others[here]
    for ident, frame in ((here, interrupted), *others.items()):
        lines = frames.stack(frame, called=ident == here)
        if ident == here:
            lines = lines or traceback.format_stack(frame)
        if lines:
            sys.stderr.write(f"\nThread {names.get(ident, ident)} (most recent call last):\n")
            sys.stderr.writelines(lines)
