"""Operations of the Context, one at a time."""

import enum
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError, OrchestratorError
from pytest_orchestrator.core.json_values import NotJson

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import ContextLike
    from pytest_orchestrator.core.events import Change


@pytest.fixture
def ctx() -> Context:
    return Context()


def without_ts(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: item for name, item in change.items() if name != "ts"} for change in changes]


def test_a_context_is_context_like(ctx: Context) -> None:
    like: ContextLike = ctx

    assert like.keys() == []


def test_a_value_is_read_as_it_was_stored(ctx: Context) -> None:
    ctx.set("dut.ports", [1, {"id": 2.0}])

    assert ctx.get("dut.ports") == [1, {"id": 2.0}]
    assert ctx["dut.ports"] == [1, {"id": 2.0}]
    assert "dut.ports" in ctx


def test_the_default_is_returned_for_a_missing_key(ctx: Context) -> None:
    fallback: list[int] = []

    assert ctx.get("a") is None
    assert ctx.get("a", fallback) is fallback


def test_null_is_a_value(ctx: Context) -> None:
    ctx.set("a", None)

    assert ctx.get("a", 1) is None
    assert "a" in ctx


def test_modifying_a_stored_object_does_not_change_the_context(ctx: Context) -> None:
    value = {"list": [1]}
    ctx.set("a", value)
    ctx.append("b", value)

    value["list"].append(2)

    assert ctx.to_dict() == {"a": {"list": [1]}, "b": [{"list": [1]}]}


def test_modifying_a_returned_object_does_not_change_the_context(ctx: Context) -> None:
    ctx.set("a.b", {"list": [1]})

    ctx.get("a.b")["list"].append(2)
    ctx.get("a.b.list").append(2)
    ctx.get("a")["b"]["list"].append(2)
    ctx["a.b"]["list"].append(2)
    ctx.to_dict()["a.b"]["list"].append(2)
    ctx.get_history("a.b")[0]["new"]["list"].append(2)
    ctx.snapshot()["values"]["a.b"]["list"].append(2)

    assert ctx.to_dict() == {"a.b": {"list": [1]}}
    assert ctx.get_history("a.b")[0]["new"] == {"list": [1]}


def test_a_value_that_is_no_json_changes_nothing(ctx: Context) -> None:
    ctx.set("a", [1])

    with pytest.raises(NotJson):
        ctx.set("a", (1,))
    with pytest.raises(NotJson):
        ctx.append("a", {1})
    with pytest.raises(NotJson):
        ctx.increment("n", float("nan"))

    assert ctx.to_dict() == {"a": [1]}
    assert len(ctx.get_history("a")) == 1


def test_keys_are_listed_in_the_order_of_their_first_write(ctx: Context) -> None:
    for key in ("b", "a", "c.d"):
        ctx.set(key, 1)
    ctx.set("b", 2)

    assert ctx.keys() == ["b", "a", "c.d"]
    assert list(ctx) == ["b", "a", "c.d"]


def test_append_creates_a_missing_list(ctx: Context) -> None:
    ctx.append("polls", 1)
    ctx.append("polls", [2])

    assert ctx.get("polls") == [1, [2]]


def test_increment_of_a_missing_key_starts_at_zero_and_returns_the_sum(ctx: Context) -> None:
    assert ctx.increment("n") == 1
    assert ctx.increment("n", 2) == 3
    assert ctx.increment("n", -0.5) == 2.5
    assert ctx.get("n") == 2.5


def test_increment_works_beyond_64_bits(ctx: Context) -> None:
    ctx.set("n", 2**64)

    assert ctx.increment("n") == 2**64 + 1
    assert ctx.get_history("n")[-1]["new"] == 2**64 + 1


def test_delete_removes_a_key(ctx: Context) -> None:
    ctx.set("a", 1)

    ctx.delete("a")

    assert "a" not in ctx
    assert ctx.keys() == []


