"""A safe state is reached only when the instrument was seen to have executed its commands."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import PATIENCE
from pytest_orchestrator.core.events import InstrumentExchange, InstrumentSafe
from pytest_orchestrator.execution.instruments.bench import Bench
from pytest_orchestrator.execution.instruments.process import InstrumentProcess
from pytest_orchestrator.execution.lanes.lane import Lanes
from pytest_orchestrator.instrument import InstrumentError, InstrumentRequest
from pytest_orchestrator.recipe.station.reader import load_station
from tests.instruments import NO_ERROR, ScpiInstrument

SHORT = "300ms"
"""Timeout of an instrument of which the test expects no answer."""

BY_OUTPUT = 'confirm: {query: "OUTP?", matches: "^0"}'
CURE = f"say '{BY_OUTPUT}' or 'confirm: none' in station.yaml"


@pytest.fixture(scope="module")
def lanes() -> Iterator[Lanes]:
    with Lanes() as lanes:
        yield lanes


class Unheard:
    """Listener of a bench that keeps nothing."""

    def opened(self, *_: object) -> None:
        pass

    def made_safe(self, result: InstrumentSafe) -> None:
        pass

    def exchanged(self, exchange: InstrumentExchange, data: bytes | None) -> None:
        pass


class Supply:
    """A power supply whose output a recipe has switched on, at a bench with a real process."""

    def __init__(self, lanes: Lanes, folder: Path) -> None:
        self._lanes, self._folder = lanes, folder
        self._ending = contextlib.ExitStack()
        self.server = ScpiInstrument()

    def turn_on(self, *keys: str, timeout: str = f"{PATIENCE:g}s") -> None:
        """Write the station file, with further keys of the power supply, and switch it on."""
        lines = [f"resource: {self.server.resource}", f"timeout: {timeout}", "safe: [OUTP OFF]"]
        text = "".join(f"    {line}\n" for line in (*lines, *keys))
        path = self._folder / "station.yaml"
        path.write_text(f"instruments:\n  psu:\n{text}")

        def start() -> InstrumentProcess:
            return InstrumentProcess(self._lanes)

        self.bench = Bench(load_station(path, self._folder), start, Unheard())
        self._ending.callback(self.bench.close)
        self.ask("write", "OUTP ON")
        self.server.wait_for("OUTP ON")

    def ask(self, do: Any, command: str, timeout: float | None = None) -> Any:
        request = InstrumentRequest(name="psu", do=do, command=command, timeout=timeout)
        return self.bench.execute(request, "a.yaml", lambda *_: True)

    def make_safe(self) -> InstrumentSafe:
        [result] = self.bench.release("a.yaml")
        return result

    def close(self) -> None:
        self.server.close()
        self._ending.close()


@pytest.fixture
def supply(lanes: Lanes, tmp_path: Path) -> Iterator[Supply]:
    supply = Supply(lanes, tmp_path)
    yield supply
    supply.close()


@pytest.mark.measured
def test_a_safe_state_is_confirmed_after_its_last_command_and_by_the_error_queue(
    supply: Supply,
) -> None:
    supply.turn_on()

    result = supply.make_safe()

    assert (result.reason, result.confirmation) == ("", "confirmed")
    sent = ("> OUTP OFF", "> *OPC?", "< 1", "> SYST:ERR?", f"< {NO_ERROR}")
    assert result.transcript == sent
    assert (supply.server.is_on, supply.server.connections) == (False, 1)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([], f"psu did not answer '*OPC?'; {CURE}"),
        ([BY_OUTPUT], "psu did not answer 'OUTP?' of 'confirm' in station.yaml"),
        (["idn: PSU-30"], "psu: no answer to '*IDN?' within 0.3 s"),
    ],
)
def test_a_frozen_instrument_is_not_in_its_safe_state(
    supply: Supply, keys: list[str], reason: str
) -> None:
    supply.turn_on(*keys, timeout=SHORT)
    supply.server.freeze()

    result = supply.make_safe()

    assert (result.reason, result.confirmation) == (reason, "")
    assert supply.server.is_on


def test_an_instrument_that_cannot_answer_was_sent_the_commands_and_nothing_more(
    supply: Supply,
) -> None:
    supply.turn_on("confirm: none", timeout=SHORT)

    result = supply.make_safe()

    assert (result.reason, result.confirmation) == ("", "sent, not confirmed")
    supply.server.wait_until_closed()
    assert supply.server.texts == ["*IDN?", "OUTP ON", "OUTP OFF"]


def test_a_command_that_is_refused_does_not_reach_the_safe_state(supply: Supply) -> None:
    supply.server.refused.add("OUTP OFF")
    supply.turn_on()

    result = supply.make_safe()

    assert result.reason == (
        "psu: after the commands of 'safe' the error queue has -221,\"Settings conflict;OUTP OFF\""
    )
    assert supply.server.is_on


def test_an_answer_that_does_not_match_does_not_reach_the_safe_state(supply: Supply) -> None:
    supply.server.refused.add("OUTP OFF")
    supply.turn_on(BY_OUTPUT, "check_errors: false")

    assert supply.make_safe().reason == (
        "psu answered 'OUTP?' of 'confirm' in station.yaml with '1', which does not match '^0'"
    )


def test_an_operation_that_is_not_complete_does_not_reach_the_safe_state(supply: Supply) -> None:
    supply.server.answers["*OPC?"] = "0"
    supply.turn_on()

    assert supply.make_safe().reason == (
        rf"psu answered '*OPC?' with '0', which does not match '^\+?1$'; {CURE}"
    )


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (None, "no answer to 'SYST:ERR?' within 0.3 s"),
        (
            "none",
            (
                "'SYST:ERR?' was answered with 'none'; an entry of the error queue begins with a "
                "number, and 0 means no error"
            ),
        ),
    ],
)
def test_an_instrument_without_error_queue_has_an_error_with_the_cure(
    supply: Supply, answer: str | None, reason: str
) -> None:
    supply.server.answers["SYST:ERR?"] = answer
    supply.turn_on(timeout=SHORT)

    assert supply.make_safe().reason == (
        f"psu: {reason}; if it has no error queue, say 'check_errors: false' in station.yaml"
    )


def test_an_error_of_an_earlier_command_does_not_hide_the_safe_state(supply: Supply) -> None:
    supply.turn_on()
    supply.ask("write", "UNKNOWN 1")

    result = supply.make_safe()

    assert (result.reason, result.confirmation) == ("", "confirmed")
    error = "psu: after the commands of 'safe' the error queue has "
    assert f'error: {error}-113,"Undefined header;UNKNOWN 1"' in result.transcript
    assert supply.server.texts.count("OUTP OFF") == 2


def test_a_late_answer_to_a_step_does_not_confirm_a_safe_state(supply: Supply) -> None:
    supply.server.answers["ZERO?"] = "0"
    supply.server.held.add("ZERO?")
    supply.server.refused.add("OUTP OFF")
    supply.turn_on(BY_OUTPUT, "check_errors: false")
    with pytest.raises(InstrumentError, match="no answer to 'ZERO"):
        supply.ask("query", "ZERO?", 0.05)
    supply.server.release.set()

    result = supply.make_safe()

    assert result.reason.endswith("with '1', which does not match '^0'")
    by_connection = [*zip(supply.server.origins, supply.server.texts, strict=True)]
    assert [text for number, text in by_connection if number == 2] == ["OUTP OFF", "OUTP?"]


def test_a_second_answer_to_a_step_does_not_confirm_a_safe_state(supply: Supply) -> None:
    supply.server.answers["ZERO?"] = "0"
    supply.server.doubled.add("ZERO?")
    supply.server.refused.add("OUTP OFF")
    supply.turn_on(BY_OUTPUT, "check_errors: false")
    assert supply.ask("query", "ZERO?") == "0"

    result = supply.make_safe()

    assert result.reason.endswith("with '1', which does not match '^0'")


def test_an_instrument_that_closes_the_connection_is_not_in_its_safe_state(supply: Supply) -> None:
    supply.server.closing.add("OUTP OFF")
    supply.turn_on()

    result = supply.make_safe()

    assert result.reason.startswith("psu: the connection was lost at '")
    assert result.transcript.count("> OUTP OFF") == 2
    assert supply.server.is_on


def test_an_instrument_that_has_restarted_is_made_safe_on_a_new_connection(supply: Supply) -> None:
    supply.turn_on()
    supply.server.restart(keeps_output=True)
    assert supply.server.is_on

    result = supply.make_safe()

    assert (result.reason, result.confirmation) == ("", "confirmed")
    assert [is_on for _, is_on in supply.server.outputs][-2:] == [True, False]
