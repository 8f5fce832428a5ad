"""Status line of running steps, and lines for lock waits.

A thread writes the status line, because the main thread waits for the step. The thread does not
run during user code in this process, because that code may fork.
"""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_orchestrator.core.files import step_file_name

if TYPE_CHECKING:
    from pytest_orchestrator.execution.locks.locks import LockWait
    from pytest_orchestrator.execution.notifications import StepEvent
    from pytest_orchestrator.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step

NAME = "orchestrator-progress"

_INTERVAL = 0.5
_BEAT = 30.0
_TAIL = 4096
_DOWN, _UP_TO = b"\n\r\x1b[K", "\x1b[A\r"


class _RunningStep(NamedTuple):
    """A step that has started: name, start (monotonic), path of its logs without suffix.

    A parallel step may be over before the main thread removes it; `is_over` then returns True.
    """

    name: str
    since: float
    logs: str
    is_over: Callable[[], bool]


def start_progress(session: pytest.Session, nodes: set[str]) -> None:
    """Register the status line if the session has a terminal that can show it.

    Args:
        session: The session.
        nodes: The node ids of its steps.
    """
    config = session.config
    if config.get_verbosity() < 0 or config.option.collectonly or not nodes:
        return
    if config.getoption("dist", "no") != "no" or hasattr(config, "workerinput"):
        return
    if config.getoption("capture", "") in ("no", "tee-sys"):
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
        progress = Progress(nodes, out, lambda: int(writer.width_of_current_line))
        config.pluginmanager.register(progress, NAME)


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


def silence(config: pytest.Config) -> "contextlib.AbstractContextManager[None]":
    """Hide the status line inside the with block, which writes to the terminal."""
    progress = progress_of(config)
    return contextlib.nullcontext() if progress is None else progress.silence()


