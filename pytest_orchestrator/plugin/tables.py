"""The tables of recipes in the terminal, of the blocks that reports carry."""

import os
import shutil
from typing import Any

import pytest

from pytest_orchestrator.plugin import junit_file, last_failed, settings
from pytest_orchestrator.plugin.blocks import ATTRIBUTE, carried, key_of
from pytest_orchestrator.plugin.output import shorten

_TABLES = "orchestrator-tables"
LATE = "orchestrator_late"
"""Name under which a worker's last words are the blocks that no report carries."""


class Tables:
    """Collects the blocks that reports carry and shows a table for each recipe."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._blocks: dict[str, dict[str, dict[str, Any]]] = {}
        self._failed: list[pytest.TestReport] = []
        self._folder, self._here = settings.run_dir(config), config.invocation_params.dir

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the blocks of a report; they may come from another process."""
        self.keep(report)
        if report.failed and hasattr(report, ATTRIBUTE):
            self._failed.append(report)

    def keep(self, report: pytest.TestReport) -> None:
        """Note the blocks that a report carries."""
        for block in carried(report):
            self._keep(block)

    def _keep(self, block: dict[str, Any]) -> None:
        self._blocks.setdefault(key_of(block), {})[block["step"]["name"]] = block

    def recipes(self) -> dict[str, list[dict[str, Any]]]:
        """Return the blocks of each run of a recipe, in the order of its steps."""
        return {
            name: sorted(steps.values(), key=lambda block: int(block["step"]["index"]))
            for name, steps in self._blocks.items()
        }

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the blocks of a worker that came after all reports."""
        for block in getattr(node, "workeroutput", {}).get(LATE, ()):
            self._keep(block)

    @pytest.hookimpl(optionalhook=True)
    def pytest_json_modifyreport(self, json_report: dict[str, Any]) -> None:
        """Give pytest-json-report what it does not know: services as they ended, the run."""
        from pytest_orchestrator.plugin import whole_report

        for test in json_report.get("tests", ()):
            block = test.get("metadata", {}).get(ATTRIBUTE)
            if block is not None:
                steps = self._blocks.get(key_of(block), {})
                test["metadata"][ATTRIBUTE] = steps.get(block["step"]["name"], block)
        whole_report.complete(json_report, self._config, self.recipes())

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave the last lines of long outputs for the terminal; complete the JUnit file."""
        if junit_file.place(self._config) == "testsuite":
            blocks = (one for blocks in self.recipes().values() for one in blocks)
            junit_file.tell_suite(self._config, blocks)
        if self._config.get_verbosity() < 2:
            for report in self._failed:
                shorten(report, getattr(report, ATTRIBUTE)["step"].get("kind", ""))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show what each recipe's steps did and used."""
        if self._config.get_verbosity() < 0 or not self._blocks:
            return
        from pytest_orchestrator.reports import terminal

        first = next(iter(next(iter(self._blocks.values())).values()))
        folder = os.path.relpath(self._folder / first["run"]["id"], self._here)
        for path, blocks in self.recipes().items():
            terminalreporter.write_sep("-", f"{path}: {terminal.verdict(blocks)}")
            width = shutil.get_terminal_size().columns
            for row in terminal.table(blocks, width):
                terminalreporter.write(row.before)
                terminalreporter.write(row.word, **({row.colour: True} if row.colour else {}))
                terminalreporter.write(f"{row.after}\n")
            for line in terminal.closing(blocks, folder, width):
                terminalreporter.write_line(line)
        if self._config.getini("recipe_html"):  # which is made once all else is told
            terminalreporter.write_line(f"report {folder}/report.html")


def show_tables(config: pytest.Config) -> None:
    """Show the tables of recipes in this process."""
    if not config.pluginmanager.has_plugin(_TABLES):
        config.pluginmanager.register(Tables(config), _TABLES)
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(last_failed.LastFailed(config))


def recipes_of(config: pytest.Config) -> dict[str, list[dict[str, Any]]]:
    """Return the blocks of each run of a recipe that this process was told of."""
    tables = config.pluginmanager.get_plugin(_TABLES)
    return {} if tables is None else tables.recipes()


def keep(config: pytest.Config, report: pytest.TestReport) -> None:
    """Show a report in the tables that nobody else is told of."""
    if hasattr(config, "workeroutput"):
        config.workeroutput.setdefault(LATE, []).extend(carried(report))
    tables = config.pluginmanager.get_plugin(_TABLES)
    if tables is not None:
        tables.keep(report)
