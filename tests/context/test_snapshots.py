"""A snapshot is plain JSON; restore accepts it completely or refuses it."""

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import ContextTypeError, JournalError
from pytest_orchestrator.core.json_values import MAX_DEPTH, NotJson

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import Change


@pytest.fixture
def ctx() -> Context:
    ctx = Context()
    ctx.set("a", [1])
    ctx.append("a", 2)
    ctx.set("gone", 1)
    ctx.delete("gone")
    return ctx


def ops(ctx: Context, key: str) -> list[str]:
    return [change["op"] for change in ctx.get_history(key)]


def test_a_snapshot_is_json_with_values_and_history(ctx: Context) -> None:
    snapshot = ctx.snapshot()

    assert json.loads(json.dumps(snapshot)) == snapshot
    assert snapshot["version"] == 1
    assert snapshot["values"] == {"a": [1, 2]}
    assert snapshot["history"] == {key: ctx.get_history(key) for key in ("a", "gone")}


def test_restore_keeps_the_history(ctx: Context) -> None:
    snapshot = ctx.snapshot()
    ctx.set("a", 5)
    ctx.set("new", 1)

    ctx.restore(snapshot, who="resume")

    assert ctx.to_dict() == {"a": [1, 2]}
    assert ops(ctx, "a") == ["set", "append", "set", "restore"]
    assert ops(ctx, "new") == ["set", "delete"]
    assert ctx.get_history("a")[-1]["who"] == "resume"


def test_a_restore_is_recorded_as_one_event_or_changes_nothing(ctx: Context) -> None:
    events: list[Any] = []
    snapshot = Context().snapshot() | {"values": {"a": 7, "b": [1]}}
    snapshot["history"] = {"b": [{"ts": "2026-11-25T10:15:07.000001Z", "who": "x", "op": "set",
                                  "old": None, "new": [1]}]}  # fmt: skip
    before = ctx.snapshot()

    def full(event: Any, moment: int) -> None:
        raise JournalError("the disk is full")

    ctx.set("old", 1)
    ctx.delete("old")
    before = ctx.snapshot()
    ctx.set_callbacks(full)
    with pytest.raises(JournalError):
        ctx.restore(snapshot, who="resume")
    assert ctx.snapshot() == before
    ctx.set_callbacks(lambda event, moment: events.append(event))
    ctx.restore(snapshot, who="resume")

    (event,) = events
    assert [(one.key, one.op, one.new, one.who) for one in event.changes] == [
        ("a", "restore", 7, "resume"),
        ("b", "restore", [1], "resume"),
    ]
    assert list(event.history) == ["b"]
    assert (ops(ctx, "a"), ops(ctx, "b")) == (["set", "append", "restore"], ["set"])


def test_restore_records_no_change_for_an_equal_value(ctx: Context) -> None:
    ctx.restore(ctx.snapshot())

    assert ops(ctx, "a") == ["set", "append"]


def test_times_increase_after_a_snapshot_with_a_later_clock(ctx: Context) -> None:
    snapshot = ctx.snapshot()
    for change in snapshot["history"]["a"]:
        change["ts"] = change["ts"].replace("20", "21", 1)
    fresh = Context()

    fresh.restore(snapshot)
    fresh.set("a", 1)

    assert fresh.get_history("a")[-1]["ts"] > fresh.get_history("a")[-2]["ts"]


@pytest.mark.parametrize("other", [1.0, True])
def test_restore_restores_the_type_of_a_value(other: Any) -> None:
    ctx = Context()
    ctx.set("a", 1)
    snapshot = ctx.snapshot()
    ctx.set("a", other)

    ctx.restore(snapshot)

    assert repr(ctx.get("a")) == "1"
    assert repr(ctx.get_history("a")[-1]["new"]) == "1"


def test_a_restored_value_can_be_changed(ctx: Context) -> None:
    fresh = Context()
    snapshot = ctx.snapshot()

    fresh.restore(snapshot)
    fresh.append("a", 3)
    snapshot["values"]["a"].append(9)

    assert fresh.get("a") == [1, 2, 3]
    assert fresh.get_history("a")[-1]["index"] == 2
    assert fresh.get_history("a")[-1]["ts"] > fresh.get_history("a")[-2]["ts"]


