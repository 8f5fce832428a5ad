"""What pytest says of its items and files, as events of the journal."""

import re
from typing import TYPE_CHECKING, Any, Literal

import pytest

from pytest_orchestrator.core.events import CollectionFailed, TestReported
from pytest_orchestrator.plugin.blocks import ATTRIBUTE, key_of

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.state import State

_PLACE = re.compile(r"^(?:.*?:)?(\d+):(\d+): (?:error: )?(.+)$", re.MULTILINE)

Outcome = Literal["passed", "failed", "skipped", "xfailed", "xpassed", "error"]


class Tested:
    """Puts the reports of an item together: one event for each item.

    Attributes:
        counts: Number of items by what pytest says of them.
    """

    def __init__(self, state: "State") -> None:
        self.counts: dict[str, int] = {}
        self._state = state
        self._reports: dict[tuple[str, str], list[pytest.TestReport]] = {}
        self._steps: dict[tuple[str, str], tuple[str, str]] = {}

    def take(self, report: pytest.TestReport) -> TestReported | None:
        """Take a report; return what is to be told once it is the last one of an item."""
        key = getattr(report, "worker_id", "main"), report.nodeid
        reports = self._reports.setdefault(key, [])
        reports.append(report)
        block = getattr(report, ATTRIBUTE, None)
        if block is not None:
            self._steps[key] = key_of(block), block["step"]["name"]
        # What xdist reports of a worker that died has no stage, and nothing follows it.
        return None if report.when in ("setup", "call") else self._told(key)

    def rest(self) -> list[TestReported]:
        """Return what is to be told of items that did not come to their end.

        Of one that was cut off before it was known what becomes of it there is nothing.
        """
        known = [
            key
            for key, reports in self._reports.items()
            if any(one.when == "call" or not one.passed for one in reports)
        ]
        return [told for key in known if (told := self._told(key))]

    def _told(self, key: tuple[str, str]) -> TestReported | None:
        reports = self._reports.pop(key)
        recipe, step = self._steps.pop(key, (None, None))
        if any(report.outcome == "rerun" for report in reports):  # type: ignore[comparison-overlap]
            return None  # it is about to be run again
        main = next((one for one in reports if _outcome(one) != "passed"), reports[-1])
        if main.passed and not hasattr(main, "wasxfail"):
            main = next((one for one in reports if one.when == "call"), main)
        outcome = _outcome(main)
        self.counts[outcome] = self.counts.get(outcome, 0) + 1
        masked = self._state.masked
        text = "\n".join(one.longreprtext for one in reports if one.failed)
        return TestReported(
            node=main.nodeid,
            outcome=outcome,
            seconds=round(sum(one.duration for one in reports), 6),
            recipe=recipe,
            step=step,
            reason=masked(_reason(main)),
            text=masked(text),
            worker=key[0],
        )


def uncollected(report: pytest.CollectReport, state: "State") -> CollectionFailed:
    """Return what is to be told of a file that could not be collected."""
    text = state.masked(report.longreprtext)
    found = _PLACE.search(text)
    line, column, reason = (int(found[1]), int(found[2]), found[3]) if found else (0, 0, "")
    crash = getattr(report.longrepr, "reprcrash", None)
    if not found and crash is not None:
        line, reason = crash.lineno, str(crash.message).partition("\n")[0]
    if not reason:
        lines = text.strip().splitlines()
        reason = lines[-1].removeprefix("E").strip() if lines else ""
    return CollectionFailed(
        path=report.nodeid, text=text, line=line, column=column, reason=state.masked(reason)
    )


def _outcome(report: pytest.TestReport) -> Outcome:
    if hasattr(report, "wasxfail"):
        return "xpassed" if report.passed else "xfailed"
    if report.failed and report.when in ("setup", "teardown"):
        return "error"
    return report.outcome


def _reason(report: pytest.TestReport) -> str:
    if hasattr(report, "wasxfail"):
        return str(report.wasxfail).removeprefix("reason: ")
    shown: Any = report.longrepr
    if shown is None:
        return ""
    if isinstance(shown, tuple):
        return str(shown[2]).removeprefix("Skipped: ")
    crash = getattr(shown, "reprcrash", None)
    return str(crash.message if crash else shown).strip().partition("\n")[0]