class Progress:
    """Status line of the running steps; without a terminal, a line every 30 s.

    Args:
        nodes: The node ids of the steps.
        out: File descriptor of the terminal.
        column: Function that returns the column of the cursor, from 0.
    """

    def __init__(self, nodes: set[str], out: int, column: Callable[[], int]) -> None:
        self._nodes, self._out, self._column = nodes, out, column
        self._is_terminal = os.isatty(out) and os.environ.get("TERM") != "dumb"
        self._done: set[str] = set()
        self._running: dict[tuple[str, str], _RunningStep] = {}
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_shown = False
        self._last_beat = 0.0
        self._is_broken = False

    def happened(
        self, recipe: "Recipe", logs: Path, is_over: Callable[[str], bool], event: "StepEvent"
    ) -> None:
        """Add a step that starts, name its element of ``foreach``, and remove a finished step.

        An inline step is not added: it stops the thread that draws the status line.

        Args:
            recipe: The recipe.
            logs: The folder of the recipe's logs.
            is_over: Function that returns True if the step of a given name has a result.
            event: The event of a step.
        """
        from pytest_orchestrator.execution.notifications import ElementStarted, Finished, Started

        key = (recipe.key, event.step.name)
        if isinstance(event, Started):
            if _is_inline(recipe, event.step):
                self._stop()
                return
            name = event.step.name
            self._running[key] = _RunningStep(
                name, monotonic(), f"{logs}/{step_file_name(name)}", lambda: is_over(name)
            )
            self._start()
        elif isinstance(event, ElementStarted) and key in self._running:
            self._running[key] = self._running[key]._replace(
                name=f"{event.step.name} {event.element + 1:,}/{event.total:,}",
                logs=f"{logs}/{step_file_name(event.step.name)}.{event.element}",
            )
        elif isinstance(event, Finished):
            self._running.pop(key, None)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> Generator[None, object, object]:
        """Hide the line while pytest writes; stop the thread before a test that is no step."""
        if nodeid not in self._nodes:
            self._stop()
        with self.silence():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None, object, object]:
        """Hide the status line while pytest writes."""
        with self.silence():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> Generator[None, object, object]:
        """Count an item as done; hide the status line while pytest writes."""
        self._done.add(nodeid)
        with self.silence():
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        """Stop the thread of the status line and erase the line."""
        self._stop()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Stop the thread of the status line and erase the line."""
        self._stop()

    @contextlib.contextmanager
    def silence(self) -> Iterator[None]:
        """Erase the status line; write no status line inside the with block."""
        with self._lock:
            self._erase()
            self._is_broken = False
            yield

    def _start(self) -> None:
        if self._thread is None:
            self._over.clear()
            thread = threading.Thread(target=self._refresh, name=NAME, daemon=True)
            with contextlib.suppress(RuntimeError):  # the system has no more threads: no line
                thread.start()
                self._thread = thread

    def _stop(self) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        with self._lock:
            self._running.clear()
            self._erase()

    def _refresh(self) -> None:
        # A fixed interval: short steps never wake this thread.
        while not self._over.wait(_INTERVAL):
            with self._lock, contextlib.suppress(OSError):
                self.update()

    def update(self) -> None:
        """Write the status of the step that has run longest, if it has run for half a second."""
        all_running = [one for one in self._running.copy().values() if not one.is_over()]
        running = min(all_running, key=lambda one: one.since, default=None)
        now = monotonic()
        if running is None or now - running.since < _INTERVAL:
            self._erase()
            return
        more = len(all_running) - 1
        named = f"{running.name} and {more} more" if more else running.name
        if self._is_terminal:
            self._show(running, named, now - running.since)
        elif now - max(running.since, self._last_beat) >= _BEAT:
            from pytest_orchestrator.reports.terminal.status_line import heartbeat

            self._last_beat = now
            counts = len(self._done & self._nodes), len(self._nodes)
            line = heartbeat(named, now - running.since, *counts)
            # pytest still reports the column of its row of dots until it writes again.
            is_new = self._is_broken or self._column() == 0
            self._write(f"{'' if is_new else chr(10)}{line}\n")
            self._is_broken = True

    def _show(self, running: _RunningStep, named: str, seconds: float) -> None:
        import shutil

        from pytest_orchestrator.reports.terminal.status_line import last_line, status

        total = len(self._nodes)
        place = f"{min(len(self._done & self._nodes) + 1, total)}/{total}"
        width = shutil.get_terminal_size().columns - 1
        printed = last_line(_tail(running.logs))
        line = status(place, named, seconds, _memory(), printed, width)
        self._write(_DOWN.decode() + line + self._back())
        self._is_shown = True

    def _erase(self) -> None:
        if self._is_shown:
            self._is_shown = False
            with contextlib.suppress(OSError):
                self._write(_DOWN.decode() + self._back())

    def _back(self) -> str:
        column = self._column()
        return _UP_TO + (f"\x1b[{column}C" if column else "")

    def _write(self, text: str) -> None:
        os.write(self._out, text.encode(errors="backslashreplace"))


def _is_inline(recipe: "Recipe", step: "Step") -> bool:
    """Return True if the step code runs in this process."""
    return bool(recipe.fixtures or step.fixtures) or getattr(step, "isolation", "") == "inline"


def _tail(logs: str) -> bytes:
    """Return the last 4 kB of a step's newest log file, stdout or stderr; empty without logs."""
    number = 1
    while any(os.path.exists(f"{logs}.{number + 1}.{end}") for end in ("stdout", "stderr")):  # noqa: PTH110
        number += 1
    found = []
    for end in ("stdout", "stderr"):
        path = f"{logs}.{number}.{end}"
        with contextlib.suppress(OSError):
            found.append((os.stat(path).st_mtime_ns, path))  # noqa: PTH116
    if not found:
        return b""
    with Path(max(found)[1]).open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL))
        return file.read()


def _memory() -> int | None:
    """Return the resident memory of all processes of steps in bytes, or None if unknown."""
    from pytest_orchestrator.execution.supervision import os_support

    with contextlib.suppress(OSError, ValueError):
        below = [os.getpid()]
        for _ in range(3):
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
