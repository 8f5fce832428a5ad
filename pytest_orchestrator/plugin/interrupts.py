"""Interrupts (SIGTERM as Ctrl-C, none within a report) and early exits of pytest itself.

A step that runs inside pytest, a thread of it or a function for ``atexit`` may call
``os._exit(0)``, or have pytest replaced by another program. The exit status of either says
nothing of what has failed. So both ask first, from the first session with recipes on.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

if TYPE_CHECKING:
    from types import ModuleType

_PROGRAMS = frozenset({"pytest", "py.test", "pytest-orchestrator"})


class EarlyEnds:
    """Stands before ``os._exit`` and ``os.exec*`` in this process, not in its forks.

    coverage.py stands there too, and each calls what it has found.
    """

    def __init__(self, session: pytest.Session, terminal: int) -> None:
        """Stand there from now on.

        Args:
            session: The session.
            terminal: A descriptor for what people read, which is kept.
        """
        self._session = session
        self._terminal = terminal
        self._pid = os.getpid()
        self._is_over = False
        # A session within a test ends, and so does one that a program starts and goes on after.
        self._stays = _is_the_program(session.config)
        self._found: list[tuple[ModuleType, str, Any, Any]] = []
        posix = sys.modules.get("posix")
        for module in (os, posix) if posix else (os,):
            self._stand_before(module, "_exit", self._exits)
            for name in ("execv", "execve"):
                self._stand_before(module, name, self._replaces)

    def _stand_before(
        self, module: "ModuleType", name: str, make: Callable[[Any, str], Any]
    ) -> None:
        usual = getattr(module, name, None)
        if usual is not None:
            own = make(usual, name)
            self._found.append((module, name, usual, own))
            setattr(module, name, own)

    def _exits(self, usual: Callable[[int], NoReturn], _name: str) -> Callable[[int], NoReturn]:
        def _exit(status: int) -> NoReturn:
            if status == 0 and (red := self._red("os._exit(0)")):
                status = red
            usual(status)

        return _exit

    def _replaces(self, usual: Callable[..., NoReturn], name: str) -> Callable[..., NoReturn]:
        def execute(path: Any, *args: Any) -> NoReturn:
            if red := self._red(f"os.{name}"):
                self._found[0][2](red)
            usual(path, *args)

        return execute

    def _red(self, what: str) -> int:
        """Return the exit status that this process has to end with, and say why; 0 for any."""
        if os.getpid() != self._pid:
            return 0
        status = int(self._session.exitstatus) if self._is_over else 0
        red = status if self._is_over else int(pytest.ExitCode.TESTS_FAILED)
        if red:
            where = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" ")[0]
            by = f" in {where}" if where else ""
            when = "after it had failed" if self._is_over else "before its end"
            words = f"\norchestrator: {what}{by} ended pytest {when}: exit status {red}\n"
            with contextlib.suppress(OSError):
                os.write(self._terminal, words.encode(errors="backslashreplace"))
        return red

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """Let the session have said its last word."""
        self._is_over = True
        if self._stays:
            return
        for module, name, usual, own in self._found:
            if getattr(module, name) is own:  # else who came later calls it, and it lets all pass
                setattr(module, name, usual)
        self._pid = 0
        os.close(self._terminal)


def _is_the_program(config: pytest.Config) -> bool:
    """Tell whether this session is what was started, and not a part of another program."""
    if [*map(str, config.invocation_params.args)] != sys.argv[1:]:
        return False
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    started = spec.parent if spec is not None else Path(sys.argv[0]).name if sys.argv else ""
    return started in _PROGRAMS


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
