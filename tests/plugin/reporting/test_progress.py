"""Status line of a running step: only on a terminal, in place, and never mixed with output."""

from __future__ import annotations

import os
import pty
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.execution.notifications import ElementStarted, Finished, Started
from pytest_orchestrator.plugin.reporting import progress
from pytest_orchestrator.plugin.reporting.progress import Progress
from pytest_orchestrator.recipe import load
from tests.plugin.conftest import PYTEST

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_orchestrator.execution.notifications import StepEvent
    from pytest_orchestrator.recipe import Recipe
    from tests.plugin.conftest import Project

_STEPS = """
steps:
  - {name: flash, type: shell, cmd: flash}
  - {name: burn_in, type: shell, cmd: burn, needs: []}
  - {name: inside, type: python, module: x, function: y, isolation: inline}
"""


class Bench:
    """Progress of a recipe, its output, and a clock that the test sets."""

    def __init__(self, recipe: Recipe, logs: Path, written: int, out: int) -> None:
        self.recipe, self.logs, self.now, self._written = recipe, logs, 100.0, written
        self.nodes = {recipe.node(step.name) for step in recipe.steps}
        self.progress = Progress(self.nodes, out, lambda: 7)
        self.over: set[str] = set()

    def start(self, name: str) -> None:
        self._happened(Started(self.recipe.step(name)))

    def element(self, name: str, index: int, total: int) -> None:
        self._happened(ElementStarted(self.recipe.step(name), index, total))

    def finish(self, name: str) -> None:
        result = StepResult(step=name, outcome="passed")
        self._happened(Finished(self.recipe.step(name), result))

    def _happened(self, what: StepEvent) -> None:
        self.progress.happened(self.recipe, self.logs, self.over.__contains__, what)

    def advance(self, seconds: float) -> str:
        """Advance the clock and update; return the output."""
        self.now += seconds
        self.progress.update()
        return self.rest()

    def rest(self) -> str:
        os.set_blocking(self._written, False)
        try:
            return os.read(self._written, 10_000).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    path = tmp_path / "x.yaml"
    path.write_text(_STEPS)
    return load(path, root=tmp_path)


