"""Status line of running steps: in place on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import os
import pty
import re
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.events import RecipeStarted, StepFinished, StepStarted
from pytest_orchestrator.core.result import Failure, StepResult
from pytest_orchestrator.execution.notifications import AttemptStarted, Finished, RetryScheduled
from pytest_orchestrator.plugin.reporting import progress
from pytest_orchestrator.plugin.reporting.progress import Progress
from pytest_orchestrator.recipe import load
from pytest_orchestrator.runs.folder import RunFolder
from tests.plugin.screen import Terminal, plain, rows
from tests.plugin.terminal import Size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_orchestrator.execution.notifications import RecordedEvent
    from pytest_orchestrator.recipe import Recipe
    from tests.plugin.conftest import Project
    from tests.plugin.fork_server import ForkServer

_STEPS = """
steps:
  - {name: flash, type: shell, cmd: flash, retry: {attempts: 4}}
  - {name: burn_in, type: shell, cmd: burn, needs: []}
  - {name: inside, type: python, module: x, function: y, isolation: inline}
"""


class Bench:
    """Progress of a recipe, its output, and a clock that the test sets."""

    def __init__(self, recipe: Recipe, run: RunFolder, out: int) -> None:
        self.recipe, self.logs, self.now = recipe, run.logs(recipe), 100.0
        self.written: list[str] = []
        self.nodes = {recipe.node(step.name) for step in recipe.steps}
        self.column = 7
        self.progress = Progress(self.nodes, out, lambda: self.column, run)

    def start(
        self, name: str, attempt: int = 1, element: int | None = None, elements: int | None = None
    ) -> None:
        self.happened(AttemptStarted(self.recipe.step(name), attempt, element, elements))

    def finish(self, name: str) -> None:
        self.happened(Finished(self.recipe.step(name), StepResult(step=name, outcome="passed")))

    def happened(self, event: RecordedEvent) -> None:
        self.progress.happened(self.recipe, event)

    def reported(self, name: str) -> None:
        """Report the teardown of a step, as pytest does."""
        report = pytest.TestReport(
            self.recipe.node(name), ("", 1, ""), {}, "passed", None, "teardown"
        )
        self.progress.pytest_runtest_logreport(report)

    def advance(self, seconds: float) -> str:
        """Advance the clock and update; return the output."""
        self.now += seconds
        self.progress.update()
        return self.rest()

    def line(self, seconds: float) -> str:
        """Advance the clock and update; return the text of the status line."""
        return re.sub(r"\x1b\[(?:\d*[ACK])|[\r\n]", "", self.advance(seconds))

    def write(self, column: int) -> str:
        """Write as pytest does when an item has been reported; return what is written before."""
        with self.progress.silence():
            before = self.rest()
        self.column = column
        return before

    def rest(self) -> str:
        """Return the output since the last call."""
        text = "".join(self.written)
        self.written.clear()
        return text


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    path = tmp_path / "recipes/x.yaml"
    path.parent.mkdir()
    path.write_text(_STEPS)
    return load(path, root=tmp_path)


@pytest.fixture(params=["terminal", "file"])
def bench(
    recipe: Recipe,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Bench]:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty() if request.param == "terminal" else os.pipe()
    made = Bench(recipe, RunFolder(tmp_path, "run"), theirs)
    made.logs.mkdir(parents=True)
    monkeypatch.setattr(progress, "monotonic", lambda: made.now)
    monkeypatch.setattr(progress, "_memory", lambda _: 41_300_000)
    monkeypatch.setattr(Progress, "_start", lambda _: None)
    # A terminal passes its output on after a while.
    monkeypatch.setattr(Progress, "_write", lambda _, text: made.written.append(text))
    yield made
    made.progress.pytest_sessionfinish()
    os.close(ours)
    os.close(theirs)


on_a_terminal = pytest.mark.parametrize("bench", ["terminal"], indirect=True)
without_a_terminal = pytest.mark.parametrize("bench", ["file"], indirect=True)


@pytest.mark.counted
@on_a_terminal
def test_the_status_line_is_below_the_line_that_pytest_writes(bench: Bench) -> None:
    (bench.logs / "flash.1.stdout").write_text("old")
    (bench.logs / "flash.2.stderr").write_text("settling, 1 of 2\nsettling, 2 of 2\n")
    bench.reported("burn_in")
    bench.start("flash")

    assert bench.advance(0.4) == ""
    line = '[2/3] flash 00:03  41 MB  "settling, 2 of 2"'
    assert bench.advance(3) == f"\n\r\x1b[K{line}\x1b[A\r\x1b[7C"
    bench.start("burn_in")
    assert bench.line(1) == '[2/3] flash 00:04, burn_in 00:01  41 MB  "settling, 2 of 2"'
    bench.finish("flash")
    assert bench.line(0.5) == "[2/3] burn_in 00:01  41 MB"
    with bench.progress.silence():
        assert bench.rest() == "\n\r\x1b[K\x1b[A\r\x1b[7C"
    with bench.progress.silence():
        assert bench.rest() == ""
    bench.finish("burn_in")
    assert bench.advance(60) == ""


@on_a_terminal
def test_the_status_line_shows_the_element_of_a_loop_and_its_output(bench: Bench) -> None:
    (bench.logs / "flash.6.1.stdout").write_text("6.5 V\n")
    bench.start("flash", elements=40)
    assert bench.line(1) == "[1/3] flash 00:01  41 MB"
    bench.start("flash", element=6)

    assert bench.line(2) == '[1/3] flash [7/40] 00:03  41 MB  "6.5 V"'
    bench.start("flash", element=7)
    assert bench.line(1) == "[1/3] flash [8/40] 00:04  41 MB"


@on_a_terminal
def test_the_status_line_shows_the_attempt_of_a_retry(bench: Bench) -> None:
    failure = Failure(kind="criterion", reason="exit code 1, expected 0")
    bench.start("flash")
    bench.now += 5
    bench.happened(RetryScheduled(bench.recipe.step("flash"), 1, failure, 20.0))

    assert bench.line(1) == "[1/3] flash (attempt 2 of 4 in 00:19) 00:06  41 MB"
    bench.start("flash", attempt=2)
    assert bench.line(1) == "[1/3] flash (attempt 2 of 4) 00:07  41 MB"


@on_a_terminal
def test_the_steps_of_workers_are_shown_from_the_events_that_they_send(bench: Bench) -> None:
    cell = bench.logs.with_name("y") / "volt=3"
    cell.mkdir(parents=True)
    (cell / "ramp.2.1.stdout").write_text("3.3 V\n")
    key, about = "recipes/y.yaml[volt:3]", {"path": "recipes/y.yaml", "cell": "volt:3"}
    bench.progress.reported(RecipeStarted(recipe=key, about=about, steps=()))
    bench.progress.reported(StepStarted(recipe=key, step="ramp", elements=500))
    bench.progress.reported(StepStarted(recipe=key, step="ramp", element=2, worker="gw1"))
    bench.progress.reported(StepStarted(recipe="recipes/z.yaml", step="flash", attempt=2))

    assert bench.line(2) == '[1/3] ramp [3/500] 00:02, flash (attempt 2) 00:02  41 MB  "3.3 V"'
    for recipe, name in ((key, "ramp"), ("recipes/z.yaml", "flash")):
        end = StepFinished(recipe=recipe, step=name, outcome="passed", meets=True, block={})
        bench.progress.reported(end)
    assert bench.advance(9) == "\n\r\x1b[K\x1b[A\r\x1b[7C"


@on_a_terminal
def test_the_status_line_has_the_width_of_the_terminal_and_follows_a_wrapped_line(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl
    import struct
    import termios

    out = bench.progress._out  # noqa: SLF001 # the terminal of the test
    monkeypatch.delenv("COLUMNS")
    fcntl.ioctl(out, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    (bench.logs / "flash.1.stdout").write_text("s" * 200)
    bench.start("flash")

    bench.column = 90
    assert bench.advance(1) == (
        f'\n\r\x1b[K[1/3] flash 00:01  41 MB  "{"s" * 20}…"\x1b[A\r\x1b[40C'
    )
    bench.column = 100
    assert bench.advance(1).endswith("\x1b[A\r\x1b[50C")
    monkeypatch.setenv("COLUMNS", "30")
    assert bench.line(1) == "[1/3] flash 00:03  41 MB"


@pytest.mark.counted
@without_a_terminal
def test_without_a_terminal_a_line_is_written_every_minute_between_whole_lines(
    bench: Bench,
) -> None:
    node = bench.recipe.node("flash")
    bench.progress.pytest_runtest_logstart(node)
    bench.column = 16
    bench.start("flash", elements=500)
    bench.start("flash", element=6)

    assert bench.advance(59.9) == ""
    assert bench.advance(0.1) == "\norchestrator: flash [7/500] runs for 01:00 (0 of 3 done)\n"
    assert bench.advance(59.9) == ""
    assert bench.advance(0.1) == "orchestrator: flash [7/500] runs for 02:00 (0 of 3 done)\n"
    bench.finish("flash")
    bench.reported("flash")
    assert bench.write(17) == "recipes/x.yaml  "
    assert bench.write(18) == ""
    bench.start("burn_in")
    assert bench.advance(59.9) == ""
    assert bench.advance(0.1) == "\norchestrator: burn_in runs for 01:00 (1 of 3 done)\n"
    assert bench.write(0) == "recipes/x.yaml    "
    assert bench.advance(60) == "orchestrator: burn_in runs for 02:00 (1 of 3 done)\n"
    assert bench.write(0) == ""


@without_a_terminal
@pytest.mark.parametrize(
    ("verbose", "distributed", "column", "begin"),
    [
        (False, False, 15, "recipes/x.yaml "),
        (False, False, 9, " " * 9),
        (False, True, 30, " " * 30),
        (True, False, 22, "recipes/x.yaml::flash "),
        (True, True, 22, ""),
    ],
)
def test_after_such_a_line_pytest_continues_its_own_line(
    bench: Bench, verbose: bool, distributed: bool, column: int, begin: str
) -> None:
    bench.progress._is_verbose = verbose  # noqa: SLF001
    bench.progress._is_distributed = distributed  # noqa: SLF001
    bench.progress.pytest_runtest_logstart(bench.recipe.node("flash"))
    bench.column = column
    bench.start("flash")
    bench.advance(60)

    assert bench.write(0) == begin


@without_a_terminal
def test_a_parallel_step_that_has_ended_is_not_shown_as_running(bench: Bench) -> None:
    bench.start("burn_in")
    bench.now += 1
    bench.start("flash")
    bench.finish("burn_in")

    assert bench.advance(60) == "\norchestrator: flash runs for 01:00 (0 of 3 done)\n"
    bench.finish("flash")
    assert bench.advance(60) == ""


def test_nothing_is_written_while_user_code_runs_in_this_process(bench: Bench) -> None:
    bench.start("flash")
    bench.start("inside")

    assert bench.advance(100) == ""


def test_a_test_that_is_no_step_ends_the_thread_unless_it_runs_in_a_worker(bench: Bench) -> None:
    bench.start("flash")
    bench.progress._is_distributed = True  # noqa: SLF001
    bench.progress.pytest_runtest_logstart("test_x.py::test_x")
    assert bench.advance(100) != ""
    bench.write(7)

    bench.progress._is_distributed = False  # noqa: SLF001
    bench.progress.pytest_runtest_logstart("test_x.py::test_x")
    bench.rest()

    assert bench.advance(100) == ""


def test_events_after_the_end_of_the_session_start_no_thread(
    recipe: Recipe, tmp_path: Path
) -> None:
    read, write = os.pipe()
    line = Progress(set(), write, lambda: 0, RunFolder(tmp_path, "run"))
    event = StepStarted(recipe="recipes/x.yaml", step="flash")

    def runs() -> bool:
        return any(thread.name == progress.NAME for thread in threading.enumerate())

    line.reported(event)
    assert runs()
    line.pytest_sessionfinish()
    line.reported(event)
    line.happened(recipe, AttemptStarted(recipe.step("burn_in"), 1))
    assert not runs()
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("bench", ["terminal"], indirect=True)
def test_a_terminal_without_cursor_movements_is_no_terminal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    out = bench.progress._out  # noqa: SLF001

    assert bench.progress.is_terminal
    assert not Progress(set(), out, lambda: 0, RunFolder(bench.logs, "run")).is_terminal


_SHOWN = """
def pytest_unconfigure(config):
    print("shown:", config.pluginmanager.has_plugin("orchestrator-progress"))
