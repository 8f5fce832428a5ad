"""Signals that interrupt a session, and calls that end the pytest process early.

An inline step, one of its threads or an ``atexit`` function may call ``os._exit(0)`` or
replace pytest by another program with ``os.exec*``. The exit status could then be 0 although a
step failed. So this module wraps these functions, from the first session with recipes on.
"""

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from pytest_orchestrator.core.text import MAX_CAUSE, clipped
from pytest_orchestrator.execution import interruptible
from pytest_orchestrator.plugin.registered import Plugin

if TYPE_CHECKING:
    from types import ModuleType

    from execnet import Channel

_PROGRAMS = frozenset({"pytest", "py.test", "pytest-orchestrator"})


class EarlyEnds(Plugin):
    """Wrappers of ``os._exit`` and ``os.exec*`` that turn a false exit status 0 into a failure.

    In forked processes the wrappers only call the original functions. coverage.py may wrap the
    same functions, since each wrapper calls the function that it replaced.
    """

    def __init__(self, session: pytest.Session, terminal: int) -> None:
        """Wrap the functions in `os`.

        Args:
            session: The session.
            terminal: File descriptor of the terminal; this object closes it.
        """
        self._session = session
        self._terminal = terminal
        self._pid = os.getpid()
        self._is_over = False
        # A session inside a test, or one that a program starts with pytest.main, ends before
        # its process does; then the wrappers are removed at the end of the session.
        self._is_permanent = _is_main_program(session.config)
        self._wrapped: list[tuple[ModuleType, str, Any, Any]] = []
        posix = sys.modules.get("posix")
        for module in (os, posix) if posix else (os,):
            self._wrap(module, "_exit", self._exit_wrapper)
            for name in ("execv", "execve"):
                self._wrap(module, name, self._exec_wrapper)

    def _wrap(self, module: "ModuleType", name: str, make: Callable[[Any, str], Any]) -> None:
        original = getattr(module, name, None)
        if original is not None:
            wrapper = make(original, name)
            self._wrapped.append((module, name, original, wrapper))
            setattr(module, name, wrapper)

    def _exit_wrapper(
        self, original: Callable[[int], NoReturn], _name: str
    ) -> Callable[[int], NoReturn]:
        def _exit(status: int) -> NoReturn:
            if status == 0 and (failed_status := self._failed_status("os._exit(0)")):
                status = failed_status
            original(status)

        return _exit

    def _exec_wrapper(
        self, original: Callable[..., NoReturn], name: str
    ) -> Callable[..., NoReturn]:
        def execute(path: Any, *args: Any) -> NoReturn:
            if failed_status := self._failed_status(f"os.{name}"):
                self._wrapped[0][2](failed_status)
            original(path, *args)

        return execute

    def _failed_status(self, function: str) -> int:
        """Return the failure status for an early end and print it; return 0 to allow the call."""
        if os.getpid() != self._pid:
            return 0
        status = int(self._session.exitstatus) if self._is_over else 0
        failed_status = status if self._is_over else int(pytest.ExitCode.TESTS_FAILED)
        if failed_status:
            where = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
            by = f" in {where}" if where else ""
            when = "after it had failed" if self._is_over else "before its end"
            text = (
                f"\norchestrator: {function}{by} ended pytest {when}: exit status {failed_status}\n"
            )
            with contextlib.suppress(OSError):
                os.write(self._terminal, text.encode(errors="backslashreplace"))
        return failed_status

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Remember that the exit status is final; remove the wrappers if the process continues."""
        self._is_over = True
        if self._is_permanent:
            return
        for module, name, original, wrapper in self._wrapped:
            if getattr(module, name) is wrapper:  # a later wrapper may call this one
                setattr(module, name, original)
        self._pid = 0
        os.close(self._terminal)


def _is_main_program(config: pytest.Config) -> bool:
    """Return True if this process is a pytest program that runs only this session."""
    if [*map(str, config.invocation_params.args)] != sys.argv[1:]:
        return False
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    started = spec.parent if spec is not None else Path(sys.argv[0]).name if sys.argv else ""
    return started in _PROGRAMS


def interrupt_text(end: BaseException) -> str:
    """Return the text of an exception that ended the session; "Ctrl-C" if it has none."""
    return str(end) or "Ctrl-C"


def end_cause(session: pytest.Session, interrupt: str) -> str:
    """Return why a session ended before its last item, cut to `MAX_CAUSE` characters.

    Args:
        session: The session.
        interrupt: The text of the exception that interrupted the session, or empty text.
    """
    cause = str(session.shouldfail or session.shouldstop or "") or interrupt
    return clipped(cause, MAX_CAUSE)


_ENDS = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP


def interrupt_on_sigterm(controller: "Channel | None" = None) -> Callable[[], None]:
    """Make SIGTERM and SIGHUP raise KeyboardInterrupt unless they have a handler already.

    Args:
        controller: In an xdist worker, the channel through which the controller sends why it was
            interrupted. The worker is then interrupted with this text, unless it was interrupted
            before: Ctrl-C in a terminal reaches all processes.

    Returns:
        A function that restores the previous handlers.
    """
    causes: list[str] = []
    is_over = interruptible.InterruptibleEvent()

    def interrupt(number: int, _frame: FrameType | None) -> NoReturn:
        __tracebackhide__ = True  # pytest shows the place that was interrupted
        is_over.set()
        _leave_closed_terminal()
        interruptible.interrupt(signal.Signals(number).name)

    def interrupt_with_cause(_number: int, _frame: FrameType | None) -> NoReturn:
        __tracebackhide__ = True
        is_over.set()
        interruptible.interrupt("".join(causes[:1]))

    def interrupt_main_thread(cause: str) -> None:
        if not is_over.is_set():
            causes.append(cause)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def restore() -> None:
        is_over.set()
        for number in free:
            signal.signal(number, signal.SIG_DFL)
        if has_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    free = [one for one in _settable(*_ENDS) if signal.getsignal(one) is signal.SIG_DFL]
    for number in free:
        signal.signal(number, interrupt)
    sigint = _settable("SIGINT") if controller is not None else []
    has_default = any(signal.getsignal(one) is signal.default_int_handler for one in sigint)
    if controller is not None and has_default:
        signal.signal(signal.SIGINT, interrupt_with_cause)
        controller.setcallback(interrupt_main_thread)
    return restore


def _leave_closed_terminal() -> None:
    """Redirect the file descriptors of a terminal that was closed to the null device.

    pytest could not write its reports else: its first line would be an internal error.
    """
    import termios

    null = os.open(os.devnull, os.O_RDWR)
    for number in [int(one.name) for one in Path("/dev/fd").iterdir()]:
        try:
            termios.tcgetattr(number)
        except termios.error as error:
            if error.args[0] == errno.EIO:
                os.dup2(null, number, inheritable=number < 3)
    os.close(null)


def keep_exit_statuses() -> Callable[[], None]:
    """Reset an ignored SIGCHLD to its default, so that exit statuses of children can be read.

    The program that starts pytest, or a `conftest.py`, may ignore SIGCHLD. ``subprocess`` then
    returns 0 for every program of an inline step, and for programs of this plugin.

    Returns:
        A function that ignores SIGCHLD again if it was ignored.
    """
    ignored = [one for one in _settable("SIGCHLD") if signal.getsignal(one) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)

    def restore() -> None:
        for number in ignored:
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.SIG_IGN)

    return restore


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Defer the first interrupt to the end of the ``with`` block; handle a second immediately."""
    __tracebackhide__ = True  # pytest shows the place that was interrupted
    handlers: dict[signal.Signals, Callable[[int, FrameType | None], Any]] = {}
    deferred: list[tuple[int, FrameType | None]] = []

    def defer(number: int, frame: FrameType | None) -> None:
        __tracebackhide__ = True
        deferred.append((number, frame))
        if len(deferred) > 1:
            handlers[signal.Signals(number)](number, frame)

    for number in _settable("SIGINT", *_ENDS):
        handler = signal.getsignal(number)
        if callable(handler):
            handlers[number] = handler
            signal.signal(number, defer)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if deferred:
        first, frame = deferred[0]
        handlers[signal.Signals(first)](first, frame)


def _settable(*names: str) -> list[signal.Signals]:
    """Return the existing signals of these names; empty outside the main thread.

    Only the main thread may set signal handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        return []
    return [getattr(signal, name) for name in names if hasattr(signal, name)]
