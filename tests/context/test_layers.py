"""A layer sees its own values and those below, and never changes the Context below."""

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.protocol import Conversation
from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from tests.context.test_laws import applied, apply, operations

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import Change


def plainly(ctx: Context) -> str:
    return json.dumps(ctx.to_dict(), sort_keys=True)


def past(ctx: Context, key: str) -> list[dict[str, Any]]:
    return [{**change, "ts": ""} for change in ctx.get_history(key)]


@pytest.fixture
def below() -> Context:
    ctx = Context()
    ctx.set("dut.serial_v1", "A7", who="scan")
    ctx.set("readings", [1, 2], who="poll")
    ctx.set("count", 3, who="poll")
    return ctx


def test_reads_see_the_values_of_both_layers(below: Context) -> None:
    top = below.layer()
    top.set("dut.rev", "B")

    assert top.get("dut") == {"serial_v1": "A7", "rev": "B"}
    assert top["readings.0"] == 1
    assert "dut.serial_v1" in top
    assert top.keys() == ["dut.serial_v1", "readings", "count", "dut.rev"]
    assert list(top) == top.keys()
    assert top.to_dict() == {**below.to_dict(), "dut.rev": "B"}
    assert repr(top) == "<Context of 4 keys, who='user'>"
    assert below.keys() == ["dut.serial_v1", "readings", "count"]


def test_a_key_below_is_visible_until_the_layer_changes_it(below: Context) -> None:
    top = below.layer()
    below.set("count", 4)
    assert top.get("count") == 4

    top.set("count", 9)
    below.set("count", 5)
    assert (top.get("count"), below.get("count")) == (9, 5)


def test_append_increment_and_pop_work_on_a_copy(below: Context) -> None:
    top = below.layer()
    top.append("readings", 3)
    assert top.pop("readings", 0) == 1
    assert top.increment("count") == 4

    assert top.to_dict() == {"dut.serial_v1": "A7", "readings": [2, 3], "count": 4}
    assert below.to_dict() == {"dut.serial_v1": "A7", "readings": [1, 2], "count": 3}


def test_a_key_deleted_in_a_layer_still_exists_below(below: Context) -> None:
    top = below.layer()
    top.delete("count")
    below.set("count", 5)

    assert "count" not in top
    assert top.keys() == ["dut.serial_v1", "readings"]
    with pytest.raises(ContextKeyError, match="no key 'count' in the context"):
        top.delete("count")
    assert below.get("count") == 5

    top.append("count", "new")
    assert top.get("count") == ["new"]


def test_the_history_of_a_key_begins_below_and_continues_in_the_layer(below: Context) -> None:
    top = below.layer()
    assert top.get_history("count") == below.get_history("count")
    assert top.last_modified("count") == below.last_modified("count")

    top.bound("flash").increment("count", 2)
    below.set("count", 0, who="poll")

    changes = [(row["who"], row["op"], row["old"], row["new"]) for row in top.get_history("count")]
    assert changes == [("poll", "set", None, 3), ("flash", "increment", 3, 5)]
    assert [row["new"] for row in below.get_history("count")] == [3, 0]
    assert str(top.last_modified("count")) < str(below.last_modified("count"))
    assert top.get_history("never") == []
    assert top.last_modified("never") is None


def test_a_change_that_is_refused_copies_nothing_up(below: Context) -> None:
    top = below.layer()
    with pytest.raises(ContextTypeError):
        top.append("count", 1)
    with pytest.raises(ContextKeyError):
        top.pop("readings", 7)
    below.set("count", 4)
    below.append("readings", 3)

    assert top.to_dict() == below.to_dict()


def test_a_layer_reports_changes_with_the_values_below(below: Context) -> None:
    reported: list[Change] = []
    top = below.layer().bound("flash", reported.append)
    top.append("readings", 3)
    top.pop("readings", 0)
    top.delete("count")

    assert [(row.key, row.who, row.op, row.old, row.new, row.index) for row in reported] == [
        ("readings", "flash", "append", None, 3, 2),
        ("readings", "flash", "pop", 1, None, 0),
        ("count", "flash", "delete", 3, None, None),
    ]


