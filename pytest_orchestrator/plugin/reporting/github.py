"""GitHub Actions reporter: annotations and job summary.

GitHub Actions executes as a command each line of the log that begins with ``::``, after any
blanks, or contains ``##[``. While pytest prints the output of tests, the command
``::stop-commands::`` with a random token disables commands, so that no test can issue one.
"""

import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.results import blocks as result_blocks

_MOST_SHOWN = 20


def join(config: pytest.Config) -> None:
    """Register the reporter of a GitHub Actions job, unless ``recipe_github`` is false."""
    if config.getini("recipe_github") and not hasattr(config, "workerinput"):
        github, commands = GitHub(config), _StopCommands()
        config.pluginmanager.register(github, "orchestrator-github")
        config.pluginmanager.register(_AroundSummary(github, commands), "orchestrator-github-shown")
        config.pluginmanager.register(_AfterFailures(commands), "orchestrator-github-between")


class GitHub(Plugin):
    """Collector of problems and failures, which writes annotations and the summary at the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._problems: list[list[Any]] = []
        self._failure_texts: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Store the problems of an invalid recipe."""
        for problem in getattr(report, result_blocks.PROBLEMS, ()):
            if problem not in self._problems:
                self._problems.append(problem)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the failure texts of the first 20 failed steps, and the node ids of the others."""
        is_step = hasattr(report, result_blocks.BLOCK)
        if report.failed and is_step and report.nodeid not in self._failure_texts:
            from pytest_orchestrator.core.text import escape_surrogates

            has_room = len(self._failure_texts) < _MOST_SHOWN
            text = escape_surrogates(report.longreprtext) if has_room else ""
            self._failure_texts[report.nodeid] = text

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Write the annotations below the tables, each at the beginning of a line."""
        for line in self._write_summary():
            terminalreporter.write_line(line)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write the annotations to stdout if the session has no terminal reporter."""
        manager = self._config.pluginmanager
        if manager.has_plugin("terminalreporter"):
            return
        capture: Any = manager.get_plugin("capturemanager")
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            for line in self._write_summary():
                print(line, flush=True)  # noqa: T201 - a command of the workflow

    @property
    def has_content(self) -> bool:
        """True if the session has recipes or problems to report."""
        from pytest_orchestrator.plugin.reporting import tables

        return bool(self._problems or tables.recipes_of(self._config))

    def _write_summary(self) -> list[str]:
        """Write the job summary; return the lines of the annotations."""
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
            texts = {node: text for node, text in self._failure_texts.items() if node in failed}
            try:
                with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
                    room = github.MOST_BYTES - file.tell()
                    file.write(github.summary(recipes, texts, problems, room))
            except OSError as error:
                lines.append(f"orchestrator: the job summary cannot be written: {error}")
        return lines

    def _prefix(self) -> str:
        """Return the rootdir's path in the repository, plus a slash; empty if top or outside."""
        workspace = os.environ.get("GITHUB_WORKSPACE")
        if not workspace or not self._config.rootpath.is_relative_to(workspace):
            return ""
        below = self._config.rootpath.relative_to(workspace).as_posix()
        return "" if below == "." else f"{below}/"


class _StopCommands:
    """Writer of the command ``::stop-commands::`` and of its end, with a new token each time."""

    def __init__(self) -> None:
        self.is_used = False
        self._token = ""

    def stop(self, terminal: Any) -> None:
        """Disable workflow commands until `resume`."""
        from secrets import token_hex

        self._token = token_hex(16)
        terminal.ensure_newline()
        terminal.write_line(f"::stop-commands::{self._token}")

    def resume(self, terminal: Any) -> None:
        """Enable workflow commands again."""
        terminal.ensure_newline()
        terminal.write_line(f"::{self._token}::")


class _AroundSummary(Plugin):
    """Outermost wrapper of pytest's terminal summary, during which it disables commands."""

    def __init__(self, github: GitHub, commands: _StopCommands) -> None:
        self._github, self._commands = github, commands

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Iterator[None]:
        """Disable workflow commands before plugins write their sections; enable them at the end."""
        if not self._github.has_content:
            return (yield)
        self._commands.is_used = True
        self._commands.stop(terminalreporter)
        try:
            return (yield)
        finally:
            self._commands.is_used = False
            self._commands.resume(terminalreporter)


class _AfterFailures(Plugin):
    """Innermost wrapper, which enables commands between pytest's failures and its short summary."""

    def __init__(self, commands: _StopCommands) -> None:
        self._commands = commands

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Iterator[None]:
        """Enable workflow commands for the sections that plugins write after the failures."""
        if not self._commands.is_used:
            return (yield)
        self._commands.resume(terminalreporter)
        try:
            return (yield)
        finally:
            self._commands.stop(terminalreporter)