@pytest.fixture(params=["terminal", "file"])
def bench(
    recipe: Recipe, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty() if request.param == "terminal" else os.pipe()
    made = Bench(recipe, recipe.path.parent, ours, theirs)
    monkeypatch.setattr(progress, "monotonic", lambda: made.now)
    monkeypatch.setattr(progress, "_memory", lambda: 41_300_000)
    monkeypatch.setattr(Progress, "_start", lambda _: None)
    yield made
    made.progress.pytest_sessionfinish()
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("bench", ["terminal"], indirect=True)
def test_the_status_line_is_below_the_line_that_pytest_writes(bench: Bench) -> None:
    (bench.logs / "flash.1.stdout").write_text("old")
    (bench.logs / "flash.2.stderr").write_text("settling, 1 of 2\nsettling, 2 of 2\n")
    next(bench.progress.pytest_runtest_logfinish(next(iter(bench.nodes))))
    bench.start("flash")

    assert bench.advance(0.4) == ""
    line = '[2/3] flash 00:03  41 MB  "settling, 2 of 2"'
    assert bench.advance(3) == f"\r\n\r\x1b[K{line}\x1b[A\r\x1b[7C"
    bench.start("burn_in")
    assert "[2/3] flash and 1 more 00:04" in bench.advance(1)
    bench.finish("flash")
    assert "[2/3] burn_in 00:01 " in bench.advance(0.5)
    with bench.progress.silence():
        assert bench.rest() == "\r\n\r\x1b[K\x1b[A\r\x1b[7C"
    with bench.progress.silence():
        assert bench.rest() == ""
    bench.finish("burn_in")
    assert bench.advance(60) == ""


@pytest.mark.parametrize("bench", ["terminal"], indirect=True)
def test_the_status_line_shows_the_element_of_a_loop_and_its_output(bench: Bench) -> None:
    (bench.logs / "flash.6.1.stdout").write_text("6.5 V\n")
    bench.start("flash")
    bench.element("flash", 6, 40)

    assert '[1/3] flash 7/40 00:03  41 MB  "6.5 V"' in bench.advance(3)
    bench.element("flash", 7, 40)
    assert "[1/3] flash 8/40 00:04  41 MB\x1b" in bench.advance(1)
    bench.finish("flash")
    bench.element("flash", 8, 40)
    assert "flash" not in bench.advance(1)
    bench.start("inside")
    bench.element("inside", 0, 40)
    assert bench.advance(1) == ""


@pytest.mark.parametrize("bench", ["file"], indirect=True)
def test_a_line_is_written_every_thirty_seconds_without_a_terminal(bench: Bench) -> None:
    bench.start("flash")

    assert bench.advance(29.9) == ""
    assert bench.advance(0.1) == "\norchestrator: flash runs for 00:30 (0 of 3 done)\n"
    assert bench.advance(29.9) == ""
    assert bench.advance(0.1) == "orchestrator: flash runs for 01:00 (0 of 3 done)\n"
    bench.finish("flash")
    next(bench.progress.pytest_runtest_logreport())
    bench.start("burn_in")
    assert bench.advance(29.9) == ""
    assert bench.advance(0.1) == "\norchestrator: burn_in runs for 00:30 (0 of 3 done)\n"


@pytest.mark.parametrize("bench", ["file"], indirect=True)
def test_a_parallel_step_that_has_ended_is_not_shown_as_running(bench: Bench) -> None:
    bench.start("burn_in")
    bench.now += 1
    bench.start("flash")
    bench.over.add("burn_in")

    assert bench.advance(30) == "\norchestrator: flash runs for 00:30 (0 of 3 done)\n"
    bench.over.add("flash")
    assert bench.advance(60) == ""


def test_nothing_is_written_while_user_code_runs_in_this_process(bench: Bench) -> None:
    bench.start("flash")
    bench.start("inside")

    assert bench.advance(100) == ""


def test_a_test_that_is_no_step_ends_the_thread(bench: Bench) -> None:
    bench.start("flash")
    next(bench.progress.pytest_runtest_logstart("test_x.py::test_x"))

    assert bench.advance(100) == ""


@pytest.mark.parametrize(
    ("option", "is_shown"),
    [("-v", True), ("-q", False), ("-s", False), ("--log-cli-level=INFO", False)],
)
def test_options_that_use_the_terminal_switch_the_status_line_off(
    project: Project, option: str, is_shown: bool
) -> None:
    project.write(
        "conftest.py",
        """
        def pytest_unconfigure(config):
            print("shown:", config.pluginmanager.has_plugin("orchestrator-progress"))
        """,
    )
    project.recipe("x", {"a": ""})

    project.run(option).stdout.fnmatch_lines([f"*shown: {is_shown}"])


@pytest.mark.measured
def test_the_status_line_contains_the_last_output_line_of_the_step(
    project: Project,
) -> None:
    project.script(
        "bin/settle",
        """
        #!/bin/sh
        echo "settling, 3 of 10" >&2
        while [ ! -e go ]; do sleep 0.05; done
        """,
    )
    project.recipe("x", {"settle": "type: shell, cmd: bin/settle, parse: text", "b": ""})
    ours, theirs = pty.openpty()
    environ = os.environ | {"TERM": "xterm"}
    with subprocess.Popen(
        PYTEST,
        cwd=project.path,
        env=environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        close_fds=True,
    ) as process:
        os.close(theirs)
        seen = b""
        deadline = time.monotonic() + 60
        while True:
            try:
                piece = os.read(ours, 10_000)
            except OSError:  # the other end is closed
                break
            seen += piece
            if not piece or time.monotonic() > deadline:
                break
            if b"settling, 3 of 10" in seen:
                (project.path / "go").touch()
        process.kill()
    os.close(ours)

    assert b"[1/2] settle 00:" in seen
    assert b"recipes/x.yaml  passed  2 steps" in seen.replace(b"\x1b[32m", b"").replace(
        b"\x1b[0m", b""
    )
    assert b"2 passed" in seen
