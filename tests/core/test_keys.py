"""A path is resolved to a key, into its value, or to all keys with a prefix."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.errors import ContextKeyError, ContextTypeError
from pytest_orchestrator.core.keys import ABSENT, checked_key, find_path, value_at

parts = st.sampled_from(["a", "b", "c", "0"])
keys = st.lists(parts, min_size=1, max_size=4).map(".".join)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("dut", {"serial": "A1", "ports": [{"id": 7}], "x.y": {"z": 1}}),
        ("dut.serial", "A1"),
        ("dut.ports.0.id", 7),
        ("dut.ports.-1.id", 7),
        ("dut.ports.1", ABSENT),
        ("dut.ports.-2", ABSENT),
        ("dut.ports.x", ABSENT),
        ("dut.ports.+0", ABSENT),
        ("dut.ports.\N{ARABIC-INDIC DIGIT ZERO}", ABSENT),
        ("dut.ports." + "9" * 5000, ABSENT),
        ("dut.serial.0", ABSENT),
        ("dut.x.y.z", 1),
        ("dut.x", ABSENT),
        ("a.b", 1),
        ("a.b.c", 2),
        ("a", {"b": 1, "b.c": 2, "d": {"e": 3}}),
        ("a.d", {"e": 3}),
        ("a.d.e", 3),
        ("", ABSENT),
        (".", ABSENT),
        ("a.", ABSENT),
        ("nothing", ABSENT),
        ("none", None),
        ("none.x", ABSENT),
    ],
)
def test_a_path_is_resolved(path: str, value: object) -> None:
    values: dict[str, Any] = {
        "dut": {"serial": "A1", "ports": [{"id": 7}], "x.y": {"z": 1}},
        "a.b": 1,
        "a.b.c": 2,
        "a.d.e": 3,
        "none": None,
    }

    assert find_path(values, path) == value


def test_the_longest_key_is_followed() -> None:
    values: dict[str, Any] = {"a": {"b": {"c": "short"}}, "a.b": {"c": "long"}}

    assert find_path(values, "a.b.c") == "long"


def test_the_longest_key_of_a_value_is_followed() -> None:
    assert find_path({"k": {"x": {"y": 1}, "x.y": 2}}, "k.x.y") == 2


def test_keys_with_the_prefix_are_found_if_the_value_has_no_such_part() -> None:
    values: dict[str, Any] = {"a": {"x": 1}, "a.b.c": 2}

    assert find_path(values, "a.b") == {"c": 2}


@given(st.dictionaries(keys, st.integers()), keys)
def test_a_tree_of_keys_contains_every_key(values: dict[str, Any], path: str) -> None:
    below = {key: value for key, value in values.items() if key.startswith(f"{path}.")}
    if path in values or not below:
        return

    tree = find_path(values, path)

    assert tree is not ABSENT
    assert {key: value_at(tree, key[len(path) + 1 :].split(".")) for key in below} == below


@given(st.dictionaries(keys, st.integers()), keys)
def test_resolving_a_prefix_leaves_the_values_unchanged(values: dict[str, Any], path: str) -> None:
    before = repr(values)

    find_path(values, path)

    assert repr(values) == before


def test_a_path_of_a_million_dots_is_resolved_quickly() -> None:
    assert find_path({"a": 1}, "a" + "." * 1_000_000) is ABSENT


def test_a_key_is_text() -> None:
    with pytest.raises(ContextTypeError, match=r"^a key is text such as 'metrics\.mean_v1', not a"):
        find_path({}, 3)  # type: ignore[arg-type]


@pytest.mark.parametrize("key", ["a", "a.b_v1", "0", "Ω", "with space", "-", "a-b/c"])
def test_a_valid_key_is_accepted(key: str) -> None:
    assert checked_key(key) == key


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "'' is no key; write a name such as 'metrics.mean_v1'"),
        ("..", "'..' is no key; write a name such as 'metrics.mean_v1'"),
        ("a..b", "key 'a..b' has an empty part; write 'a.b'"),
        (".a", "key '.a' has an empty part; write 'a'"),
        ("a\nb", "key 'a\\nb' has a control character; write 'a_b'"),
        ("a\x00", "key 'a\\x00' has a control character; write 'a_'"),
        (
            "a\ud800",
            (
                "key 'a\\ud800' has a lone surrogate at index 1, which JSON does not have; "
                "write 'a_'"
            ),
        ),
        ("a\u2028", "key 'a\\u2028' has a control character; write 'a_'"),
        (".".join("a" * 101), "a key of 101 parts; 100 are the most"),
    ],
)
def test_an_invalid_key_is_refused_with_its_cure(key: str, message: str) -> None:
    with pytest.raises(ContextKeyError) as caught:
        checked_key(key)

    assert str(caught.value) == message


def test_a_key_of_another_type_is_refused() -> None:
    with pytest.raises(ContextTypeError) as caught:
        checked_key(b"a")  # type: ignore[arg-type]

    assert str(caught.value) == "a key is text such as 'metrics.mean_v1', not bytes"


def test_a_subclass_of_text_becomes_plain_text() -> None:
    class Name(str):
        __slots__ = ()

    assert type(checked_key(Name("a"))) is str
