"""What a shell step printed is read strictly, and a mistake is shown at its byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.execution.steps.json_output import Parse, parsed

PARSES: tuple[Parse, ...] = ("json", "last-line", "data")

CURE = (
    "Print logs to stderr, or say `parse: last-line`, "
    "or write the object to the file named by $ORCHESTRATOR_RESULT."
)


def failure(raw: bytes, parse: Parse = "json") -> Failure:
    found = parsed(raw, parse)
    assert isinstance(found, Failure)
    assert found.kind == "protocol"
    return found


def test_one_object_is_the_result() -> None:
    raw = b' \n{"status": "ok", "v": [1, 2.5]}\n'
    assert parsed(raw, "json") == {"status": "ok", "v": [1, 2.5]}


def test_text_before_the_object_is_shown_with_a_caret() -> None:
    found = failure(b'starting\n{"status": "ok"}\n')
    assert found.reason == "stdout is not one JSON object: text before it, at byte 0"
    assert found.detail == ('b\'starting\\n{"status": "ok"}\\n\'', "  ^", CURE)


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (b'{"status": "ok"}{"status": "ok"}', "a second value after it, at byte 16"),
        (b'{"status": "ok"} done', "text after it, at byte 17"),
        (b'{"a": 1, "a": 2}', 'duplicate key "a", at byte 9'),
        (
            b'{"b": {"a": ["a"]}, "a": 1, "\\u0061": {"c": 1, "c": 2}}',
            'duplicate key "a", at byte 28',
        ),
        (b'{"a": {"b": 1}, "b": [{"b": NaN}]}', "JSON has no NaN, at byte 28"),
        (b'{"a": NaN}', "JSON has no NaN, at byte 6"),
        (b'{"a\\"NaN": "NaN", "b": NaN}', "JSON has no NaN, at byte 23"),
        (b'{"a": -Infinity}', "JSON has no -Infinity, at byte 6"),
        (b'{"a": 1e999}', "no number is as large as 1e999, at byte 6"),
        (b"[" + b"9" * 400 + b".0]", "no number is as large as " + "9" * 39 + "…, at byte 1"),
        (b'{"a": -' + b"1" * 5000 + b"}", "a number of 5000 digits is too long, at byte 6"),
        (b'{"a": "\\\\ud800 \\ud83d"}', "half of a surrogate pair is no character, at byte 15"),
        (b'{"a": "\\ude00"}', "half of a surrogate pair is no character, at byte 7"),
        (b"[1]", "it is a list, at byte 0"),
        (b" 7", "it is a number, at byte 1"),
        (b'{"a": "\xff"}', "byte 0xff is not UTF-8, at byte 7"),
        ('{"ä": 1} x'.encode(), "text after it, at byte 10"),
        (b"{'a': 1}", "expecting property name enclosed in double quotes, at byte 1"),
    ],
)
def test_a_broken_rule_is_named_with_its_byte(raw: bytes, rule: str) -> None:
    assert failure(raw).reason == f"stdout is not one JSON object: {rule}"


def test_nothing_printed_is_told_with_its_cure() -> None:
    found = failure(b" \n")
    assert found.reason == "stdout is empty; one JSON object is wanted"
    assert found.detail == ("Print one, or say `parse: text` where there is none to print.",)


def test_the_last_line_counts_where_the_recipe_says_so() -> None:
    assert parsed(b'noise\n{"status": "ok"}\n\n', "last-line") == {"status": "ok"}
    assert failure(b'{"status": "ok"}\nnoise\n', "last-line").reason == (
        "the last line of stdout is not one JSON object: expecting value, at byte 17"
    )


def test_any_one_value_is_data_and_nothing_is_text() -> None:
    assert parsed(b"[1, 2]", "data") == [1, 2]
    assert parsed(b"hello", "text") == {"status": "ok"}


def test_json_nested_without_end_is_refused() -> None:
    assert failure(b'{"a":' * 100_000).reason.startswith("stdout is not one JSON object: ")


def test_long_output_is_shown_around_the_offending_byte() -> None:
    found = failure(b'{"a": 1}' + b" " * 200 + b"x" + b"y" * 200)
    shown, caret = found.detail[:2]
    assert shown[caret.index("^")] == "x"
    assert len(shown) < 100


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.booleans()))
def test_whatever_json_writes_is_read_back(value: dict[str, object]) -> None:
    assert parsed(json.dumps(value).encode(), "json") == value


@given(st.binary())
def test_any_bytes_give_a_value_or_a_failure(raw: bytes) -> None:
    for parse in PARSES:
        found = parsed(raw, parse)
        assert isinstance(found, Failure) or json.loads(json.dumps(found)) == found
