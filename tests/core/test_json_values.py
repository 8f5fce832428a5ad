"""A value is copied unchanged, or refused with its position and a cure."""

import collections
import dataclasses
import datetime
import decimal
import enum
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core import json_values as core_json_values
from pytest_orchestrator.core.json_values import (
    MAX_DEPTH,
    NotJson,
    deep_copy,
    json_copy,
    kind,
    same_json,
)

checked_copy = vars(core_json_values)["_checked_copy"]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.floats(allow_nan=False, allow_infinity=False),
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)
odd_values = st.recursive(
    scalars | st.floats() | st.binary() | st.dates() | st.characters(categories=["Cs"]),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(scalars, inner)
        | st.dictionaries(st.text(), inner).map(collections.OrderedDict)
    ),
    max_leaves=10,
)


class Shouting(str):
    __slots__ = ()


class Volts(float):
    pass


class Mode(enum.StrEnum):
    IDLE = "idle"


@dataclasses.dataclass
class Reading:
    value: int = 1

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Frozen(msgspec.Struct):
    value: int = 1


class Impostor:
    """Object that claims to be a mapping and equal to everything."""

    __class__ = dict  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


class Array:
    """Array as of numpy: the result of == has no truth value."""

    def __eq__(self, other: object) -> Any:
        return Array()

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise ValueError("ambiguous")

    def tolist(self) -> list[int]:
        return [1]


def circle() -> list[Any]:
    outer: list[Any] = [1]
    outer.append({"back": outer})
    return outer


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@given(json_values)
def test_a_json_value_is_copied_with_its_types(value: Any) -> None:
    assert repr(json_copy(value)) == repr(value)


@given(json_values)
def test_a_copy_shares_nothing_with_the_value(value: Any) -> None:
    def containers(one: Any) -> set[int]:
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else []
        own = {id(one)} if isinstance(one, (dict, list)) else set()
        return own.union(*(containers(item) for item in inner))

    copy = json_copy(value)

    assert containers(copy).isdisjoint(containers(value))


@given(odd_values)
def test_the_fast_and_the_checked_copy_accept_the_same_values(value: Any) -> None:
    def result_or_error(copy: Callable[[], Any]) -> str:
        try:
            return repr(copy())
        except NotJson as error:
            return str(error)

    fast = result_or_error(lambda: json_copy(value))

    assert fast == result_or_error(lambda: checked_copy(value, ["value"], [], MAX_DEPTH))


