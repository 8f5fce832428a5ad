"""Only plain data leaves an item, and no secret.

Anything but plain data ends an xdist worker and loses its tests.
"""

import warnings
from collections.abc import Generator
from typing import Any

import pytest

from pytest_orchestrator.plugin import masking
from pytest_orchestrator.plugin.state import state_of

BLOCK = "orchestrator"
"""Attribute of a report that carries the block of its step."""

PROBLEMS = "orchestrator_problems"
"""Attribute of the report of a recipe that cannot be read: path, line, column, title, text."""

PROBLEMS_KEY = pytest.StashKey[list[list[Any]]]()

_PLAIN = frozenset((str, int, float, bool, type(None)))


class Plain:
    """Makes the reports of all items of a session plain data, and masks them."""

    def __init__(self, config: pytest.Config) -> None:
        self._state = state_of(config)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Replace what is not plain in a report by text, and what is secret by ``***``."""
        report = yield
        pairs = report.user_properties
        # A step has twenty of them, on two reports: a comprehension calls nothing.
        if not {type(one) for pair in pairs for one in pair} <= _PLAIN:
            report.user_properties = [(str(name), _plain(value)) for name, value in pairs]
        # The name is pytest-json-report's; log records in it carry what `extra=` gave them.
        extra = getattr(report, "_json_report_extra", None)
        if extra:
            setattr(report, "_json_report_extra", _plain(extra))  # noqa: B010
        if self._state.has_secrets:
            masking.mask(report, self._state.secrets)
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Mask what is told of a file that cannot be collected: it shows lines of the file."""
        report = yield
        problems = collector.stash.get(PROBLEMS_KEY, None)
        if problems:
            setattr(report, PROBLEMS, self._state.masked(problems))
        if self._state.has_secrets:
            masking.mask(report, self._state.secrets)
        return report

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep what is told of a file that cannot be collected: there is no journal yet."""
        if report.failed:
            self._state.uncollected.append(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Mask a warning before anybody writes it down."""
        if self._state.has_secrets:
            message = str(warning_message.message)
            masked = self._state.secrets.text(message)
            if masked != message:
                warning_message.message = masked


def _plain(value: Any) -> Any:
    if _is_plain(value):
        return value
    from pytest_orchestrator.core.jsonable import plain

    return plain(value)


def _is_plain(value: object) -> bool:
    if type(value) in _PLAIN:
        return True
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return isinstance(value, list) and all(map(_is_plain, value))
