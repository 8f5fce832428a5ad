"""Replay of exchanges: which recorded answer a request gets, and the errors of the others."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.events import InstrumentExchange
from pytest_orchestrator.execution.instruments.replay import Replay, ReplayProcess
from pytest_orchestrator.instrument import Author, InstrumentError

STEP = Author("a", "s")


def exchange(do: Any, command: str = "", answer: str | None = None, **more: Any) -> Any:
    fields = {"recipe": "a", "step": "s", "instrument": "psu", "order": 0, **more}
    return InstrumentExchange(do=do, command=command, answer=answer, **fields)


class Asked:
    """A replay to which requests are sent.

    Args:
        exchanges: The record.
        data: The bytes of each block.
    """

    def __init__(self, *exchanges: Any, data: bytes | None = None) -> None:
        self.replay = Replay("r1", exchanges, lambda _: data)
        self.process = ReplayProcess(self.replay)

    def ask(self, do: str, command: str = "", author: Author = STEP, **more: Any) -> Any:
        request = {"name": "psu", "do": do, "command": command, **more}
        return self.process.submit(request, author).result()

    def error(self, do: str, command: str = "") -> str:
        with pytest.raises(InstrumentError) as caught:
            self.ask(do, command)
        return str(caught.value).removeprefix("psu: ")


def query(command: str, *answers: str) -> list[Any]:
    return [exchange("query", command, one) for one in answers]


OPERATION = st.tuples(st.sampled_from(["write", "query"]), st.sampled_from(["A", "B", "C"]))


@given(st.lists(st.tuples(OPERATION, st.sampled_from(["s", "t", "u"])), max_size=30), st.data())
def test_the_same_requests_get_the_same_answers_in_any_order_of_the_steps(
    sent: list[tuple[tuple[str, str], str]], data: st.DataObject
) -> None:
    record = [
        exchange(do, command, str(at) if do == "query" else None, step=step)
        for at, ((do, command), step) in enumerate(sent)
    ]
    asked = Asked(*record)
    steps = data.draw(st.permutations(["s", "t", "u"]))
    for one in sorted(record, key=lambda one: steps.index(one.step)):
        assert asked.ask(one.do, one.command, Author("a", one.step)) == one.answer


def test_the_last_answer_of_a_polled_command_stays_until_the_next_write() -> None:
    asked = Asked(
        exchange("write", "GO"),
        *query("DONE?", "0", "0", "1"),
        exchange("write", "GO"),
        *query("DONE?", "5"),
    )

    asked.ask("write", "GO")
    assert [asked.ask("query", "DONE?") for _ in range(5)] == ["0", "0", "1", "1", "1"]
    asked.ask("write", "GO")
    assert [asked.ask("query", "DONE?") for _ in range(2)] == ["5", "5"]


def test_a_poll_that_ends_earlier_does_not_shift_later_answers() -> None:
    asked = Asked(*query("DONE?", "0", "0", "1"), exchange("write", "GO"), *query("VOLT?", "5"))

    asked.ask("query", "DONE?")
    asked.ask("write", "GO")

    assert asked.ask("query", "VOLT?") == "5"


def test_a_step_of_another_name_gets_the_answers_of_the_instrument() -> None:
    asked = Asked(*query("VOLT?", "5"))

    assert asked.ask("query", "VOLT?", Author("moved/b", "new")) == "5"


def test_an_error_comes_as_it_came_with_its_kind() -> None:
    asked = Asked(exchange("query", "N?", error="psu: no answer to 'N?'", kind="timeout"))

    with pytest.raises(InstrumentError, match="no answer to 'N\\?'") as caught:
        asked.ask("query", "N?")

    assert (caught.value.kind, caught.value.command) == ("timeout", "N?")


def test_a_block_is_replayed_if_its_bytes_are_those_of_the_record() -> None:
    block = exchange("block", "CURV?", data="artifacts/instruments/ab")

    assert Asked(block, data=b"\x00\x01").ask("block", "CURV?") == b"\x00\x01"
    assert Asked(exchange("block", "CURV?")).ask("block", "CURV?") == b""
    assert Asked(block, data=None).error("block", "CURV?") == (
        "'CURV?' cannot be replayed from run r1: artifacts/instruments/ab is gone or was changed"
    )


def test_a_block_is_sent_only_with_the_recorded_bytes() -> None:
    sent = hashlib.sha256(b"wave").hexdigest()
    asked = Asked(exchange("write_block", "DATA ", data=f"artifacts/instruments/{sent}"))

    assert asked.ask("write_block", "DATA ", data=b"wave") is None
    with pytest.raises(InstrumentError, match="not recorded as a block that is sent with these"):
        asked.ask("write_block", "DATA ", data=b"other")


@pytest.mark.parametrize(
    ("record", "do", "command", "why"),
    [
        (
            query("MEAS:VOLT?", "5"),
            "query",
            "MEAS:VOLTS?",
            "it was not recorded; the nearest recorded command is 'MEAS:VOLT?'",
        ),
        ([], "query", "A?", "it was not recorded"),
        (
            [exchange("write", "PIN ***", gap="masked")],
            "write",
            "PIN 1234",
            "it has a secret, which the record masks",
        ),
        (
            [exchange("query", "KEY?", "***", gap="masked")],
            "query",
            "KEY?",
            "it has a secret, which the record masks",
        ),
        (
            [exchange("write", "A"), exchange("write", gap="cut")],
            "write",
            "B",
            (
                "it was not recorded, or was cut: the exchanges of that run were too many to keep; "
                "the nearest recorded command is 'A'"
            ),
        ),
        (
            query("A?", "1"),
            "block",
            "A?",
            "it was not recorded as a query of a block with these data, but as a query",
        ),
    ],
)
def test_a_request_without_an_answer_says_why(
    record: list[Any], do: str, command: str, why: str
) -> None:
    error = Asked(*record).error(do, command)

    assert error == f"'{command}' cannot be replayed from run r1: {why}"


def test_a_request_that_the_end_of_its_step_cut_off_waits_for_that_end() -> None:
    asked = Asked(exchange("query", "SLOW?", error="the step ended", kind="interrupted"))
    request = {"name": "psu", "do": "query", "command": "SLOW?"}

    answer = asked.process.submit(request, STEP)
    assert not answer.done()
    asked.process.submit({"name": "psu", "do": "interrupt"}, STEP)

    with pytest.raises(InstrumentError, match="the step ended before the answer"):
        answer.result()


def test_a_step_gets_its_own_exchanges_of_the_attempt_or_of_the_last_one() -> None:
    record = [
        exchange("write", str(attempt), attempt=attempt, element=element)
        for attempt in (1, 2)
        for element in (0, 1)
    ]
    asked = Asked(*record, exchange("write", "other", step="t"), exchange("write", gap="cut"))

    def known(attempt: int, element: int, recipe: str = "a") -> list[tuple[str, str]]:
        author = Author(recipe, "s", attempt, element)
        return [(one.command, one.gap) for one in asked.replay.recorded(author)]

    assert known(1, 1) == [("1", ""), ("", "cut")]
    assert known(7, 0) == known(2, 0, "moved/b") == [("2", ""), ("", "cut")]