@given(odd_values)
def test_only_exact_json_is_accepted(value: Any) -> None:
    def is_json(one: Any) -> bool:
        if isinstance(one, dict):
            return all(type(key) is str and is_json(key) and is_json(one[key]) for key in one)
        if isinstance(one, list):
            return all(map(is_json, one))
        if isinstance(one, str):
            return type(one) is str and one == one.encode(errors="replace").decode()
        if isinstance(one, float):
            return abs(one) < float("inf")
        return one is None or type(one) in (bool, int)

    try:
        json_copy(value)
    except NotJson:
        assert not is_json(value)
    else:
        assert is_json(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((1,), "value is a tuple, which JSON does not have; use a list"),
        ({"a": [0, 1, (2,)]}, "value['a'][2] is a tuple, which JSON does not have; use a list"),
        ({1, 2}, "value is a set, which JSON does not have; use a sorted list"),
        (b"x", "value is bytes, which JSON does not have; use its hex() or decode it to text"),
        (
            datetime.date(2024, 1, 1),
            "value is a date, which JSON does not have; use its isoformat()",
        ),
        (decimal.Decimal(1), "value is a Decimal, which JSON does not have; use str() or float()"),
        (Path("x"), f"value is a {type(Path()).__name__}, which JSON does not have; use str()"),
        (range(3), "value is a range, which JSON does not have; use list()"),
        (
            [float("nan")],
            "value[0] is nan, which JSON does not have; use None or leave it out",
        ),
        (
            Shouting("x"),
            "value is a Shouting, a kind of str, which JSON does not have; use str()",
        ),
        (
            [Volts(3.3)],
            "value[0] is a Volts, a kind of float, which JSON does not have; use float()",
        ),
        (Mode.IDLE, "value is a member of the enum Mode, which JSON does not have; use its .value"),
        (
            [Reading()],
            "value[0] is a Reading, which JSON does not have; use dataclasses.asdict()",
        ),
        (Frozen(), "value is a Frozen, which JSON does not have; use msgspec.to_builtins()"),
        (
            {"a": Impostor()},
            (
                "value['a'] is an Impostor, which JSON does not have; "
                "store the plain values of it that you need"
            ),
        ),
        ([Array()], "value[0] is an Array, which JSON does not have; use its tolist()"),
        ({"a": {1: 2}}, "value['a'] has a key that is an int, not text; use str()"),
        ({(1,): 2}, "value has a key that is a tuple, not text; use text"),
        ({Mode.IDLE: 1}, "value has a key that is a member of the enum Mode, not text; use str()"),
        (
            {"a": "x\ud800"},
            (
                "value['a'] has a lone surrogate at index 1, which JSON does not have; "
                "use .encode(errors='backslashreplace').decode()"
            ),
        ),
        (
            {"a": {"\ud800": 1}},
            (
                "value['a'] has a key with a lone surrogate at index 0, which JSON does not have; "
                "use .encode(errors='backslashreplace').decode()"
            ),
        ),
        (circle(), "value[1]['back'] contains itself; store a copy without the circle"),
        (
            nested(MAX_DEPTH + 1),
            (
                "value[0][0][0][0][0][0]…[0][0][0][0][0][0] is nested more than 200 deep; "
                "store it flatter"
            ),
        ),
        (10**5000, "value is an integer of 16,610 bits, too long for JSON; use hex()"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else type(value).__name__,
)
def test_values_that_json_lacks_are_refused_with_position_and_cure(
    value: Any, message: str
) -> None:
    with pytest.raises(NotJson) as caught:
        json_copy(value)

    assert str(caught.value) == message


def test_an_error_names_the_value() -> None:
    with pytest.raises(NotJson, match=r"^result\['a'\] is a tuple"):
        json_copy({"a": ()}, "result")


def test_a_subclass_of_list_or_dict_is_copied_by_its_items() -> None:
    counts = collections.Counter("aab")

    copy = json_copy({"counts": counts})

    assert repr(copy) == "{'counts': {'a': 2, 'b': 1}}"


@pytest.mark.parametrize("value", [2**63, 2**64, -(2**64) - 1, 10**300, 1.7976931348623157e308])
def test_numbers_beyond_64_bits_survive(value: float) -> None:
    assert json_copy(value) == value


def test_values_of_the_greatest_depth_survive() -> None:
    assert json_copy(nested(MAX_DEPTH)) == nested(MAX_DEPTH)


def test_a_flat_value_with_many_brackets_survives() -> None:
    value: list[Any] = [{"text": "[[[[{{{{"}] * 500

    assert json_copy(value) == value


def test_a_text_with_many_brackets_survives() -> None:
    assert json_copy("[" * 1000) == "[" * 1000


@pytest.mark.parametrize("head", [{}, {"long": "x" * 1000}], ids=["short", "long"])
def test_depth_is_limited_in_flat_and_in_long_values(head: dict[str, Any]) -> None:
    value: list[Any] = [head, *[1] * 500, nested(MAX_DEPTH)]

    with pytest.raises(NotJson, match="nested more than 200 deep"):
        json_copy(value)


def test_a_circle_of_mappings_deeper_than_the_stack_is_refused() -> None:
    value: Any = {}
    for _ in range(10 * sys.getrecursionlimit()):
        value = {"a": value}

    with pytest.raises(NotJson, match="nested more than 200 deep"):
        json_copy(value)


def test_no_method_of_the_value_is_called() -> None:
    class Trap(dict[str, Any]):
        def called(self, *_: Any) -> Any:
            raise AssertionError("called")

        __eq__ = __len__ = __iter__ = items = keys = values = called
        __hash__ = None

    class Row(list[Any]):
        __eq__ = __len__ = __iter__ = Trap.called
        __hash__ = None

    assert json_copy([Trap(a=1), Row([1])]) == [{"a": 1}, [1]]


def test_deep_copy_copies_a_json_value() -> None:
    value: Any = {"a": [1]}

    copy: Any = deep_copy(value)
    copy["a"].append(2)

    assert value == {"a": [1]}


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), (0.0, -0.0), ({"a": 1, "b": 2}, {"b": 2, "a": 1})]
)
def test_values_that_python_calls_equal_may_differ_as_json(one: Any, other: Any) -> None:
    assert one == other
    assert not same_json([one], [other])


def test_kinds_are_named_as_a_recipe_names_them() -> None:
    named: list[Any] = [None, True, 1, 1.5, "", [], {}, (), Path(), b""]

    assert [kind(value) for value in named] == [
        "null",
        "a boolean",
        "a number",
        "a number",
        "text",
        "a list",
        "a mapping",
        "a tuple",
        f"a {type(Path()).__name__}",
        "bytes",
    ]
