"""Events of items, merged from the reports of pytest."""

from typing import Any, Literal

import pytest

from pytest_orchestrator.plugin.session import journal


class Nothing:
    """A session state without secrets."""

    @staticmethod
    def masked(value: Any) -> Any:
        return value


def report(
    when: str, outcome: Literal["passed", "failed", "skipped"] = "passed", **more: Any
) -> pytest.TestReport:
    shown: Any = f"{when} is {outcome}" if outcome == "failed" else None
    if outcome == "skipped":
        shown = ("x.py", 1, "Skipped: not today")
    made = pytest.TestReport("x.py::x", ("x.py", 1, "x"), {}, outcome, shown, when)  # type: ignore[arg-type]
    vars(made).update({"duration": 0.5} | more)
    return made


def events_of(*reports: pytest.TestReport) -> list[tuple[str, float, str]]:
    items = journal.ItemEvents(Nothing())  # type: ignore[arg-type]
    found = [*map(items.take, reports), *items.rest()]
    return [(one.outcome, one.seconds, one.reason) for one in found if one]


@pytest.mark.parametrize(
    ("reports", "wanted"),
    [
        ([report("setup"), report("call"), report("teardown")], ("passed", 1.5, "")),
        (
            [report("setup"), report("call", "failed"), report("teardown", "failed")],
            ("failed", 1.5, "call is failed"),
        ),
        (
            [report("setup"), report("call"), report("teardown", "failed")],
            ("error", 1.5, "teardown is failed"),
        ),
        ([report("setup", "failed"), report("teardown")], ("error", 1.0, "setup is failed")),
        ([report("setup", "skipped"), report("teardown")], ("skipped", 1.0, "not today")),
        (
            [report("setup"), report("call", "skipped", wasxfail="known"), report("teardown")],
            ("xfailed", 1.5, "known"),
        ),
        (
            [report("setup"), report("call", wasxfail="known"), report("teardown")],
            ("xpassed", 1.5, "known"),
        ),
        ([report("setup"), report("???", "failed")], ("failed", 1.0, "??? is failed")),
        ([report("setup"), report("call", "failed")], ("failed", 1.0, "call is failed")),
    ],
)
def test_an_item_is_one_event_with_its_final_outcome(
    reports: list[pytest.TestReport], wanted: tuple[str, float, str]
) -> None:
    assert events_of(*reports) == [wanted]


def test_reruns_and_interrupted_items_are_no_events() -> None:
    again = [report("setup"), report("call", outcome="failed"), report("teardown")]
    vars(again[1])["outcome"] = "rerun"

    assert events_of(*again, report("setup"), report("call"), report("teardown")) == [
        ("passed", 1.5, "")
    ]
    assert events_of(report("setup")) == []
