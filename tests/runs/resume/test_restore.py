"""Rebuilt Context: the kept changes of each key, without those that are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.events import ContextChanged
from pytest_orchestrator.runs.lookup import load_record
from pytest_orchestrator.runs.resume.restore import replayed
from tests.runs.recipes import ANY_MACHINE
from tests.runs.test_record import CALLS, DO, RecordedContexts

if TYPE_CHECKING:
    from tests.runs.conftest import WrittenRun


@ANY_MACHINE
@given(CALLS)
def test_a_context_is_restored_with_its_whole_history(calls: Any) -> None:
    recorded = RecordedContexts()
    recorded.do(calls)
    rebuilt, fresh = replayed(recorded.changes, lambda _: True), Context()
    fresh.restore(rebuilt.snapshot)

    assert fresh.to_dict() == recorded.below.to_dict()
    for key in ("a", "b", "c.d"):
        assert fresh.get_history(key) == recorded.below.get_history(key)
    own = recorded.below.layer()
    own.restore(replayed(recorded.changes, lambda _: True, "recipes/x.yaml").snapshot)
    assert own.to_dict() == recorded.own.to_dict()


KINDS = st.sampled_from(["append", "increment"])


@ANY_MACHINE
@given(st.lists(st.tuples(st.booleans(), KINDS, st.integers(-9, 9))))
def test_kept_additions_do_not_depend_on_left_out_ones(
    calls: list[tuple[bool, str, int]],
) -> None:
    recorded, alone = RecordedContexts(), Context()
    out, kept = recorded.below.bound("x", by="out"), recorded.below.bound("x", by="kept")
    for is_out, name, value in calls:
        DO[name](out if is_out else kept, name, value)
        if not is_out:
            DO[name](alone, name, value)
    rebuilt = replayed(recorded.changes, lambda change: change.by != "out")

    assert rebuilt.snapshot["values"] == alone.to_dict()
    assert {who for each in rebuilt.by.values() for who in each} <= {"kept"}


@ANY_MACHINE
@given(CALLS)
def test_a_context_without_any_left_out_changes_is_consistent(calls: Any) -> None:
    recorded = RecordedContexts()
    handles = [recorded.below.bound("x", by="out"), recorded.below.bound("x", by="kept")]
    for is_out, name, key, value in calls:
        try:
            DO[name](handles[is_out], key, value)
        except OrchestratorError:
            continue
    rebuilt = replayed(recorded.changes, lambda change: change.by == "kept")

    fresh = Context()
    fresh.restore(rebuilt.snapshot)  # `restore` checks that the history leads to the values
    assert fresh.to_dict() == rebuilt.snapshot["values"]


def test_a_key_with_a_secret_is_left_out_and_listed(past: WrittenRun) -> None:
    past.add(ContextChanged(key="token", op="set", who="x", new="***", masked=True))
    past.change("volts", 12)
    rebuilt = replayed(load_record(past.seal()).changes, lambda _: True)

    assert (rebuilt.snapshot["values"], rebuilt.lost) == ({"volts": 12}, ("token",))
