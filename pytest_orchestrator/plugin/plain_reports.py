"""Only plain data leaves an item: anything else ends an xdist worker and loses its tests."""

from collections.abc import Generator
from typing import Any

import pytest

_PLAIN = frozenset((str, int, float, bool, type(None)))


class Plain:
    """Makes the reports of all items of a session plain data."""

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Replace what is not plain in a report by text."""
        report = yield
        pairs = report.user_properties
        if not all(type(name) is str and _is_plain(value) for name, value in pairs):
            report.user_properties = [(str(name), _plain(value)) for name, value in pairs]
        # The name is pytest-json-report's; log records in it carry what `extra=` gave them.
        extra = getattr(report, "_json_report_extra", None)
        if extra:
            setattr(report, "_json_report_extra", _plain(extra))  # noqa: B010
        return report


def _plain(value: Any) -> Any:
    if _is_plain(value):
        return value
    from pytest_orchestrator.core.plain import plain

    return plain(value)


def _is_plain(value: object) -> bool:
    if type(value) in _PLAIN:
        return True
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    return isinstance(value, list) and all(map(_is_plain, value))
