"""Strict parser of the output of shell steps, which shows the byte of the first error."""

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


def failure_of(raw: bytes, parse: Parse = "json") -> Failure:
    failure = parsed(raw, parse)
    assert isinstance(failure, Failure)
    assert failure.kind == "protocol"
    return failure


def test_one_object_becomes_the_result() -> None:
    raw = b' \n{"status": "ok", "v": [1, 2.5]}\n'
    assert parsed(raw, "json") == {"status": "ok", "v": [1, 2.5]}


def test_text_before_the_object_is_shown_with_a_caret() -> None:
    failure = failure_of(b'starting\n{"status": "ok"}\n')
    assert failure.reason == "stdout is not one JSON object: text before it, at byte 0"
    assert failure.detail == ('b\'starting\\n{"status": "ok"}\\n\'', "  ^", CURE)


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
        (b"true", "it is a boolean, at byte 0"),
        (b'{"a": "\xff"}', "byte 0xff is not UTF-8, at byte 7"),
        ('{"ä": 1} x'.encode(), "text after it, at byte 10"),
        (b"{'a': 1}", "expecting property name enclosed in double quotes, at byte 1"),
    ],
)
def test_a_broken_rule_is_named_with_its_byte(raw: bytes, rule: str) -> None:
    assert failure_of(raw).reason == f"stdout is not one JSON object: {rule}"


def test_empty_output_is_reported_with_its_cure() -> None:
    failure = failure_of(b" \n")
    assert failure.reason == "stdout is empty; one JSON object is expected"
    assert failure.detail == ("Print one, or say `parse: text` where there is none to print.",)


def test_parse_last_line_reads_only_the_last_line() -> None:
    assert parsed(b'noise\n{"status": "ok"}\n\n', "last-line") == {"status": "ok"}
    assert failure_of(b'{"status": "ok"}\nnoise\n', "last-line").reason == (
        "the last line of stdout is not one JSON object: expecting value, at byte 17"
    )


def test_parse_data_accepts_any_value_and_parse_text_reads_none() -> None:
    assert parsed(b"[1, 2]", "data") == [1, 2]
    assert parsed(b"hello", "text") == {"status": "ok"}


def test_json_with_too_many_levels_is_refused() -> None:
    assert failure_of(b'{"a":' * 100_000).reason.startswith("stdout is not one JSON object: ")


def test_long_output_is_shown_around_the_offending_byte() -> None:
    failure = failure_of(b'{"a": 1}' + b" " * 200 + b"x" + b"y" * 200)
    shown, caret = failure.detail[:2]
    assert shown[caret.index("^")] == "x"
    assert len(shown) < 100


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.booleans()))
def test_an_object_that_json_dumps_wrote_is_read_back(value: dict[str, object]) -> None:
    assert parsed(json.dumps(value).encode(), "json") == value


@given(st.binary())
def test_any_bytes_are_parsed_to_a_value_or_a_failure(raw: bytes) -> None:
    for parse in PARSES:
        value = parsed(raw, parse)
        assert isinstance(value, Failure) or json.loads(json.dumps(value)) == value
