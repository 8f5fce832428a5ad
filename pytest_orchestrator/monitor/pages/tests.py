"""Tests tab: the pytest tests of a run that are no steps, and files that cannot be read."""

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from pytest_orchestrator.core.events import CollectionFailed, TestReported
from pytest_orchestrator.monitor.address import Address
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.runs.verdicts import NOT_GOOD

LABEL: Final = "Tests"
HAS_DRAWER: Final = False

_SORTS: Final[dict[str, Callable[[TestReported], Any]]] = {
    "state": lambda test: test.outcome,
    "test": lambda test: test.node,
    "seconds": lambda test: test.seconds,
}


class Content(Struct, frozen=True):
    """Content of the tab.

    Attributes:
        part: The tests of this page: those that failed first.
        counts: Number of tests by outcome, before the filter by outcome.
        total: Number of all tests.
        uncollected: Files that cannot be read.
    """

    part: Part[TestReported]
    counts: dict[str, int]
    total: int
    uncollected: list[CollectionFailed]


def content(view: RunView, one: Address) -> Content:
    """Return the content of the tab.

    Args:
        view: The run.
        one: The address of the page.
    """
    every = rows = [test for test in view.record.tests.values() if test.step is None]
    words = one.q.lower().split()
    if words:
        rows = [test for test in rows if _has(test, words)]
    counts = dict(Counter(str(test.outcome) for test in rows))
    if one.state:
        rows = [test for test in rows if test.outcome == one.state]
    by = _SORTS.get(one.sort.removeprefix("-"))
    if by is not None:
        rows = sorted(rows, key=by, reverse=one.sort.startswith("-"))
    else:
        rows = sorted(rows, key=lambda test: test.outcome not in NOT_GOOD)
    return Content(part(rows, one.page), counts, len(every), view.record.uncollected)


def _has(test: TestReported, words: list[str]) -> bool:
    text = f"{test.node} {test.reason} {test.text}".lower()
    return all(word in text for word in words)
