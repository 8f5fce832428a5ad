"""The tables of recipes in the terminal, of the blocks that reports carry."""

import os
import shutil
from collections.abc import Generator, Mapping
from typing import Any

import pytest

from pytest_orchestrator.plugin import junit_file, last_failed
from pytest_orchestrator.plugin.blocks import ATTRIBUTE, NEEDED, carried, key_of
from pytest_orchestrator.plugin.ledger import Ledger
from pytest_orchestrator.plugin.output import shorten
from pytest_orchestrator.plugin.state import state_of

_TABLES = "orchestrator-tables"
LATE = "orchestrator_late"
"""Name under which a worker's last words are the blocks that no report carries."""


class Tables:
    """Notes the blocks that reports carry and shows a table for each recipe.

    Attributes:
        told: All of them.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.told = Ledger(config)
        self._failed: list[tuple[pytest.TestReport, str]] = []
        self._here = config.invocation_params.dir

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(
        self, report: pytest.TestReport
    ) -> Generator[None, object, object]:
        """Take the blocks from a report once all have seen it: pytest keeps it to the end."""
        try:
            return (yield)
        finally:
            self.keep(report)
            block = report.__dict__.pop(ATTRIBUTE, None)
            report.__dict__.pop(NEEDED, None)
            if report.failed and block is not None:
                self._failed.append((report, block["step"].get("kind", "")))

    def keep(self, report: pytest.TestReport) -> None:
        """Note the blocks that a report carries."""
        for block in carried(report):
            self.told.keep(block)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the blocks of a worker that came after all reports."""
        for block in getattr(node, "workeroutput", {}).get(LATE, ()):
            self.told.keep(block)

    @pytest.hookimpl(optionalhook=True)
    def pytest_json_modifyreport(self, json_report: dict[str, Any]) -> None:
        """Give pytest-json-report what it does not know: services as they ended, the run."""
        from pytest_orchestrator.plugin import whole_report

        last = {
            (key, block["step"]["name"]): block
            for key, blocks in self.told.items()
            for block in blocks
        }
        for test in json_report.get("tests", ()):
            block = test.get("metadata", {}).get(ATTRIBUTE)
            if block is not None:
                step = key_of(block), block["step"]["name"]
                test["metadata"][ATTRIBUTE] = last.get(step, block)
        whole_report.complete(json_report, self._config, self.told)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Leave the last lines of long outputs for the terminal; complete the JUnit file."""
        if junit_file.place(self._config) == "testsuite":
            blocks = (one for blocks in self.told.values() for one in blocks)
            junit_file.tell_suite(self._config, blocks)
        if self._config.get_verbosity() < 2:
            for report, kind in self._failed:
                shorten(report, kind)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show what each recipe's steps did and used."""
        if self._config.get_verbosity() < 0 or not self.told:
            return
        from pytest_orchestrator.reports import terminal

        folder = os.path.relpath(state_of(self._config).folder.path, self._here)
        for path, blocks in self.told.items():
            terminalreporter.write_sep("-", f"{path}: {terminal.verdict(blocks)}")
            width = shutil.get_terminal_size().columns
            for row in terminal.table(blocks, width):
                terminalreporter.write(row.before)
                terminalreporter.write(row.word, **({row.colour: True} if row.colour else {}))
                terminalreporter.write(f"{row.after}\n")
            for line in terminal.closing(blocks, folder, width):
                terminalreporter.write_line(line)
        keeper = state_of(self._config).keeper
        is_whole = keeper is None or not keeper.has_failed
        if is_whole and self._config.getini("recipe_html"):  # made once all else is told
            terminalreporter.write_line(f"report {folder}/report.html")


def show_tables(config: pytest.Config) -> None:
    """Show the tables of recipes in this process, unless it is a worker, which shows nothing."""
    if not (config.pluginmanager.has_plugin(_TABLES) or hasattr(config, "workerinput")):
        config.pluginmanager.register(Tables(config), _TABLES)
        config.pluginmanager.register(last_failed.LastFailed(config))


def recipes_of(config: pytest.Config) -> Mapping[str, list[dict[str, Any]]]:
    """Return the blocks of each run of a recipe that this process was told of."""
    tables: Tables | None = config.pluginmanager.get_plugin(_TABLES)
    return {} if tables is None else tables.told


def keep(config: pytest.Config, report: pytest.TestReport) -> None:
    """Show a report in the tables that nobody else is told of."""
    if hasattr(config, "workeroutput"):
        config.workeroutput.setdefault(LATE, []).extend(carried(report))
    tables = config.pluginmanager.get_plugin(_TABLES)
    if tables is not None:
        tables.keep(report)


def keep_block(config: pytest.Config, block: dict[str, Any]) -> None:
    """Show the block of a step that no report tells of."""
    tables: Tables | None = config.pluginmanager.get_plugin(_TABLES)
    if tables is not None:
        tables.told.keep(block)
