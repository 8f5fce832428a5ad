"""Tests of requests to instruments between a step's process and pytest's."""

import json
from typing import Any

import pytest

from pytest_orchestrator.execution.instruments.requests import (
    INSTRUMENT,
    InstrumentRequest,
    opener,
    reply,
)
from pytest_orchestrator.instrument import Instrument, InstrumentError


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
