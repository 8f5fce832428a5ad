"""GitHub Actions reporter: annotations and job summary.

GitHub Actions executes as a command each line of the log that begins with ``::``, after any
blanks, or contains ``##[``. While pytest prints the output of tests, the command
``::stop-commands::`` with a random token disables commands, so that no test can issue one.
"""

import itertools
import os
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.results import blocks as result_blocks
from pytest_orchestrator.plugin.session_state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.reports.github.summary import Session

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
        self._tests: dict[str, tuple[str, str]] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Store the problems of an invalid recipe."""
        for problem in getattr(report, result_blocks.PROBLEMS, ()):
            if problem not in self._problems:
                self._problems.append(problem)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Store the outcomes of other tests, and the failure texts of the first 20 failures."""
        if not hasattr(report, result_blocks.ATTRIBUTE):
            self._add_test(report)
        if report.failed and report.nodeid not in self._failure_texts:
            from pytest_orchestrator.core.text import escape_surrogates

            has_room = len(self._failure_texts) < _MOST_SHOWN
            text = escape_surrogates(report.longreprtext) if has_room else ""
            self._failure_texts[report.nodeid] = text

    def _add_test(self, report: pytest.TestReport) -> None:
        """Store the outcome of a test that is no step, and why it failed."""
        outcome: str = report.outcome
        if hasattr(report, "wasxfail"):
            outcome = "xpassed" if report.passed else "xfailed"
        elif report.failed and report.when != "call":
            outcome = "error"
        elif report.passed and report.when != "call":
            return
        if self._tests.get(report.nodeid, ("",))[0] not in ("failed", "error"):
            crash = getattr(report.longrepr, "reprcrash", None) if report.failed else None
            reason = str(crash.message).partition("\n")[0] if crash else ""
            self._tests[report.nodeid] = outcome, reason

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
        from pytest_orchestrator.reports.github import summary

        problems = [summary.Mark(*problem) for problem in self._problems]
        marks = [one for blocks in recipes.values() for one in summary.marks(blocks)]
        lines = summary.annotations(marks, problems, self._prefix())
        path = os.environ.get("GITHUB_STEP_SUMMARY")
        if path:
            blocks = itertools.chain.from_iterable(recipes.values())
            failures = [
                summary.Failure(step.node, step.word, step.reason or "", self._text(step.node))
                for step in (block.step for block in blocks)
                if step.state in summary.FAILURES
            ]
            masked = state_of(self._config).masked
            failures += [
                summary.Failure(node, outcome, masked(reason), self._text(node))
                for node, (outcome, reason) in self._tests.items()
                if outcome in summary.FAILURES
            ]
            try:
                with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
                    room = summary.MOST_BYTES - file.tell()
                    file.write(summary.summary(recipes, failures, problems, self._session(), room))
            except OSError as error:
                lines.append(f"orchestrator: the job summary cannot be written: {error}")
        return lines

    def _text(self, node: str) -> str:
        return self._failure_texts.get(node, "")

    def _session(self) -> "Session":
        """Return the facts of the session: other tests, cause of an interrupt, the report."""
        from collections import Counter

        from pytest_orchestrator.plugin.reporting.tables import report_path
        from pytest_orchestrator.reports.github.summary import Session

        report = report_path(self._config, self._config.rootpath)
        lines, replay = state_of(self._config).lines, state_of(self._config).replay
        return Session(
            Counter(outcome for outcome, _ in self._tests.values()),
            state_of(self._config).interrupted,
            report and f"{self._prefix()}{report}",
            lines.unsafe if lines else {},
            [*lines.simulated] if lines else (),
            replay.run if replay else "",
        )

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