def test_restore_reports_its_changes(ctx: Context) -> None:
    reported: list[Change] = []
    fresh = Context()
    fresh.set("b", 1)

    fresh.bound("resume", reported.append).restore(ctx.snapshot())

    assert [(change.key, change.op, change.old, change.new) for change in reported] == [
        ("b", "delete", 1, None),
        ("a", "restore", None, [1, 2]),
    ]


def test_values_without_history_are_restored() -> None:
    ctx = Context()

    ctx.restore({"version": 1, "values": {"a": 1}}, who="hand")

    assert [(change["op"], change["who"]) for change in ctx.get_history("a")] == [
        ("restore", "hand")
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda parts: parts.update(version=2),
            "this is no snapshot of a Context: Invalid enum value 2 - at `$.version`",
        ),
        (
            lambda parts: parts.pop("values"),
            "this is no snapshot of a Context: Object missing required field `values`",
        ),
        (
            lambda parts: parts.update(more=1),
            "this is no snapshot of a Context: Object contains unknown field `more`",
        ),
        (
            lambda parts: parts["values"].update({"a..b": 1}),
            "this is no snapshot of a Context: key 'a..b' has an empty part; write 'a.b'",
        ),
        (
            lambda parts: parts["history"]["a"][0].pop("who"),
            "this is no snapshot of a Context: Object missing required field `who`",
        ),
        *(
            (change, "this snapshot is damaged: the history of 'a' does not lead to its value")
            for change in (
                lambda parts: parts["values"].update(a=[1]),
                lambda parts: parts["values"].pop("a"),
                lambda parts: parts["history"]["a"].pop(0),
                lambda parts: parts["history"]["a"].pop(1),
                lambda parts: parts["history"]["a"].reverse(),
                lambda parts: parts["history"]["a"][1].update(index=7),
                lambda parts: parts["history"]["a"][1].update(op="pop", index=7),
                lambda parts: parts["history"]["a"][1].update(op="pop"),
                lambda parts: parts["history"]["a"][0].update(ts="yesterday"),
                lambda parts: parts["history"]["a"][0].update(ts="2024-01-01"),
                lambda parts: parts["history"]["a"][0].update(old=3),
                lambda parts: parts["history"]["a"][0].update(new=3),
                lambda parts: parts["history"]["a"][0].update(new=(1,)),
                lambda parts: parts["history"]["a"][1].update(new=float("nan")),
                lambda parts: parts["history"]["a"][1].update(new=object()),
                lambda parts: parts["history"]["a"][0].update(who="\ud800"),
            )
        ),
    ],
)
def test_a_damaged_snapshot_is_refused_and_changes_nothing(
    ctx: Context, change: Any, message: str
) -> None:
    snapshot = ctx.snapshot()
    change(snapshot)
    other = Context()
    other.set("b", 1)
    before = other.snapshot()

    with pytest.raises(ContextTypeError) as caught:
        other.restore(snapshot)

    assert str(caught.value) == message
    assert other.snapshot() == before


def test_values_of_the_greatest_depth_are_restored() -> None:
    value: Any = 1
    for _ in range(MAX_DEPTH):
        value = [value]
    ctx = Context()
    ctx.set("a", value)
    ctx.append("a", value[0])
    with pytest.raises(NotJson, match="nested more than 199 deep"):
        ctx.append("a", value)

    Context().restore(ctx.snapshot())


@pytest.mark.parametrize("snapshot", [None, [], "x", {1: 2}, {"version": 1, "values": {1: 2}}])
def test_an_object_that_is_no_snapshot_is_refused(ctx: Context, snapshot: Any) -> None:
    with pytest.raises(ContextTypeError, match=r"^this is no snapshot of a Context: "):
        ctx.restore(snapshot)


def test_a_snapshot_that_is_no_json_is_refused(ctx: Context) -> None:
    with pytest.raises(NotJson, match=r"^snapshot\['values'\]\['a'\] is a tuple"):
        ctx.restore({"version": 1, "values": {"a": ()}})


def test_an_invalid_writer_is_refused_before_anything_changes(ctx: Context) -> None:
    snapshot = ctx.snapshot()
    ctx.set("b", 1)

    with pytest.raises(ContextTypeError):
        ctx.restore(snapshot, who=3)  # type: ignore[arg-type]
    with pytest.raises(ContextTypeError):
        Context().restore(snapshot, who=3)  # type: ignore[arg-type]

    assert ctx.get("b") == 1