def test_pop_removes_the_last_item_or_the_one_at_an_index(ctx: Context) -> None:
    ctx.set("a", [1, 2, {"x": 3}])

    assert ctx.pop("a") == {"x": 3}
    assert ctx.pop("a", 0) == 1
    assert ctx.pop("a", -1) == 2
    assert ctx.get("a") == []
    assert [change["index"] for change in ctx.get_history("a")[1:]] == [2, 0, 0]


@pytest.mark.parametrize(
    ("operation", "error", "message"),
    [
        (
            lambda ctx: ctx["dut.firmwar"],
            ContextKeyError,
            "no key 'dut.firmwar' in the context (did you mean 'dut.firmware'?)",
        ),
        (
            lambda ctx: ctx.delete("dut"),
            ContextKeyError,
            "no key 'dut' in the context",
        ),
        (
            lambda ctx: ctx.delete(3),
            ContextKeyError,
            "no key 3 in the context (did you mean '3'?)",
        ),
        (
            lambda ctx: ctx.pop("lst"),
            ContextKeyError,
            "no key 'lst' in the context (did you mean 'list'?)",
        ),
        (lambda ctx: ctx.pop("list", 2), ContextKeyError, "'list' has 2 items, none at 2"),
        (lambda ctx: ctx.pop("list", -3), ContextKeyError, "'list' has 2 items, none at -3"),
        (
            lambda ctx: ctx.pop("list", "0"),
            ContextTypeError,
            "the index of pop is an integer, not text",
        ),
        (
            lambda ctx: ctx.pop("list", True),
            ContextTypeError,
            "the index of pop is an integer, not a boolean",
        ),
        (
            lambda ctx: ctx.pop("dut.firmware"),
            ContextTypeError,
            "pop needs a list; 'dut.firmware' is text",
        ),
        (
            lambda ctx: ctx.append("dut.firmware", 1),
            ContextTypeError,
            "append needs a list; 'dut.firmware' is text",
        ),
        (
            lambda ctx: ctx.increment("dut.firmware"),
            ContextTypeError,
            "increment needs a number; 'dut.firmware' is text",
        ),
        (
            lambda ctx: ctx.increment("flag"),
            ContextTypeError,
            "increment needs a number; 'flag' is a boolean",
        ),
        (
            lambda ctx: ctx.increment("n", True),
            ContextTypeError,
            "increment needs a number; by is a boolean",
        ),
        (
            lambda ctx: ctx.increment("n", 1e308),
            NotJson,
            "the sum is inf, which JSON does not have; use None or leave it out",
        ),
        (
            lambda ctx: ctx.increment("huge", 0.5),
            NotJson,
            "the sum is too large for a number with a point; store integers",
        ),
        (
            lambda ctx: ctx.set("a..b", 1),
            ContextKeyError,
            "key 'a..b' has an empty part; write 'a.b'",
        ),
        (
            lambda ctx: ctx.set(("a",), 1),
            ContextTypeError,
            "a key is text such as 'metrics.mean_v1', not a tuple",
        ),
        (
            lambda ctx: ctx.get(3),
            ContextTypeError,
            "a key is text such as 'metrics.mean_v1', not a number",
        ),
        (
            lambda ctx: ctx.get_history([1]),
            ContextTypeError,
            "a key is text such as 'metrics.mean_v1', not a list",
        ),
        (
            lambda ctx: ctx.layer().last_modified(3),
            ContextTypeError,
            "a key is text such as 'metrics.mean_v1', not a number",
        ),
        (
            lambda ctx: ctx.get([1]),
            ContextTypeError,
            "a key is text such as 'metrics.mean_v1', not a list",
        ),
        (
            lambda ctx: ctx[{"a": 1}],
            ContextTypeError,
            "a key is text such as 'metrics.mean_v1', not a mapping",
        ),
        (lambda ctx: ctx.set("a", 1, who=3), ContextTypeError, "who is text, not a number"),
        (
            lambda ctx: ctx.append("c", 1, who="x" * 1_000_000),
            ContextTypeError,
            "who is a name of at most 200 characters, not 1,000,000",
        ),
        (
            lambda ctx: ctx.set("a", 1, who="é\n\x1b[2J"),
            ContextTypeError,
            "who is a name without control characters, not '\\xe9\\n\\x1b[2J'",
        ),
        (
            lambda ctx: ctx.set("a", 1, who="\ud800"),
            NotJson,
            (
                "who has a lone surrogate at index 0, which JSON does not have; "
                "use .encode(errors='backslashreplace').decode()"
            ),
        ),
    ],
)
def test_an_invalid_operation_is_refused_and_changes_nothing(
    ctx: Context, operation: Any, error: type[Exception], message: str
) -> None:
    ctx.set("dut.firmware", "1.2")
    ctx.set("list", [1, 2])
    ctx.set("flag", True)
    ctx.set("n", 1e308)
    ctx.set("huge", 10**400)
    ctx.set("3", None)
    before = ctx.snapshot()

    with pytest.raises(error) as caught:
        operation(ctx)

    assert str(caught.value) == message
    assert ctx.snapshot() == before


