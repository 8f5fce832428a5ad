"""`plain` converts any object to JSON for display, and never raises."""

import dataclasses
import datetime
import decimal
import enum
import fractions
import json
import uuid
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.text import escape_surrogates, escape_surrogates_in_json
from pytest_orchestrator.plugin.results.jsonable import plain

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


class Mode(enum.Enum):
    IDLE = "idle"


@dataclasses.dataclass
class Reading:
    value: float
    path: Path


class Point(msgspec.Struct):
    x: int


class Failing:
    def __repr__(self) -> str:
        raise RuntimeError

    __str__ = __eq__ = __repr__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class FailingPath:
    def __fspath__(self) -> str:
        raise RuntimeError

    def __repr__(self) -> str:
        return "FailingPath"


@given(json_values)
def test_json_is_returned_unchanged(value: Any) -> None:
    assert repr(plain(value)) == repr(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (Path("a/b"), "a/b"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.UTC), "2024-01-02T03:00:00+00:00"),
        (datetime.timedelta(seconds=90), "0:01:30"),
        (b"a\xff\n", "a\\xff\n"),
        (bytearray(b"a"), "a"),
        (memoryview(b"a"), "a"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        ((1, (2,)), [1, [2]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset("b"), ["b"]),
        (Mode.IDLE, "idle"),
        (decimal.Decimal("1.50"), "1.50"),
        (fractions.Fraction(1, 2), 0.5),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Reading(float("nan"), Path("x")), {"value": "NaN", "path": "x"}),
        (Point(1), {"x": 1}),
        (MappingProxyType({1: "a", "1": "b"}), {"1": "a", "1'": "b"}),
        ({None: 1, (1, 2): 2}, {"None": 1, "(1, 2)": 2}),
        ("\ud800", "\\ud800"),
        ({"\ud800": "\udfff"}, {"\\ud800": "\\udfff"}),
        (10**5000, "integer of 16,610 bits"),
        (Failing(), "<Failing whose repr fails>"),
        (FailingPath(), "FailingPath"),
        (int, "<class 'int'>"),
        (ValueError("no"), "ValueError('no')"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_json_lacks_are_converted(value: object, shown: object) -> None:
    assert plain(value) == shown


def test_a_circular_reference_is_cut() -> None:
    value: dict[str, Any] = {"a": []}
    value["a"].append(value)

    assert plain(value) == {"a": ["..."]}


def test_an_object_that_occurs_twice_is_shown_twice() -> None:
    part = [1]

    assert plain([part, part]) == [[1], [1]]


def test_nesting_is_cut_at_fifty_levels() -> None:
    value: Any = []
    for _ in range(10_000):
        value = [value]

    assert json.dumps(plain(value)) == "[" * 50 + '"..."' + "]" * 50


def test_a_repr_is_cut_at_three_hundred_characters() -> None:
    class Long:
        def __repr__(self) -> str:
            return "x" * 1000

    assert plain(Long()) == "x" * 300 + "..."


@pytest.mark.unmeasured
def test_a_value_that_grows_exponentially_is_cut() -> None:
    bomb: list[Any] = ["x"]
    for _ in range(40):
        bomb = [bomb, bomb]

    text = json.dumps(plain(bomb))

    assert text.count("...") >= 1
    assert len(text) < 2_000_000


@pytest.mark.unmeasured
@pytest.mark.parametrize("many", [range(200_000), dict.fromkeys(range(200_000))])
def test_a_value_with_too_many_items_is_cut(many: Any) -> None:
    shown = plain(list(many) if isinstance(many, range) else many)

    assert isinstance(shown, (list, dict))
    assert len(shown) == 100_000
    assert (list(shown.values()) if isinstance(shown, dict) else shown)[-1] == "..."


def test_a_mapping_whose_items_fail_is_shown_by_its_repr() -> None:
    class Broken(dict[str, int]):
        def items(self) -> Any:
            raise OSError

    assert plain([Broken(a=1)]) == ["{'a': 1}"]


def test_surrogates_are_escaped_and_other_values_are_unchanged() -> None:
    value: Any = {"a\udcff": ["é", {"b": "c\udc80d\ud800"}], "n": [1, 2.5, None, True]}

    assert escape_surrogates_in_json(value) == {
        r"a\xff": ["é", {"b": r"c\udc80d\ud800"}],
        "n": [1, 2.5, None, True],
    }
    assert escape_surrogates("x\udcff") == r"x\xff"
