"""A Context on top of another sees both, and leaves the one below as it is."""

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


def test_what_is_read_is_what_stands_in_both(below: Context) -> None:
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


def test_what_becomes_of_a_key_below_is_seen_until_it_is_changed_on_top(below: Context) -> None:
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


def test_a_deleted_key_is_gone_on_top_alone(below: Context) -> None:
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


def test_the_history_of_a_key_begins_below_and_goes_on_on_top(below: Context) -> None:
    top = below.layer()
    assert top.get_history("count") == below.get_history("count")
    assert top.last_modified("count") == below.last_modified("count")

    top.bound("flash").increment("count", 2)
    below.set("count", 0, who="poll")

    told = [(one["who"], one["op"], one["old"], one["new"]) for one in top.get_history("count")]
    assert told == [("poll", "set", None, 3), ("flash", "increment", 3, 5)]
    assert [one["new"] for one in below.get_history("count")] == [3, 0]
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


def test_a_change_is_told_as_it_is_below(below: Context) -> None:
    told: list[Change] = []
    top = below.layer().bound("flash", told.append)
    top.append("readings", 3)
    top.pop("readings", 0)
    top.delete("count")

    assert [(one.key, one.who, one.op, one.old, one.new, one.index) for one in told] == [
        ("readings", "flash", "append", None, 3, 2),
        ("readings", "flash", "pop", 1, None, 0),
        ("count", "flash", "delete", 3, None, None),
    ]


def test_a_layer_may_stand_on_a_layer(below: Context) -> None:
    middle = below.layer()
    middle.set("count", 4)
    top = middle.layer()
    top.increment("count")
    top.append("readings", 3)

    assert [ctx.get("count") for ctx in (below, middle, top)] == [3, 4, 5]
    assert [ctx.get("readings") for ctx in (below, middle, top)] == [[1, 2], [1, 2], [1, 2, 3]]
    assert len(top.get_history("count")) == 3


def test_it_is_served_as_any_other(below: Context) -> None:
    top = below.layer()
    conversation = Conversation(top.bound("flash"))
    asked = b'{"op": "append", "path": "readings", "value": 3}\n{"op": "get", "path": "readings"}\n'

    replies = conversation.receive(asked).splitlines()

    assert json.loads(replies[1])["value"] == [1, 2, 3]
    assert below.get("readings") == [1, 2]


def test_threads_on_top_and_below_lose_nothing(below: Context) -> None:
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


# Where an operation is made: below, or on top.
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
        asked = (ctx.get(path, "nothing") for ctx in (top, expected))
        assert len({json.dumps(value, sort_keys=True) for value in asked}) == 1
        assert (path in top) == (path in expected)


def _only(ctx: Context, key: str) -> Context:
    """Return a Context that has one key of another, and its history."""
    found = Context()
    told = ctx.snapshot()
    found.restore(
        {
            "version": told["version"],
            "values": {one: value for one, value in told["values"].items() if one == key},
            "history": {one: listed for one, listed in told["history"].items() if one == key},
        }
    )
    return found


@given(operations, operations, operations)
def test_a_restored_layer_is_as_it_was_and_nothing_below_changes(
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