@pytest.mark.parametrize(
    "operation",
    [
        lambda ctx: ctx.set("a", ((),)),
        lambda ctx: ctx.set("", 1),
        lambda ctx: ctx["a"],
        lambda ctx: ctx.pop("a"),
        lambda ctx: ctx.increment("a", "b"),
        lambda ctx: ctx.restore({}),
    ],
)
def test_pytest_shows_no_frame_of_the_package(ctx: Context, operation: Any) -> None:
    with pytest.raises(OrchestratorError) as caught:
        operation(ctx)

    shown = [str(entry.path) for entry in caught.traceback if not entry.ishidden(None)]
    assert set(shown) == {__file__}


def test_the_error_for_a_missing_key_says_that_the_context_is_empty(ctx: Context) -> None:
    with pytest.raises(ContextKeyError) as caught:
        ctx.delete("a")

    assert str(caught.value) == "no key 'a' in the context; it is empty"


def test_a_string_enum_member_is_a_key_by_its_text(ctx: Context) -> None:
    class Key(enum.StrEnum):
        MEAN = "metrics.mean"

    reported: list[Change] = []
    handle = ctx.bound("flash", reported.append)
    handle.set(Key.MEAN, [1])
    handle.append(Key.MEAN, 2)
    handle.pop(Key.MEAN, 0)

    assert ctx.get(Key.MEAN) == [2]
    assert [type(key) for key in ctx] == [str]
    handle.delete(Key.MEAN)
    assert Key.MEAN not in ctx
    assert [type(change.key) for change in reported] == [str] * 4


def test_history_contains_every_change(ctx: Context) -> None:
    ctx.set("a", 1)
    ctx.set("a", [1], who="flash")
    ctx.append("a", {"x": 2})
    ctx.pop("a", 0)
    ctx.delete("a")
    ctx.increment("a", 2)

    assert without_ts(ctx.get_history("a")) == [
        {"who": "user", "op": "set", "old": None, "new": 1},
        {"who": "flash", "op": "set", "old": 1, "new": [1]},
        {"who": "user", "op": "append", "old": None, "new": {"x": 2}, "index": 1},
        {"who": "user", "op": "pop", "old": 1, "new": None, "index": 0},
        {"who": "user", "op": "delete", "old": [{"x": 2}], "new": None},
        {"who": "user", "op": "increment", "old": None, "new": 2},
    ]


def test_history_of_a_key_that_never_existed_is_empty(ctx: Context) -> None:
    assert ctx.get_history("a") == []
    assert ctx.last_modified("a") is None


def test_changes_of_one_history_share_nothing(ctx: Context) -> None:
    ctx.set("a", [[1]])
    ctx.append("a", [2])
    ctx.set("a", 0)

    changes = ctx.get_history("a")
    changes[0]["new"][0].append(9)
    changes[1]["new"].append(9)

    assert changes[2]["old"] == [[1], [2]]


