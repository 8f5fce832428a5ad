"""GitHub reporter of a session.

GitHub obeys each line of the log that begins with ``::``, whatever blanks are before it, and each
one with ``##[``. Where pytest shows the output of tests, commands are stopped by a token that no
test knows.
"""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.plugin.results import blocks as result_blocks

_MOST_SHOWN = 20


def join(config: pytest.Config) -> None:
    """Tell it, where this is a job of GitHub and nobody has switched this off."""
    if os.environ.get("GITHUB_ACTIONS") != "true" or hasattr(config, "workerinput"):
        return
    if config.getini("recipe_github"):
        github, stopped = GitHub(config), _Stopped()
        config.pluginmanager.register(github, "orchestrator-github")
        config.pluginmanager.register(_Shown(github, stopped), "orchestrator-github-shown")
        config.pluginmanager.register(_Between(stopped), "orchestrator-github-between")


class GitHub:
    """Keeps what is to be told, and tells it in the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._problems: list[list[Any]] = []
        self._shown: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what is wrong in a recipe."""
        for problem in getattr(report, result_blocks.PROBLEMS, ()):
            if problem not in self._problems:
                self._problems.append(problem)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what pytest shows of the first steps that failed."""
        is_step = hasattr(report, result_blocks.BLOCK)
        if report.failed and is_step and report.nodeid not in self._shown:
            from pytest_orchestrator.core.text import in_utf8

            known = len(self._shown) < _MOST_SHOWN
            self._shown[report.nodeid] = in_utf8(report.longreprtext) if known else ""

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write annotations below the tables, at the beginnings of lines."""
        for line in self._told():
            terminalreporter.write_line(line)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write them where there is no terminal, too."""
        manager = self._config.pluginmanager
        if manager.has_plugin("terminalreporter"):
            return
        capture: Any = manager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            for line in self._told():
                print(line, flush=True)  # noqa: T201 - a command of the workflow

    @property
    def tells(self) -> bool:
        """There is something to annotate, or to sum up."""
        from pytest_orchestrator.plugin.reporting import tables

        return bool(self._problems or tables.recipes_of(self._config))

    def _told(self) -> list[str]:
        """Write the summary of the job; return the annotations."""
        from pytest_orchestrator.plugin.reporting import tables

        recipes = tables.recipes_of(self._config)
        if not recipes and not self._problems:
            return []
        from pytest_orchestrator.reports import github

        problems = [github.Mark(*problem) for problem in self._problems]
        failures = [one for blocks in recipes.values() for one in github.marks(blocks)]
        lines = github.annotations(failures, problems, self._prefix())
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if path:
            failed = {one.title for one in failures}
            shown = {node: text for node, text in self._shown.items() if node in failed}
            try:
                with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
                    room = github.MOST_BYTES - file.tell()
                    file.write(github.summary(recipes, shown, problems, room))
            except OSError as error:
                lines.append(f"orchestrator: the job summary cannot be written: {error}")
        return lines

    def _prefix(self) -> str:
        """Return the path of the rootdir in the repository, with a slash; empty for its root."""
        workspace = os.environ.get("GITHUB_WORKSPACE")
        if not workspace or not self._config.rootpath.is_relative_to(workspace):
            return ""
        below = self._config.rootpath.relative_to(workspace).as_posix()
        return "" if below == "." else f"{below}/"


class _Stopped:
    """GitHub's commands, which are stopped and go on again; each time with another token."""

    def __init__(self) -> None:
        self.is_used = False
        self._token = ""

    def stop(self, terminal: Any) -> None:
        """Let GitHub obey no line from here on."""
        from secrets import token_hex

        self._token = token_hex(16)
        terminal.ensure_newline()
        terminal.write_line(f"::stop-commands::{self._token}")

    def go_on(self, terminal: Any) -> None:
        """Let GitHub obey again."""
        terminal.ensure_newline()
        terminal.write_line(f"::{self._token}::")


class _Shown:
    """Stops commands before pytest shows failures, and at the end has them go on."""

    def __init__(self, github: GitHub, stopped: _Stopped) -> None:
        self._github, self._stopped = github, stopped

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Iterator[None]:
        """Begin before all others, the reporter of pytest among them, and end after them."""
        if not self._github.tells:
            return (yield)
        self._stopped.is_used = True
        self._stopped.stop(terminalreporter)
        try:
            return (yield)
        finally:
            self._stopped.is_used = False
            self._stopped.go_on(terminalreporter)


class _Between:
    """Has commands go on while plugins write, after the failures and before the short summary."""

    def __init__(self, stopped: _Stopped) -> None:
        self._stopped = stopped

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Iterator[None]:
        """Begin after the reporter of pytest, and end before it goes on."""
        if not self._stopped.is_used:
            return (yield)
        self._stopped.go_on(terminalreporter)
        try:
            return (yield)
        finally:
            self._stopped.stop(terminalreporter)
