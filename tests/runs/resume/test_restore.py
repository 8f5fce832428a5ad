"""Changes that are left out are as if they had not been."""

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
from tests.runs.test_record import CALLS, DO, Kept

if TYPE_CHECKING:
    from tests.runs.conftest import WrittenRun


@ANY_MACHINE
@given(CALLS)
def test_a_context_is_restored_with_all_that_happened_to_it(calls: Any) -> None:
    kept = Kept()
    kept.do(calls)
    told, fresh = replayed(kept.changes, lambda _: True), Context()
    fresh.restore(told.snapshot)

    assert fresh.to_dict() == kept.below.to_dict()
    for key in ("a", "b", "c.d"):
        assert fresh.get_history(key) == kept.below.get_history(key)
    own = kept.below.layer()
    own.restore(replayed(kept.changes, lambda _: True, "recipes/x.yaml").snapshot)
    assert own.to_dict() == kept.own.to_dict()


KINDS = st.sampled_from(["append", "increment"])


@ANY_MACHINE
@given(st.lists(st.tuples(st.booleans(), KINDS, st.integers(-9, 9))))
def test_what_others_add_does_not_depend_on_what_is_left_out(
    calls: list[tuple[bool, str, int]],
) -> None:
    kept, alone = Kept(), Context()
    out, stays = kept.below.bound("x", by="out"), kept.below.bound("x", by="stays")
    for is_out, name, value in calls:
        DO[name](out if is_out else stays, name, value)
        if not is_out:
            DO[name](alone, name, value)
    told = replayed(kept.changes, lambda change: change.by != "out")

    assert told.snapshot["values"] == alone.to_dict()
    assert {who for each in told.by.values() for who in each} <= {"stays"}


@ANY_MACHINE
@given(CALLS)
def test_whatever_is_left_out_the_rest_is_a_whole_context(calls: Any) -> None:
    kept = Kept()
    handles = [kept.below.bound("x", by="out"), kept.below.bound("x", by="stays")]
    for is_out, name, key, value in calls:
        try:
            DO[name](handles[is_out], key, value)
        except OrchestratorError:
            continue
    told = replayed(kept.changes, lambda change: change.by == "stays")

    fresh = Context()
    fresh.restore(told.snapshot)  # it proves that the history leads to the values
    assert fresh.to_dict() == told.snapshot["values"]


def test_what_was_secret_is_left_out_and_told(past: WrittenRun) -> None:
    past.add(ContextChanged(key="token", op="set", who="x", new="***", masked=True))
    past.change("volts", 12)
    told = replayed(load_record(past.seal()).changes, lambda _: True)

    assert (told.snapshot["values"], told.lost) == ({"volts": 12}, ("token",))
