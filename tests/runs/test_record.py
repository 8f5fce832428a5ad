"""Run record: values and histories of Contexts are those that the Contexts had."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.history import stamp
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.events import ContextChanged, ContextReplaced, ContextRestored
from pytest_orchestrator.runs.changes import Changes
from pytest_orchestrator.runs.journal.chain import Entry
from pytest_orchestrator.runs.journal.reader import split_changes
from tests.runs.recipes import ANY_MACHINE

if TYPE_CHECKING:
    from collections.abc import Callable

KEYS = st.sampled_from(["a", "b", "c.d"])
DO: dict[str, Callable[[Context, str, int], Any]] = {
    "set": lambda context, key, value: context.set(key, value),
    "list": lambda context, key, value: context.set(key, [value]),
    "append": lambda context, key, value: context.append(key, value),
    "increment": lambda context, key, value: context.increment(key, value),
    "pop": lambda context, key, value: context.pop(key, value),
    "delete": lambda context, key, _: context.delete(key),
}
ALL = DO | {
    "restore": lambda context, key, value: context.restore(
        {"version": 1, "values": {key: value, "b": [value]}, "history": {}}
    ),
}
CALLS = st.lists(st.tuples(st.booleans(), st.sampled_from(sorted(DO)), KEYS, st.integers(-2, 2)))
ALL_CALLS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(sorted(ALL)), KEYS, st.integers(-2, 2))
)


class RecordedContexts:
    """The session's Context and a recipe's own one on top of it, with their recorded changes."""

    def __init__(self) -> None:
        self.changes, self.count = Changes(), 0
        self.below = Context()
        self.below.set_callbacks(self.record)
        self.own = self.below.layer("recipes/x.yaml")

    def record(self, change: ContextChanged | ContextReplaced, moment: int) -> None:
        self.count += 1
        for entry in split_changes(Entry(self.count, stamp(moment), change)):
            self.changes.fold(entry)

    def do(self, calls: list[tuple[bool, str, str, int]]) -> None:
        for own, name, key, value in calls:
            try:
                ALL[name](self.own if own else self.below, key, value)
            except OrchestratorError:
                continue


@ANY_MACHINE
@given(ALL_CALLS)
def test_values_are_those_of_the_context(calls: list[tuple[bool, str, str, int]]) -> None:
    recorded = RecordedContexts()
    recorded.do(calls)

    assert recorded.changes.values() == recorded.below.to_dict()
    assert recorded.changes.values("recipes/x.yaml") == recorded.own.to_dict()


@ANY_MACHINE
@given(ALL_CALLS, ALL_CALLS)
def test_values_before_a_line_are_those_of_the_context_at_that_time(
    calls: list[tuple[bool, str, str, int]], later: list[tuple[bool, str, str, int]]
) -> None:
    recorded = RecordedContexts()
    recorded.do(calls)
    below, own, count = recorded.below.to_dict(), recorded.own.to_dict(), recorded.count
    recorded.do(later)

    assert recorded.changes.values(before=count + 1) == below
    assert recorded.changes.values("recipes/x.yaml", count + 1) == own


@ANY_MACHINE
@given(ALL_CALLS)
def test_a_history_is_that_of_the_context(calls: list[tuple[bool, str, str, int]]) -> None:
    recorded = RecordedContexts()
    recorded.do(calls)
    for scope, context in (("", recorded.below), ("recipes/x.yaml", recorded.own)):
        for key in ("a", "b", "c.d"):
            history = [
                (one.ts, one.who, one.op, one.old, one.new)
                for one in recorded.changes.history(key, scope)
            ]
            wanted = [tuple(one.values())[:5] for one in context.get_history(key)]
            assert history == wanted


@ANY_MACHINE
@given(ALL_CALLS)
def test_the_latest_change_is_the_last_of_the_history(
    calls: list[tuple[bool, str, str, int]],
) -> None:
    recorded = RecordedContexts()
    recorded.do(calls)
    for scope in ("", "recipes/x.yaml"):
        for key in ("a", "b", "c.d"):
            last = next(reversed(recorded.changes.history(key, scope)), None)
            latest = recorded.changes.latest(key, scope)
            assert (latest and (latest.n, latest.who, latest.op, latest.index)) == (
                last and (last.n, last.who, last.op, last.index if last.op == "pop" else None)
            )
            if last is not None and latest is not None and last.op != "pop":
                assert latest.new == last.new


@ANY_MACHINE
@given(ALL_CALLS, ALL_CALLS)
def test_changes_after_a_restored_context_are_recorded(
    calls: list[tuple[bool, str, str, int]], later: list[tuple[bool, str, str, int]]
) -> None:
    before = RecordedContexts()
    before.do([(False, name, key, value) for _, name, key, value in calls])
    recorded = RecordedContexts()
    recorded.below = Context()
    recorded.below.restore(before.below.snapshot())
    recorded.below.set_callbacks(recorded.record)
    event = ContextRestored(snapshot=before.below.snapshot(), run="old")
    recorded.changes.fold(Entry(1, "2026-11-25T10:15:02.000000Z", event))
    recorded.count = 1
    recorded.do([(False, name, key, value) for _, name, key, value in later])

    assert recorded.changes.values() == recorded.below.to_dict()


def test_a_history_of_ten_thousand_appends_is_replayed() -> None:
    recorded = RecordedContexts()
    for number in range(10_000):
        recorded.below.append("sensor.readings", number)

    assert recorded.changes.values() == {"sensor.readings": list(range(10_000))}
    assert recorded.changes.history("sensor.readings")[-1].index == 9_999
