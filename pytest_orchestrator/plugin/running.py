"""A session that has recipes, while it runs: hooks around its items and its end."""

import signal
import threading
from collections.abc import Generator
from types import FrameType
from typing import NoReturn

import pytest

from pytest_orchestrator.plugin import reporting
from pytest_orchestrator.plugin.finals import Finals


def start(session: pytest.Session) -> None:
    """Register what a session with recipes needs while it runs."""
    finals = Finals(session)
    register = session.config.pluginmanager.register
    register(Running(session, finals), "orchestrator-running")
    register(LastItems(finals), "orchestrator-last-items")
    register(reporting.Blocks(), "orchestrator-blocks")
    reporting.show_tables(session.config)


class LastItems:
    """Lets the last item that uses a recipe be followed by the ``finally`` steps."""

    def __init__(self, finals: Finals) -> None:
        self._finals = finals
        self._inside: pytest.Item | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Run an item with the first ``finally`` step as its next item, then these."""
        owed = [] if item is self._inside else self._finals.owed_after(item)
        if not owed:
            return None
        self._inside = item
        item.ihook.pytest_runtest_protocol(item=item, nextitem=owed[0])
        self._inside = None
        self._finals.play(owed, nextitem, item)
        return True


class Running:
    """Sees to it that a session which ends early leaves nothing undone."""

    def __init__(self, session: pytest.Session, finals: Finals) -> None:
        self._session = session
        self._finals = finals
        self._ending = False
        self._last: pytest.Item | None = None
        self._restore = _interrupt_on_sigterm(session.config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Run what is owed where this item is the last of the session before its time."""
        self._last = item
        try:
            done = yield
        except (KeyboardInterrupt, pytest.exit.Exception):
            self._end(interrupted=item)
            raise
        if self._session.shouldfail or self._session.shouldstop:
            self._end(interrupted=None)
        return done

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Run what is owed still: the session was ended between two items."""
        if not self._ending:
            self._ending = True
            self._finals.by_hand(self._last)
        self._restore()

    def _end(self, interrupted: pytest.Item | None) -> None:
        if not self._ending:
            self._ending = True
            self._finals.all_now(interrupted, self._last)


def _interrupt_on_sigterm(config: pytest.Config):  # type: ignore[no-untyped-def]
    """Let SIGTERM, by which CI cancels, end the session as Ctrl-C does.

    Returns:
        A function that puts the former handling back.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt("SIGTERM")

    in_main_thread = threading.current_thread() is threading.main_thread()
    untouched = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if not (in_main_thread and untouched) or hasattr(config, "workerinput"):
        return lambda: None
    signal.signal(signal.SIGTERM, interrupt)
    return lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL)
