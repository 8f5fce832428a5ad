"""A remote Context behaves like a Context: the same results, errors and texts."""

import enum
import re
import socket
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.rpc.client import RemoteContext
from pytest_orchestrator.context.rpc.protocol import RequestRefused
from pytest_orchestrator.core.errors import ContextKeyError, OrchestratorError
from pytest_orchestrator.core.json_values import NotJson

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import ContextLike


class Key(enum.StrEnum):
    A = "a"


class Text(str):
    __slots__ = ()


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


plain = st.recursive(
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
ODD = [
    (1,),
    {"a": (1,)},
    {1: 2},
    b"x",
    {1},
    float("nan"),
    [float("inf")],
    "\ud800",
    {"\udfff": 1},
    10**400,
    Text("x"),
    Key.A,
    OrderedDict(a=1),
    object,
    *(nested(depth) for depth in (199, 200, 201, 300)),
]
odd = st.sampled_from(ODD)
values = plain | odd
bad_keys = st.sampled_from(["", ".", "a..b", "a\n", "\x85", ".".join("x" * 101), 3, None, True])
keys = st.sampled_from(["a", "a.b", "a.b.c", "d", "Ω x"]) | bad_keys
paths = keys | st.sampled_from(["a.0", "a.b.-1", "\ud800", Text("d"), Key.A])
names = st.sampled_from([None, None, "flash", "Ω", "", 3, True, Text("t"), Key.A])
operations = st.lists(
    st.tuples(st.just("set"), keys | st.sampled_from([Text("d"), Key.A, ("a",)]), values, names)
    | st.tuples(st.just("append"), keys | st.just(Key.A), values, names)
    | st.tuples(st.just("increment"), keys, st.integers() | st.floats() | odd, names)
    | st.tuples(st.just("delete"), keys, names)
    | st.tuples(
        st.just("pop"),
        keys,
        st.integers(-4, 4) | st.sampled_from([10**30, True, "0", None, (1,), Key.A]),
        names,
    )
    | st.tuples(st.just("get"), paths | st.just(("a",)))
    | st.tuples(st.just("get"), paths, plain)
    | st.tuples(st.just("__getitem__"), keys | st.just(Text("d")))
    | st.tuples(st.just("__contains__"), paths)
    | st.tuples(st.just("get_history"), paths)
    | st.tuples(st.just("last_modified"), paths)
    | st.tuples(st.sampled_from(["keys", "to_dict", "snapshot", "__iter__"]))
    | st.tuples(
        st.just("restore"),
        st.sampled_from(["old", "old", {}, {"version": 1, "values": {"a": (1,)}}, 3]),
        names,
    ),
    max_size=25,
)


def without_times(text: str) -> str:
    return re.sub(r"'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z'", "TIME", text)


def outcome(ctx: Any, operation: tuple[Any, ...], old: dict[str, Any]) -> str:
    name, *arguments = operation
    if arguments[:1] == ["old"] and name == "restore":
        arguments[0] = old
    try:
        result = getattr(ctx, name)(*arguments)
    except OrchestratorError as error:
        return f"{type(error).__name__}: {error}"
    result = list(result) if name == "__iter__" else result
    return without_times(repr(result))


@given(operations, st.integers(1, 80))
def test_any_sequence_of_operations_has_the_same_results_and_errors(
    loopback: Callable[..., Any], done: list[tuple[Any, ...]], chunk_size: int
) -> None:
    local, kept = Context("flash"), Context("flash")
    remote = RemoteContext(loopback(kept, chunk_size))
    old = local.snapshot()

    for number, operation in enumerate(done):
        here, there = outcome(local, operation, old), outcome(remote, operation, old)
        assert (operation, there) == (operation, here)
        if number == len(done) // 2:
            old = local.snapshot()

    assert without_times(repr(kept.snapshot())) == without_times(repr(local.snapshot()))
    assert remote.missed == tuple(path for path in local.missed if path != "\ud800")


@pytest.mark.parametrize("value", ODD, ids=lambda value: repr(value)[:20])
def test_values_that_json_lacks_are_refused_with_the_same_text(
    loopback: Callable[..., Any], value: Any
) -> None:
    local = Context()
    remote = RemoteContext(loopback(Context()))
    snapshot = {"version": 1, "values": {"a": value}}

    for operation in [("set", "a", value), ("append", "b", value), ("increment", "c", value)]:
        assert outcome(remote, operation, {}) == outcome(local, operation, {})
    assert outcome(remote, ("restore", snapshot), {}) == outcome(local, ("restore", snapshot), {})
    assert without_times(repr(remote.snapshot())) == without_times(repr(local.snapshot()))


def test_null_is_a_value_that_exists(loopback: Callable[..., Any]) -> None:
    remote = RemoteContext(loopback(Context()))
    remote.set("a", None)

    assert remote.get("a", 1) is None
    assert "a" in remote
    assert remote.missed == ()


def test_a_remote_context_is_context_like(loopback: Callable[..., Any]) -> None:
    like: ContextLike = RemoteContext(loopback(Context()))

    assert like.keys() == []


def test_the_default_is_never_sent(loopback: Callable[..., Any]) -> None:
    remote = RemoteContext(loopback(Context()))
    fallback = object()

    assert remote.get("a", fallback) is fallback
    assert remote.missed == ("a",)


def test_the_name_of_the_handle_is_used_unless_a_call_names_a_writer(
    loopback: Callable[..., Any],
) -> None:
    ctx = Context("flash")
    remote = RemoteContext(loopback(ctx), who="worker")

    remote.set("a", 1)
    remote.increment("a", who="other")

    assert [change["who"] for change in ctx.get_history("a")] == ["worker", "other"]


def test_lone_surrogates_are_refused_with_the_text_of_the_context(
    loopback: Callable[..., Any],
) -> None:
    remote = RemoteContext(loopback(Context()))

    with pytest.raises(ContextKeyError) as key:
        remote.set("\ud800", 1)
    with pytest.raises(NotJson) as who:
        remote.set("a", 1, who="\ud800")

    surrogate = "a lone surrogate at index 0, which JSON does not have"
    assert str(key.value) == f"key '\\ud800' has {surrogate}; write '_'"
    assert key.value.__suppress_context__
    assert str(who.value).startswith("who has a lone surrogate at index 0")


@pytest.mark.parametrize("where", ["local", "remote"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda ctx: ctx.set("k", object()),
            (
                "key 'k': value is an object, which JSON does not have; "
                "store the plain values of it that you need"
            ),
        ),
        (
            lambda ctx: ctx.set("k", Decimal(1)),
            "key 'k': value is a Decimal, which JSON does not have; use str() or float()",
        ),
        (
            lambda ctx: ctx.append("k", {"a": [(1,)]}),
            "key 'k': value['a'][0] is a tuple, which JSON does not have; use a list",
        ),
        (
            lambda ctx: ctx.increment("k", float("nan")),
            "key 'k': by is nan, which JSON does not have; use None or leave it out",
        ),
        (
            lambda ctx: ctx.set("a\ud800", 1),
            (
                "key 'a\\ud800' has a lone surrogate at index 1, which JSON does not have; "
                "write 'a_'"
            ),
        ),
        (lambda ctx: ctx["a\ud800"], "no key 'a\\ud800' in the context (did you mean 'a'?)"),
        (lambda ctx: ctx.pop("a\ud800"), "no key 'a\\ud800' in the context (did you mean 'a'?)"),
        (lambda ctx: ctx.delete("a\ud800"), "no key 'a\\ud800' in the context (did you mean 'a'?)"),
    ],
)
def test_the_error_for_a_refused_value_names_the_key_and_hides_its_cause(
    change: Callable[[Context], object], message: str, where: str, loopback: Callable[..., Any]
) -> None:
    ctx = Context()
    ctx.set("a", 1)
    with pytest.raises(OrchestratorError) as caught:
        change(ctx if where == "local" else RemoteContext(loopback(ctx)))

    assert str(caught.value) == message
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_a_too_long_request_is_refused_and_the_next_is_answered(
    loopback: Callable[..., Any],
) -> None:
    remote = RemoteContext(loopback(Context(), max_line=100))

    with pytest.raises(RequestRefused, match=r"^a request of more than 100 bytes; keep what"):
        remote.set("a", "x" * 100)

    remote.set("a", 1)
    assert remote.to_dict() == {"a": 1}


def test_values_are_kept_by_another_process(link: socket.socket) -> None:
    remote = RemoteContext(link)
    large = [{"reading": number, "text": "Ω" * 50} for number in range(20_000)]

    remote.set("large", large)
    remote.append("large", 1)

    assert remote["large"] == [*large, 1]
    assert [change["who"] for change in remote.get_history("large")] == ["flash"] * 2
    remote.restore(remote.snapshot())
    assert remote.keys() == ["large"]
    assert repr(remote) == "<Context of another process>"


def test_a_remote_context_is_an_instance_of_context(link: socket.socket) -> None:
    remote = RemoteContext(link)
    assert isinstance(remote, Context)
    handle = remote.bound("bench")
    handle.set("volts", 12)
    assert remote.get_history("volts")[-1]["who"] == "bench"
