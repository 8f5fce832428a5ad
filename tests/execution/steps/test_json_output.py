"""Strict parser of the output of shell steps, which shows the byte of the first error."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.execution.steps.json_output import Parse, parsed

PARSES: tuple[Parse, ...] = ("json", "last-line", "data")

AS_TEXT = (
    "Write `parse: text` in the step if it prints no JSON: its exit code then says whether it "
    'passed. To return values, print one JSON object alone, such as {"status": "ok"}.'
)
LAST_LINE = (
    "Write `parse: last-line` in the step, which reads the last line alone, "
    "or print the other text to stderr: `echo text >&2`."
)
AROUND = (
    "Print the other text to stderr, `echo text >&2`, "
    "or write the JSON object to the file named by $ORCHESTRATOR_RESULT."
)
KIND = (
    "Write `parse: data` in the step if this value is its result, "
    "or `parse: text` if its output is text."
)
BROKEN = (
    "Correct the program that prints it, or write `parse: text` in the step if its output is text."
)


def failure_of(raw: bytes, parse: Parse = "json") -> Failure:
    failure = parsed(raw, parse)
    assert isinstance(failure, Failure)
    assert failure.kind == "protocol"
    return failure


def test_one_object_becomes_the_result() -> None:
    raw = b' \n{"status": "ok", "v": [1, 2.5]}\n'
    assert parsed(raw, "json") == {"status": "ok", "v": [1, 2.5]}


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"hi\n", "'hi\\n'"),
        (b"[INFO] flashed\n", "'[INFO] flashed\\n'"),
        (b"12 V", "'12 V'"),
        (b"caf\xe9", "'caf\\xe9'"),
    ],
)
def test_text_without_a_brace_names_parse_text_first(raw: bytes, shown: str) -> None:
    failure = failure_of(raw)
    assert failure.reason == "stdout is text; one JSON object is expected"
    assert failure.detail == (shown, AS_TEXT)


def test_text_before_the_object_is_shown_with_a_caret() -> None:
    failure = failure_of(b'starting\n{"status": "ok"}\n')
    assert failure.reason == "stdout has text before its JSON object, at byte 0"
    assert failure.detail == ('\'starting\\n{"status": "ok"}\\n\'', " ^", LAST_LINE)


@pytest.mark.parametrize(
    ("raw", "cure"),
    [
        (b'log {"status": "ok"} end', AROUND),
        (b'{"status": "ok"} done', AROUND),
        (b'{"a": 1}\n{"a": 2}', LAST_LINE),
        (b"[1]", KIND),
        (b"7", KIND),
        (b"{'a': 1}", BROKEN),
        (b"gcc {1}", BROKEN),
        (b'{"a": "\xff"}', BROKEN),
        (b'{"a": NaN}', BROKEN),
    ],
)
def test_each_kind_of_output_has_the_cure_that_fits_it(raw: bytes, cure: str) -> None:
    assert failure_of(raw).detail[-1] == cure


def test_a_result_file_has_a_cure_of_its_own() -> None:
    failure = parsed(b"hi", "json", "$ORCHESTRATOR_RESULT")
    assert failure == Failure(
        kind="protocol",
        reason="$ORCHESTRATOR_RESULT is text; one JSON object is expected",
        detail=("'hi'", "Write one JSON object to this file, and nothing else."),
    )


@pytest.mark.parametrize(
    ("raw", "rule"),
    [
        (
            b'{"status": "ok"}{"status": "ok"}',
            "has a second JSON value after its JSON object, at byte 16",
        ),
        (b'{"status": "ok"} done', "has text after its JSON object, at byte 17"),
        (b'{"a": 1, "a": 2}', 'is not valid JSON: duplicate key "a", at byte 9'),
        (
            b'{"b": {"a": ["a"]}, "a": 1, "\\u0061": {"c": 1, "c": 2}}',
            'is not valid JSON: duplicate key "a", at byte 28',
        ),
        (b'{"a": {"b": 1}, "b": [{"b": NaN}]}', "is not valid JSON: JSON has no NaN, at byte 28"),
        (b'{"a": NaN}', "is not valid JSON: JSON has no NaN, at byte 6"),
        (b'{"a\\"NaN": "NaN", "b": NaN}', "is not valid JSON: JSON has no NaN, at byte 23"),
        (b'{"a": -Infinity}', "is not valid JSON: JSON has no -Infinity, at byte 6"),
        (b'{"a": 1e999}', "is not valid JSON: no number is as large as 1e999, at byte 6"),
        (
            b'{"a": ' + b"9" * 400 + b".0}",
            "is not valid JSON: no number is as large as " + "9" * 39 + "…, at byte 6",
        ),
        (
            b'{"a": -' + b"1" * 5000 + b"}",
            "is not valid JSON: a number of 5000 digits is too long, at byte 6",
        ),
        (
            b'{"a": 1.' + b"1" * 5000 + b"}",
            "is not valid JSON: a number of 5001 digits is too long, at byte 6",
        ),
        (
            b'{"a": "\\\\ud800 \\ud83d"}',
            "is not valid JSON: half of a surrogate pair is no character, at byte 15",
        ),
        (
            b'{"a": "\\ude00"}',
            "is not valid JSON: half of a surrogate pair is no character, at byte 7",
        ),
        (b"[1]", "is a list, not a JSON object, at byte 0"),
        (b" 7", "is a number, not a JSON object, at byte 1"),
        (b"true", "is a boolean, not a JSON object, at byte 0"),
        (b'{"a": "\xff"}', "is not UTF-8: byte 0xff, at byte 7"),
        ('{"ä": 1} x'.encode(), "has text after its JSON object, at byte 10"),
        (b'{"a": ok}', "is not valid JSON: a JSON value is expected, at byte 6"),
        (b'{"a" 1}', "is not valid JSON: ':' is expected, at byte 5"),
        (b'{"a": 1 "b": 2}', "is not valid JSON: ',' is expected, at byte 8"),
        (b'{"a": "x}', "is not valid JSON: a text without its last quote, at byte 6"),
        (
            b'{"a": "\n"}',
            "is not valid JSON: a line break, tab or other control character in a text, at byte 7",
        ),
        (b'{"a": "\\q"}', "is not valid JSON: invalid \\escape, at byte 7"),
        (b"{'a': 1}", "is not valid JSON: a name in double quotes is expected, at byte 1"),
    ],
)
def test_a_broken_rule_is_named_with_its_byte(raw: bytes, rule: str) -> None:
    assert failure_of(raw).reason == f"stdout {rule}"


def test_empty_output_is_reported_with_its_cure() -> None:
    failure = failure_of(b" \n")
    assert failure.reason == "stdout is empty; one JSON object is expected"
    assert failure.detail == (AS_TEXT,)


def test_parse_last_line_reads_only_the_last_line() -> None:
    assert parsed(b'noise\n{"status": "ok"}\n\n', "last-line") == {"status": "ok"}
    assert failure_of(b'{"status": "ok"}\nnoise\n', "last-line").reason == (
        "the last line of stdout is text; one JSON object is expected"
    )


def test_parse_data_accepts_any_value_and_parse_text_reads_none() -> None:
    assert parsed(b"[1, 2]", "data") == [1, 2]
    assert parsed(b"hello", "text") == {"status": "ok"}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"12 V", "stdout is text; one JSON value, such as 23.5 without a unit, is expected"),
        (b"[1] [2]", "stdout has a second JSON value after its JSON value, at byte 4"),
        (b"[1, NaN]", "stdout is not valid JSON: JSON has no NaN, at byte 4"),
    ],
)
def test_parse_data_names_what_came_instead_of_one_value(raw: bytes, reason: str) -> None:
    assert failure_of(raw, "data").reason == reason


def test_json_with_too_many_levels_is_refused() -> None:
    assert (
        failure_of(b'{"a":' * 100_000).reason
        == "stdout is not valid JSON: nested too deeply, at byte 0"
    )


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
