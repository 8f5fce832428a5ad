"""Status line of running steps, and lines for lock waits.

A thread writes the status line, because the main thread waits for the step. The thread does not
run during user code in this process, because that code may fork. A controller of xdist runs no
user code; its workers send it the events of their steps.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.execution.notifications import AttemptStarted
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.reporting.running_steps import RunningSteps
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import AnyEvent
    from pytest_orchestrator.execution.locks.locks import LockWait
    from pytest_orchestrator.execution.notifications import RecordedEvent
    from pytest_orchestrator.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.reports.terminal.status_line import RunningStep
    from pytest_orchestrator.runs.folder import RunFolder

NAME = "orchestrator-progress"

_INTERVAL = 0.5
_INTERVAL_WITHOUT_TERMINAL = 5.0
_BEAT = 60.0
_DOWN, _UP_TO = "\n\r\x1b[K", "\x1b[A\r"


def start_progress(config: pytest.Config, nodes: set[str]) -> None:
    """Register the status line if the session has an output that can show it.

    Args:
        config: The configuration of the session; in a session with workers of xdist, that of the
            controller.
        nodes: The node ids of the steps of the session.
    """
    if config.get_verbosity() < 0 or config.option.collectonly or not nodes:
        return
    if hasattr(config, "workerinput") or config.getoption("capture", "") in ("no", "tee-sys"):
        return
    if config.getoption("usepdb", False) or config.getoption("trace", False):
        return
    if _logs_live(config):
        return
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or not type(terminal).__module__.startswith("_pytest."):
        return  # pytest-sugar and pytest-rich draw the terminal themselves
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    with contextlib.suppress(OSError, AttributeError):
        with capture.global_and_fixture_disabled():
            out = os.dup(1)
        config.add_cleanup(lambda: os.close(out))
        writer: Any = config.get_terminal_writer()
        progress = Progress(
            nodes,
            out,
            lambda: int(writer.width_of_current_line),
            state_of(config).folder,
            is_verbose=config.get_verbosity() > 0,
            is_distributed=config.getoption("dist", "no") != "no",
        )
        config.pluginmanager.register(progress, NAME)
        if progress.is_terminal:
            config.pluginmanager.register(_HiddenLine(progress))


def _logs_live(config: pytest.Config) -> bool:
    if config.getoption("log_cli_level", None):
        return True
    try:
        return bool(config.getini("log_cli"))
    except (KeyError, ValueError):  # -p no:logging
        return False


def progress_of(config: pytest.Config) -> "Progress | None":
    """Return the status line plugin of a session, or None if the session has none."""
    progress: Progress | None = config.pluginmanager.get_plugin(NAME)
    return progress


class _HiddenLine(Plugin):
    """Plugin that hides the status line while pytest or xdist writes to the terminal."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None, object, object]:
        """Hide the status line while pytest writes the name of a file or an item."""
        with self._progress.silence():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None, object, object]:
        """Hide the status line while pytest writes the outcome of an item."""
        with self._progress.silence():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logfinish(self) -> Generator[None, object, object]:
        """Hide the status line while pytest writes how much of the session is done."""
        with self._progress.silence():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True, optionalhook=True)
    def pytest_testnodeready(self) -> Generator[None, object, object]:
        """Hide the status line while xdist writes about a worker that has started."""
        with self._progress.silence():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True, optionalhook=True)
    def pytest_testnodedown(self) -> Generator[None, object, object]:
        """Hide the status line while xdist writes about a worker that has ended."""
        with self._progress.silence():
            return (yield)


def silence(config: pytest.Config) -> "contextlib.AbstractContextManager[None]":
    """Hide the status line inside the with block, which writes to the terminal."""
    progress = progress_of(config)
    return contextlib.nullcontext() if progress is None else progress.silence()