def test_times_are_iso_8601_in_utc_and_increase(ctx: Context) -> None:
    before = datetime.now(UTC)
    for _ in range(1000):
        ctx.increment("a")
        ctx.increment("b")

    times = sorted(
        datetime.fromisoformat(change["ts"])
        for key in ("a", "b")
        for change in ctx.get_history(key)
    )

    assert len(set(times)) == 2000
    assert times[0].utcoffset() == before.utcoffset()
    assert before.replace(microsecond=0) <= times[0]
    assert ctx.get_history("a")[0]["ts"][10:11] + ctx.get_history("a")[0]["ts"][-1:] == "TZ"


def test_times_increase_after_the_clock_is_set_back(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    ctx.set("a", 1)
    monkeypatch.setattr("time.time_ns", lambda: 10**18)
    ctx.set("b", 1)

    assert str(ctx.last_modified("a")) < str(ctx.last_modified("b"))


def test_last_modified_is_the_time_of_the_last_change(ctx: Context) -> None:
    for key in ("a,b", "a]"):
        ctx.set(key, "x\n[1,2")
        ctx.set(key, ["y\n"])
        ctx.delete(key)

        assert ctx.last_modified(key) == ctx.get_history(key)[-1]["ts"]


def test_handles_share_the_state_and_have_their_own_names(ctx: Context) -> None:
    flash = ctx.bound("flash")
    flash.set("a", 1)
    ctx.set("a", 2)
    flash.set("a", 3, who="other")

    assert ctx.get("a") == 3
    assert [change["who"] for change in ctx.get_history("a")] == ["flash", "user", "other"]


def test_a_handle_reports_the_changes_made_through_it(ctx: Context) -> None:
    reported: list[Change] = []
    flash = ctx.bound("flash", reported.append)

    ctx.set("b", 1)
    flash.set("a", [1])
    flash.append("a", 2)
    flash.increment("b")
    flash.pop("a", 0)
    flash.delete("b")

    assert [change.key for change in reported] == ["a", "a", "b", "a", "b"]
    assert [change.as_dict() for change in reported if change.key == "a"] == ctx.get_history("a")
    assert [change.as_dict() for change in reported if change.key == "b"] == ctx.get_history("b")[
        1:
    ]


def test_a_reported_change_is_independent_of_the_context(ctx: Context) -> None:
    reported: list[Change] = []
    flash = ctx.bound("flash", reported.append)

    flash.set("a", [[1]])
    reported[0].new[0].append(9)
    flash.append("a", 2)
    flash.set("a", 0)

    assert reported[0].new == [[1, 9]]
    assert reported[2].old == [[1], 2]


def test_a_change_callback_may_use_the_context(ctx: Context) -> None:
    handle = ctx.bound("flash", lambda change: ctx.append("log", change.key))

    handle.set("a", 1)

    assert ctx.get("log") == ["a"]


def test_a_handle_lists_the_paths_that_it_read_and_did_not_exist(ctx: Context) -> None:
    handle = ctx.bound("flash")
    handle.set("there", 1)

    handle.get("there")
    handle.get("a.b", 0)
    assert "c" not in handle
    with pytest.raises(ContextKeyError):
        handle["d"]
    with pytest.raises(ContextKeyError):
        handle.pop("e")
    with pytest.raises(ContextKeyError):
        handle.delete("f")
    handle.get("a.b")

    assert handle.missed == ("a.b", "c", "d", "e", "f")
    assert ctx.missed == ()


def test_a_handle_lists_at_most_a_hundred_missed_paths(ctx: Context) -> None:
    for number in range(1000):
        ctx.get(f"a{number}")

    assert len(ctx.missed) == 100


def test_the_repr_contains_the_number_of_keys(ctx: Context) -> None:
    ctx.set("a", 1)

    assert repr(ctx) == "<Context of 1 key, who='user'>"
    assert repr(Context("flash")) == "<Context of 0 keys, who='flash'>"
