"""Fewer dots for recipes with many steps, so that pytest's progress stays on a screen."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from pytest_orchestrator.plugin.collection.needs import recipe_of
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE

NAME = "orchestrator-dots"
_MANY = 200
_MOST = 40


class Dots(Plugin):
    """Plugin that lets a dot stand for several steps of a file that has more than 200.

    A file then has about 40 dots. Only steps that passed or were skipped are affected; pytest
    counts all of them.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._totals: Counter[str] = Counter()
        self._seen: Counter[tuple[str, str]] = Counter()
        self._last: pytest.TestReport | None = None
        self._status: tuple[str, str, str] | None = None

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Count the steps of each file in a session without workers."""
        self._count(item.nodeid for item in session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Count the steps of each file that the first worker collected."""
        if not self._totals:
            self._count(ids)

    def _count(self, nodes: Iterable[str]) -> None:
        terminal: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None or not type(terminal).__module__.startswith("_pytest."):
            return  # pytest-sugar and pytest-rich draw the terminal themselves
        totals = Counter(map(recipe_of, nodes))
        self._totals = Counter({path: n for path, n in totals.items() if path and n > _MANY})

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Return the status of a step without a letter, unless its letter is due."""
        total = self._totals.get(recipe_of(report.nodeid), 0) if self._totals else 0
        if not total:
            return None
        if report is not self._last:  # several plugins ask for the status of a report
            self._last, self._status = report, self._status_of(report, total)
        return self._status

    def _status_of(self, report: pytest.TestReport, total: int) -> tuple[str, str, str] | None:
        block: dict[str, Any] | None = getattr(report, ATTRIBUTE, None)
        state = "" if block is None else block["step"]["state"]
        if state not in ("passed", "blocked", "restored", "skipped") or report.failed:
            return None
        key = recipe_of(report.nodeid), report.outcome
        self._seen[key] = number = self._seen[key] + 1
        is_first_skip = number == 1 and report.skipped
        if is_first_skip or number * _MOST // total > (number - 1) * _MOST // total:
            return None
        return report.outcome, "", report.outcome.upper()


def start_dots(config: pytest.Config) -> None:
    """Register the plugin, unless pytest or the summary lists all steps."""
    if config.get_verbosity() <= 0 and settings.recipe_table(config) != "all":
        config.pluginmanager.register(Dots(config), NAME)