"""


def test_options_that_use_the_terminal_switch_the_status_line_off(project: Project) -> None:
    project.by_shell = True
    project.write("conftest.py", _SHOWN)
    project.recipe("x", {"a": ""})

    def shown(*args: str) -> str:
        lines = project.run(*args).outlines
        return next(line for line in lines if "shown:" in line).partition("shown: ")[2]

    options = ["-v", "--recipe-jobs=2", "-n1", "-q", "-s", "--log-cli-level=INFO", "--pdb"]
    assert {option: shown(option) for option in options} == {
        "-v": "True",
        "--recipe-jobs=2": "True",
        "-n1": "True",
        "-q": "False",
        "-s": "False",
        "--log-cli-level=INFO": "False",
        "--pdb": "False",
    }


_WAITS = "type: shell, cmd: bin/settle, parse: text"
_RAMP = f"{_WAITS}, foreach: '${{{{ [1, 2] }}}}'"


@pytest.mark.skipif(sys.platform != "linux", reason="the fork server needs Linux")
@pytest.mark.parametrize(
    ("args", "pattern"),
    [
        ((), r"\[1/3\] ramp \[1/2\] 00:\d\d(  \d+ MB)?  \"settling, 3 of 10\""),
        (
            ("--recipe-jobs=2",),
            r"\[1/3\] (ramp \[1/2\]|two) 00:\d\d, (ramp \[1/2\]|two) 00:\d\d.*  \"settling",
        ),
        (("-n2",), r"\[1/3\] (ramp \[1/2\]|six) 00:\d\d, (ramp \[1/2\]|six) 00:\d\d"),
    ],
)
def test_a_terminal_shows_the_running_steps_until_they_end(
    project: Project, fork_server: ForkServer, args: tuple[str, ...], pattern: str
) -> None:
    project.by_shell = True
    project.script(
        "bin/settle",
        """
        #!/bin/sh
        echo "settling, 3 of 10" >&2
        while [ ! -e go ]; do sleep 0.05; done
        """,
    )
    project.recipe("x", {"ramp": _RAMP, "two": f"{_WAITS}, needs: []"})
    project.recipe("y", {"six": _WAITS})
    terminal = Terminal(fork_server, *args, size=Size(100, 40))

    terminal.wait_for(re.compile(pattern))
    (project.path / "go").touch()

    assert terminal.status() == 0
    screen = "\n".join(map(plain, rows(terminal.raw.decode(), 100)))
    assert "3 passed" in screen
    assert "settling" not in screen
