"""Tests of the handle of an instrument: its requests, its transcript, its error queue."""

import base64
import json
import logging
from collections.abc import Mapping
from typing import Any

import pytest

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.instrument import (
    INSTRUMENT,
    Instrument,
    InstrumentError,
    InstrumentRequest,
    is_query,
    opener,
    reply,
)

LOGGER = "pytest_orchestrator.instrument.psu"


class Answers:
    """Requests that an instrument has sent, and the answers to the next ones."""

    def __init__(self, *answers: Any) -> None:
        self.requests: list[Mapping[str, Any]] = []
        self._answers = list(answers)

    def __call__(self, request: Mapping[str, Any]) -> Any:
        self.requests.append(request)
        return self._answers.pop(0)


def test_a_handle_sends_requests_without_the_values_that_are_not_given() -> None:
    answers = Answers(
        "ACME,1", None, "+5.00", "1", "late", base64.b64encode(b"\0\1").decode(), None
    )
    psu = Instrument("psu", answers)

    assert psu.open() is psu
    psu.write("VOLT 5")
    assert psu.query("VOLT?") == "+5.00"
    psu.wait(timeout=30.0)
    assert psu.read() == "late"
    assert psu.query_block("CURV?", timeout=9.5) == b"\0\1"
    psu.write_block("DATA ", b"abc")
    assert psu.idn == "ACME,1"

    assert answers.requests == [
        {"name": "psu", "do": "open"},
        {"name": "psu", "do": "write", "command": "VOLT 5"},
        {"name": "psu", "do": "query", "command": "VOLT?"},
        {"name": "psu", "do": "query", "command": "*OPC?", "timeout": 30.0},
        {"name": "psu", "do": "read"},
        {"name": "psu", "do": "block", "command": "CURV?", "timeout": 9.5},
        {"name": "psu", "do": "write_block", "command": "DATA ", "data": "YWJj"},
    ]


def test_the_identity_opens_the_instrument_once() -> None:
    answers = Answers(None)
    psu = Instrument("psu", answers)

    assert (psu.idn, psu.idn) == ("", "")
    assert answers.requests == [{"name": "psu", "do": "open"}]


def test_commands_and_answers_are_the_transcript(caplog: pytest.LogCaptureFixture) -> None:
    block = base64.b64encode(bytes(4096)).decode()
    psu = Instrument("psu", Answers(None, "+5.00\x00é\n", block, None, "x" * 2001))

    psu.write("VOLT 5")
    psu.query("VOLT?")
    psu.query_block("CURV?")
    psu.write_block("DATA ", bytes(1024))
    psu.read()

    assert [one.getMessage() for one in caplog.records] == [
        "> VOLT 5",
        "> VOLT?",
        "< +5.00\\x00é\\n",
        "> CURV?",
        "< block of 4,096 bytes",
        "> DATA  block of 1,024 bytes",
        f"< {'x' * 2000}… (2,001 characters)",
    ]
    assert {(one.name, one.levelno) for one in caplog.records} == {(LOGGER, logging.INFO)}


def test_the_error_queue_is_read_until_it_is_empty() -> None:
    first, second = '-113,"Undefined header"', '-222,"Data out of range"'
    for empty in ('0,"No error"', '+0,"No error"', "0", " 00 , no error"):
        assert Instrument("psu", Answers(first, f" {second}\r", empty)).errors() == [first, second]

    answers = Answers("0")
    Instrument("psu", answers).errors("SYSTEM:ERROR:NEXT?")
    assert answers.requests[0]["command"] == "SYSTEM:ERROR:NEXT?"


def test_at_most_100_entries_of_the_error_queue_are_read() -> None:
    answers = Answers(*["-100,stuck"] * 101)

    assert Instrument("psu", answers).errors() == ["-100,stuck"] * 100
    assert len(answers.requests) == 100


@pytest.mark.parametrize("answer", ["No error", "", "12 V", "x" * 81])
def test_an_error_queue_without_numbers_is_an_error(answer: str) -> None:
    with pytest.raises(InstrumentError) as caught:
        Instrument("psu", Answers(answer)).errors()

    text = answer if len(answer) <= 80 else f"{'x' * 80}… (81 characters)"
    assert str(caught.value) == (
        f"psu: 'SYST:ERR?' was answered with '{text}'; "
        "an entry of the error queue begins with a number, and 0 means no error"
    )
    assert caught.value.kind == "protocol"


def test_an_answer_to_opc_that_is_not_1_is_an_error() -> None:
    Instrument("psu", Answers("+1")).wait()
    with pytest.raises(InstrumentError) as caught:
        Instrument("psu", Answers("0")).wait()

    assert str(caught.value) == "psu: '*OPC?' was answered with '0'; it has to be answered with 1"


def test_an_error_has_its_instrument_its_command_and_its_kind() -> None:
    error = InstrumentError("psu: x", instrument="psu", command="VOLT 5", kind="timeout")

    assert isinstance(error, OrchestratorError)
    assert (str(error), error.instrument, error.command, error.kind, error.slug) == (
        "psu: x",
        "psu",
        "VOLT 5",
        "timeout",
        "instrument",
    )


@pytest.mark.parametrize(
    ("command", "is_expected"),
    [("VOLT?", True), ("MEAS:CURR? (@1)", True), ("VOLT 5", False), ("DISP:TEXT 'ok?'", False)],
)
def test_a_question_mark_outside_of_quotes_makes_a_query(command: str, is_expected: bool) -> None:
    assert is_query(command) == is_expected


def connected(execute: Any) -> Instrument:
    """Return an instrument whose requests and replies pass through JSON."""

    def request(name: str, value: Any) -> Any:
        assert name == INSTRUMENT
        return json.loads(json.dumps(reply(json.loads(json.dumps(value)), execute)))

    return opener(request)("psu")


def test_a_request_arrives_as_it_was_made_and_so_does_its_answer() -> None:
    requests: list[InstrumentRequest] = []
    answers: list[Any] = [None, "+5.00", b"\0\xff", None]

    def execute(request: InstrumentRequest) -> Any:
        requests.append(request)
        return answers.pop(0)

    psu = connected(execute)

    assert psu.query("VOLT?", timeout=2.5) == "+5.00"
    assert psu.query_block("CURV?") == b"\0\xff"
    psu.write_block("DATA ", b"\xfe\1")
    assert requests == [
        InstrumentRequest(name="psu", do="find"),
        InstrumentRequest(name="psu", do="query", command="VOLT?", timeout=2.5),
        InstrumentRequest(name="psu", do="block", command="CURV?"),
        InstrumentRequest(name="psu", do="write_block", command="DATA ", data=b"\xfe\1"),
    ]


def test_an_error_keeps_its_sentence_and_all_that_it_has() -> None:
    def execute(request: InstrumentRequest) -> Any:
        sentence = "psu: no answer to 'VOLT?' within 2 s"
        raise InstrumentError(sentence, instrument="psu", command="VOLT?", kind="timeout")

    with pytest.raises(InstrumentError) as caught:
        connected(execute).query("VOLT?")

    error = caught.value
    assert (str(error), error.instrument, error.command, error.kind) == (
        "psu: no answer to 'VOLT?' within 2 s",
        "psu",
        "VOLT?",
        "timeout",
    )


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (
            {"name": "psu", "do": "erase"},
            "psu: the request is not valid: Invalid enum value 'erase' - at `$.do`",
        ),
        (7, "instrument: the request is not valid: Expected `object`, got `int`"),
    ],
)
def test_a_value_that_is_no_request_is_refused(value: Any, sentence: str) -> None:
    assert reply(value, lambda _: None)["error"] == sentence
