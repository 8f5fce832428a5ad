"""Tells GitHub of a run while one of its workflows runs pytest; a worker of xdist tells nothing."""

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.plugin import plain_reports

_MOST_SHOWN = 20


def join(config: pytest.Config) -> None:
    """Tell it, where this is a job of GitHub and nobody has switched this off."""
    if os.environ.get("GITHUB_ACTIONS") != "true" or hasattr(config, "workerinput"):
        return
    if config.getini("recipe_github"):
        config.pluginmanager.register(GitHub(config), "orchestrator-github")


class GitHub:
    """Keeps what is to be told, and tells it in the end."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._problems: list[list[Any]] = []
        self._shown: dict[str, str] = {}

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what is wrong in a recipe."""
        for problem in getattr(report, plain_reports.PROBLEMS, ()):
            if problem not in self._problems:
                self._problems.append(problem)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what pytest shows of the first steps that failed."""
        is_step = hasattr(report, plain_reports.BLOCK)
        if report.failed and is_step and report.nodeid not in self._shown:
            from pytest_orchestrator.core.controls import in_utf8

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

    def _told(self) -> list[str]:
        """Write the summary of the job; return the annotations."""
        from pytest_orchestrator.plugin import tables

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