def test_a_layer_may_be_made_of_a_layer(below: Context) -> None:
    middle = below.layer()
    middle.set("count", 4)
    top = middle.layer()
    top.increment("count")
    top.append("readings", 3)

    assert [ctx.get("count") for ctx in (below, middle, top)] == [3, 4, 5]
    assert [ctx.get("readings") for ctx in (below, middle, top)] == [[1, 2], [1, 2], [1, 2, 3]]
    assert len(top.get_history("count")) == 3


def test_a_layer_is_served_like_any_context(below: Context) -> None:
    top = below.layer()
    conversation = Conversation(top.bound("flash"))
    lines = b'{"op": "append", "path": "readings", "value": 3}\n{"op": "get", "path": "readings"}\n'

    replies = conversation.receive(lines).splitlines()

    assert json.loads(replies[1])["value"] == [1, 2, 3]
    assert below.get("readings") == [1, 2]


def test_threads_in_layers_and_below_lose_no_change(below: Context) -> None:
    barrier = threading.Barrier(8)
    tops = [below.layer() for _ in range(4)]

    def work(ctx: Context) -> None:
        barrier.wait()
        for number in range(100):
            ctx.append("readings", number)
            ctx.increment("count")

    threads = [threading.Thread(target=work, args=(ctx,)) for ctx in [*tops, *[below] * 4]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert below.get("count") == 403
    for top in tops:
        assert top.get("readings")[-100:] == list(range(100))
        assert [one["new"] for one in top.get_history("readings")[-100:]] == list(range(100))


# Operations, each with True if it is executed on the layer and False if below it.
interleaved = st.lists(st.tuples(st.booleans(), operations.map(lambda done: done[:1])), max_size=30)


@given(interleaved)
def test_a_layer_is_a_copy_of_each_key_from_its_first_change_on(
    done: list[tuple[bool, list[tuple[Any, ...]]]],
) -> None:
    below, alone = Context(), Context()
    top = below.layer()
    model: dict[str, Context] = {}
    keys = {operation[1] for _, listed in done for operation in listed}

    for is_top, listed in done:
        for operation in listed:
            key = operation[1]
            if not is_top:
                apply(below, operation)
                apply(alone, operation)
                continue
            copy = model.get(key) or _only(alone, key)
            before = len(copy.get_history(key))
            apply(copy, operation)
            apply(top, operation)
            if len(copy.get_history(key)) > before:
                model[key] = copy

    expected = Context()
    for key in keys:
        source = model.get(key, alone)
        if key in source.keys():  # noqa: SIM118
            expected.set(key, source.to_dict()[key])
        assert repr(past(top, key)) == repr(past(source, key))
        assert repr(past(below, key)) == repr(past(alone, key))
    assert plainly(top) == plainly(expected)
    assert plainly(below) == plainly(alone)
    assert sorted(top.keys()) == sorted(expected.keys())
    for path in ("a", "a.b", "a.b.c", "d", "d.0", "e"):
        results = (ctx.get(path, "nothing") for ctx in (top, expected))
        assert len({json.dumps(value, sort_keys=True) for value in results}) == 1
        assert (path in top) == (path in expected)


def _only(ctx: Context, key: str) -> Context:
    """Return a Context with one key of another Context and its history."""
    copy = Context()
    snapshot = ctx.snapshot()
    copy.restore(
        {
            "version": snapshot["version"],
            "values": {name: value for name, value in snapshot["values"].items() if name == key},
            "history": {name: rows for name, rows in snapshot["history"].items() if name == key},
        }
    )
    return copy


@given(operations, operations, operations)
def test_restore_of_a_layer_does_not_change_the_context_below(
    first: list[tuple[Any, ...]], on_top: list[tuple[Any, ...]], later: list[tuple[Any, ...]]
) -> None:
    below = applied(first)
    top = applied(on_top, below.layer())
    snapshot = json.loads(json.dumps(top.snapshot()))
    before, under = plainly(top), below.snapshot()

    applied(later, top)
    top.restore(snapshot)

    assert plainly(top) == before
    assert below.snapshot() == under
    fresh = Context()
    fresh.restore(snapshot)
    assert plainly(fresh) == before
