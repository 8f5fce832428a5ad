"""The end of pytest's own process before its last word: it is never green.

A step that runs inside pytest, a thread of it or a function for ``atexit`` may call
``os._exit(0)``, or have pytest replaced by another program. The exit status of either says
nothing of what has failed. So both ask first, from the first session with recipes on.
"""

import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
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