class Progress(Plugin):
    """Status line of the running steps; without a terminal, one line a minute.

    Args:
        nodes: The node ids of the steps.
        out: File descriptor of the output of pytest.
        column: Function that returns the column of the cursor, from 0.
        folder: The folder of the run.
        is_verbose: True if pytest begins the line of an item with its node id (``-v``).
        is_distributed: True if the steps run in workers of xdist.

    Attributes:
        steps: The running steps.
        is_terminal: True if the output is a terminal that can move its cursor.
    """

    def __init__(
        self,
        nodes: set[str],
        out: int,
        column: Callable[[], int],
        folder: "RunFolder",
        *,
        is_verbose: bool = False,
        is_distributed: bool = False,
    ) -> None:
        self.steps = RunningSteps(folder)
        self.is_terminal = os.isatty(out) and os.environ.get("TERM") != "dumb"
        self._nodes, self._out, self._column = nodes, out, column
        self._is_verbose, self._is_distributed = is_verbose, is_distributed
        self._done: set[str] = set()
        self._lock = threading.RLock()
        self._over = InterruptibleEvent()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._has_ended = False
        self._item = ""
        self._is_shown = False
        self._is_broken = False
        self._last_beat = 0.0

    def happened(self, recipe: "Recipe", event: "RecordedEvent") -> None:
        """Process an event of a step in this process; any thread may call this.

        An inline step is not shown: it stops the thread that draws the status line.
        """
        if isinstance(event, AttemptStarted):
            if _is_inline(recipe, event.step):
                self._stop()
                return
            self._start()
        self.steps.happened(recipe, event)

    def reported(self, event: "AnyEvent") -> None:
        """Process an event that an xdist worker sent for the journal; any thread may call this."""
        self.steps.reported(event)
        self._start()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Store the item; stop the thread before a test in this process that is no step."""
        if nodeid not in self._nodes and not self._is_distributed:
            self._stop()
        if self._is_broken:
            self._continue_line()
        self._item = nodeid

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count an item as done after its teardown."""
        if self._is_broken:
            self._continue_line()
        if report.when == "teardown":
            self._done.add(report.nodeid)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """End the thread of the status line and erase the line; later steps are not shown."""
        self._stop(is_end=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End the thread of the status line and erase the line; later steps are not shown."""
        self._stop(is_end=True)

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Erase the status line; write no status line inside the with block."""
        with self._lock:
            self._erase()
            if self._is_broken:
                self._continue_line()
            yield

    def update(self) -> None:
        """Write the status of the running steps, if one has run for half a second."""
        steps = self.steps.shown()
        if not steps or steps[0].seconds < _INTERVAL:
            self._erase()
        elif self.is_terminal:
            self._show(steps)
        else:
            self._beat(steps)

    def _start(self) -> None:
        if self._thread is None:
            self._start_thread()

    def _start_thread(self) -> None:
        with self._starting:
            if self._thread is None and not self._has_ended:
                self._over.clear()
                thread = threading.Thread(target=self._refresh, name=NAME, daemon=True)
                with contextlib.suppress(RuntimeError):  # the system has no more threads: no line
                    thread.start()
                    self._thread = thread

    def _stop(self, *, is_end: bool = False) -> None:
        with self._starting:
            self._has_ended = self._has_ended or is_end
            self._over.set()
            if self._thread is not None:
                self._thread.join()
                self._thread = None
        with self._lock:
            self.steps.clear()
            self._erase()

    def _refresh(self) -> None:
        # A fixed interval: short steps never wake this thread.
        interval = _INTERVAL if self.is_terminal else _INTERVAL_WITHOUT_TERMINAL
        while not self._over.wait(interval):
            with self._lock, contextlib.suppress(OSError):
                self.update()

    def _show(self, steps: "list[RunningStep]") -> None:
        from pytest_orchestrator.reports.terminal.status_line import last_line, status

        total, width = len(self._nodes), self._width()
        place = f"{min(len(self._done & self._nodes) + 1, total):,}/{total:,}"
        memory = _memory(4 if self._is_distributed else 3)
        line = status(place, steps, memory, last_line(self.steps.output()), width - 1)
        self._write(_DOWN + line + self._back(width))
        self._is_shown = True

    def _beat(self, steps: "list[RunningStep]") -> None:
        from pytest_orchestrator.reports.terminal.status_line import heartbeat

        now = monotonic()
        if min(steps[0].seconds, now - self._last_beat) < _BEAT:
            return
        self._last_beat = now
        line = heartbeat(steps, len(self._done & self._nodes), len(self._nodes))
        # pytest still reports the column of its own line until it writes again.
        is_at_start = self._is_broken or self._column() == 0
        self._write(f"{'' if is_at_start else chr(10)}{line}\n")
        self._is_broken = True

    def _continue_line(self) -> None:
        """After a line without a terminal, move to the column where pytest continues its line.

        The path of the file, or with ``-v`` the node id of the step, is written again. With ``-v``,
        xdist continues no line.
        """
        self._is_broken = False
        if self._is_verbose and self._is_distributed:
            return
        column = self._column()
        begin = self._item if self._is_verbose else self._item.partition("::")[0]
        text = f"{begin} " if len(begin) < column and not self._is_distributed else ""
        with contextlib.suppress(OSError):
            self._write(text.ljust(column))

    def _erase(self) -> None:
        if self._is_shown:
            self._is_shown = False
            with contextlib.suppress(OSError):
                self._write(_DOWN + self._back(self._width()))

    def _back(self, width: int) -> str:
        """Return the sequence that moves to the end of pytest's line, which may be wrapped."""
        column = self._column()
        column = (column - 1) % width + 1 if column else 0
        return _UP_TO + (f"\x1b[{column}C" if column else "")

    def _width(self) -> int:
        """Return the width of the terminal; ``COLUMNS`` replaces it, as for pytest."""
        columns = os.environ.get("COLUMNS", "")
        if columns.isdecimal() and int(columns):
            return int(columns)
        with contextlib.suppress(OSError):
            return os.get_terminal_size(self._out).columns or 80
        return 80

    def _write(self, text: str) -> None:
        os.write(self._out, text.encode(errors="backslashreplace"))


def _is_inline(recipe: "Recipe", step: "Step") -> bool:
    """Return True if the step code runs in this process."""
    return bool(recipe.fixtures or step.fixtures) or getattr(step, "isolation", "") == "inline"


def _memory(depth: int) -> int | None:
    """Return the resident memory of all processes of steps in bytes, or None if unknown.

    Args:
        depth: Number of generations from this process to the first process of a step.
    """
    from pytest_orchestrator.execution.supervision import os_support

    with contextlib.suppress(OSError, ValueError):
        below = [os.getpid()]
        for _ in range(depth):
            below = [child for pid in below for child in os_support.children(pid)]
        found = list(below)
        for pid in found:
            found.extend(os_support.children(pid))
        sizes = (os_support.contents(f"/proc/{pid}/statm").split() for pid in found)
        pages = [int(size[1]) for size in sizes if size]
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") if pages else None
    return None


def wait_printer(config: pytest.Config) -> "Callable[[LockWait], None]":
    """Return a function that prints a line for a lock wait, except with ``-q``.

    A worker of xdist has no terminal. There the function prints to stderr, with ``-q`` too, and
    pytest adds the line to the report of the item.
    """

    def print_wait(wait: "LockWait") -> None:
        if hasattr(config, "workerinput"):
            print(f"orchestrator: {wait}", file=sys.stderr)  # noqa: T201 - it is in the report
        elif config.get_verbosity() >= 0:
            print_line(config, str(wait))

    return print_wait


def print_line(config: pytest.Config, text: str, *, after_signal: bool = False) -> None:
    """Write a line to the terminal; `after_signal` puts it below the ``^C`` of the terminal."""
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:
        return
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    # The line must not become a part of the captured output of a step.
    within = capture.global_and_fixture_disabled() if capture else nullcontext()
    with silence(config), within:
        terminal.write("\n") if after_signal else terminal.ensure_newline()
        terminal.write_line(f"orchestrator: {text}")
        terminal.flush()
