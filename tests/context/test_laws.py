"""Laws of the Context that hold for any sequence of operations."""

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import Change

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
keys = st.sampled_from(["a", "a.b", "a.b.c", "d", "\N{GREEK SMALL LETTER OMEGA} x"])
operations = st.lists(
    st.tuples(st.just("set"), keys, values)
    | st.tuples(st.just("append"), keys, values)
    | st.tuples(st.just("increment"), keys, st.integers(-9, 9))
    | st.tuples(st.just("delete"), keys)
    | st.tuples(st.just("pop"), keys, st.integers(-3, 3)),
    max_size=30,
)


def apply(ctx: Context, operation: tuple[Any, ...]) -> None:
    name, *arguments = operation
    with suppress(ContextKeyError, ContextTypeError):
        getattr(ctx, name)(*arguments)


def applied(done: list[tuple[Any, ...]], ctx: Context | None = None) -> Context:
    ctx = ctx or Context()
    for operation in done:
        apply(ctx, operation)
    return ctx


def replayed(changes: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the value of a key by replaying its history, as a reader of a journal does."""
    state: dict[str, Any] = {}
    for change in json.loads(json.dumps(changes)):
        match change["op"]:
            case "append":
                assert change["index"] == len(state.setdefault("value", []))
                state["value"].append(change["new"])
            case "pop":
                assert repr(state["value"].pop(change["index"])) == repr(change["old"])
            case operation:
                assert repr(state.pop("value", None)) == repr(change["old"])
                if operation != "delete":
                    state["value"] = change["new"]
    return state


@given(operations)
def test_the_history_of_a_key_leads_to_its_value(done: list[tuple[Any, ...]]) -> None:
    ctx = applied(done)

    for key in {operation[1] for operation in done}:
        now = {"value": ctx.to_dict()[key]} if key in ctx.keys() else {}  # noqa: SIM118
        assert repr(replayed(ctx.get_history(key))) == repr(now)


@given(operations)
def test_reported_changes_equal_the_history(done: list[tuple[Any, ...]]) -> None:
    reported: list[Change] = []
    ctx = Context()
    applied(done, ctx.bound("user", reported.append))

    for key in {operation[1] for operation in done}:
        mine = [change.as_dict() for change in reported if change.key == key]
        assert repr(mine) == repr(ctx.get_history(key))
    assert [change.ts for change in reported] == sorted({change.ts for change in reported})


@given(operations)
def test_each_operation_is_one_change_or_none(done: list[tuple[Any, ...]]) -> None:
    ctx = Context()
    for operation in done:
        before = len(ctx.get_history(operation[1]))
        state = repr(ctx.to_dict())
        apply(ctx, operation)
        more = len(ctx.get_history(operation[1])) - before

        assert more == 1 or (more == 0 and repr(ctx.to_dict()) == state)


@given(operations, operations)
def test_restore_returns_a_context_to_its_snapshot(
    done: list[tuple[Any, ...]], later: list[tuple[Any, ...]]
) -> None:
    ctx = applied(done)
    snapshot = json.loads(json.dumps(ctx.snapshot()))
    before = ctx.to_dict()

    applied(later, ctx)
    ctx.restore(snapshot)

    assert json.dumps(ctx.to_dict(), sort_keys=True) == json.dumps(before, sort_keys=True)
    for key in {operation[1] for operation in done + later}:
        now = {"value": before[key]} if key in before else {}
        assert repr(replayed(ctx.get_history(key))) == repr(now)


@given(operations)
def test_a_new_context_is_restored_with_values_and_history(done: list[tuple[Any, ...]]) -> None:
    ctx = applied(done)
    fresh = Context()

    fresh.restore(json.loads(json.dumps(ctx.snapshot())))

    assert repr(fresh.snapshot()["history"]) == repr(ctx.snapshot()["history"])
    assert repr(sorted(fresh.to_dict().items())) == repr(sorted(ctx.to_dict().items()))


@given(operations, values)
def test_every_key_is_found_by_paths_above_it(done: list[tuple[Any, ...]], value: Any) -> None:
    ctx = applied(done)
    ctx.set("top.x.y", value)

    assert repr(ctx.get("top")) == repr({"x": {"y": value}})
    for key, kept in ctx.to_dict().items():
        assert repr(ctx.get(key)) == repr(kept)
        assert key.partition(".")[0] in ctx
