"""Waits of the main thread, which Ctrl-C may interrupt anywhere, and blocks that swallow Ctrl-C.

Ctrl-C raises KeyboardInterrupt between any two instructions of the main thread, also between those
that acquire the lock of a `threading.Event`, `threading.Condition` or `concurrent.futures.Future`
and those that make sure of its release. The lock then stays locked, and the next thread that needs
it waits for ever. The locks here are only waited for, so none can be left locked.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_causes: list[str] = []  # texts of the interrupts since the last block of `interrupts_kept` began
_pipes: list[int] = []  # that to which the interpreter writes signals within such a block


def interrupt(cause: str) -> NoReturn:
    """Raise KeyboardInterrupt in a signal handler; `interrupts_kept` raises it again if need be.

    Args:
        cause: The text of the exception; empty for none.
    """
    __tracebackhide__ = True  # pytest shows the place that was interrupted
    _causes.append(cause)
    raise KeyboardInterrupt(*filter(None, [cause]))


@contextlib.contextmanager
def interrupts_kept() -> Iterator[None]:
    """Raise KeyboardInterrupt after a ``with`` block that has caught one; main thread only.

    SIGINT keeps its handler, because `asyncio` replaces only that of Python. So the interpreter
    writes the number of each signal to a pipe. A fork of the block forgets the pipe.
    """
    __tracebackhide__ = True
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _causes.clear()
    try:
        reader, writer = os.pipe()
    except OSError:  # pytest has all files open that it may have: the step runs all the same
        yield
        return
    try:
        for end in (reader, writer):
            os.set_blocking(end, False)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        _pipes.append(writer)
        try:
            yield
        finally:
            _pipes.clear()
            signal.set_wakeup_fd(before)
        with contextlib.suppress(BlockingIOError):  # no signal has arrived
            if signal.SIGINT in os.read(reader, 1 << 16):
                _causes.append("")
    finally:
        os.close(reader)
        os.close(writer)
    if _causes:
        raise KeyboardInterrupt(*filter(None, _causes[:1]))


def _forget_pipe() -> None:
    if _pipes:
        signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_forget_pipe)


class InterruptibleEvent(threading.Event):
    """Event like `threading.Event` that works after Ctrl-C has interrupted one of its methods."""

    def __init__(self) -> None:
        super().__init__()
        self._is_set = False
        self._waiters: list[threading.Lock] = []

    def is_set(self) -> bool:
        """Return True if the event is set."""
        return self._is_set

    def set(self) -> None:
        """Set the event, and wake all threads that wait for it."""
        self._is_set = True
        for waiter in [*self._waiters]:
            with contextlib.suppress(RuntimeError):  # another call has woken it
                waiter.release()

    def clear(self) -> None:
        """Unset the event."""
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the event is set.

        Args:
            timeout: The longest wait, in seconds; None for no limit.

        Returns:
            True if the event is set.
        """
        if self._is_set:
            return True
        waiter = threading.Lock()
        waiter.acquire()
        self._waiters.append(waiter)
        try:
            if not self._is_set:  # it may have been set before the waiter was in the list
                seconds = -1 if timeout is None else min(max(0.0, timeout), threading.TIMEOUT_MAX)
                waiter.acquire(timeout=seconds)
        finally:
            self._waiters.remove(waiter)
        return self._is_set


class InterruptibleFuture:
    """Result that another thread sets once, with the methods of `concurrent.futures.Future`."""

    def __init__(self) -> None:
        self._has_ended = InterruptibleEvent()
        self._result: Any = None
        self._exception: BaseException | None = None
        self._callbacks: list[Callable[[InterruptibleFuture], object]] = []

    def set_result(self, result: Any) -> None:
        """Set the result."""
        self._result = result
        self._end()

    def set_exception(self, exception: BaseException) -> None:
        """Set the exception that `result` raises."""
        self._exception = exception
        self._end()

    def _end(self) -> None:
        self._has_ended.set()
        for callback in [*self._callbacks]:
            callback(self)

    def add_done_callback(self, callback: Callable[[InterruptibleFuture], object]) -> None:
        """Have a function called when the result or exception is set, or at once if it is.

        It may be called twice, in two threads.
        """
        self._callbacks.append(callback)
        if self.done():
            callback(self)

    def done(self) -> bool:
        """Return True if the result or the exception is set."""
        return self._has_ended.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the result or the exception is set.

        Args:
            timeout: The longest wait, in seconds; None for no limit.

        Returns:
            True if it is set.
        """
        return self._has_ended.wait(timeout)

    def result(self, timeout: float | None = None) -> Any:
        """Wait like `wait`, and return the result.

        Raises:
            TimeoutError: Neither a result nor an exception was set in time.
            BaseException: The exception that was set.
        """
        if not self.wait(timeout):
            raise TimeoutError
        if self._exception is not None:
            raise self._exception
        return self._result
