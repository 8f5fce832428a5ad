"""Instruments of a recorded run as a file of PyVISA-sim."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.events import InstrumentExchange, InstrumentOpened
from pytest_orchestrator.execution.instruments.simulation import simulation
from pytest_orchestrator.execution.instruments.transcript import Transcript

RESOURCE = "TCPIP0::192.0.2.7::5025::SOCKET"


def exchange(do: Any, command: str = "", answer: str | None = None, **more: Any) -> Any:
    fields = {"recipe": "a", "instrument": "psu", "order": 0, "do": do, "command": command}
    return InstrumentExchange(**fields, answer=answer, **more)


def simulated(*exchanges: Any, resource: str = RESOURCE, **settings: str) -> tuple[Any, str]:
    """Return the device of a file, as YAML reads it, and the text of the file."""
    use = InstrumentOpened(recipe="a", instrument="psu", resource=resource, settings=settings)
    text = simulation(Transcript("r1", exchanges, {"psu": use}, Path("r1")))
    read = yaml.safe_load(text)
    assert read["resources"] == {resource: {"device": "psu"}}
    return read["devices"]["psu"], text


def test_a_command_has_its_last_answer_and_one_without_any_has_none() -> None:
    device, text = simulated(
        exchange("open"),
        exchange("query", "MEAS?", "1"),
        exchange("write", "VOLT 5"),
        exchange("query", "MEAS?", "2"),
        exchange("query", "NEVER?", error="psu: no answer", kind="timeout"),
        exchange("write", "READ?"),
        exchange("read", answer="7"),
    )

    assert device["dialogues"] == [
        {"q": "MEAS?", "r": "2"},
        {"q": "VOLT 5"},
        {"q": "NEVER?"},
        {"q": "READ?", "r": "7"},
    ]
    assert '{q: "MEAS?", r: "2"}   # the last of 2 answers' in text


def test_a_block_and_a_secret_are_left_out_by_name() -> None:
    device, text = simulated(
        exchange("block", "CURV?", data="artifacts/instruments/x"),
        exchange("write_block", "DATA "),
        exchange("write", "PIN ***", gap="masked"),
        exchange("write", gap="cut"),
    )

    assert device["dialogues"] == []
    for line in ("CURV?, a binary block", "DATA , a binary block", "PIN ***, a secret"):
        assert f"# left out: {line}\n" in text
    assert "# left out: a command, all later ones: the record was cut\n" in text


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        (RESOURCE, "TCPIP SOCKET"),
        ("ASRL/dev/ttyUSB0::INSTR", "ASRL INSTR"),
        ("GPIB0::5", "GPIB INSTR"),
        ("USB0::1::2::3::0::RAW", "USB RAW"),
    ],
)
def test_the_line_ends_are_those_of_the_interface_and_the_station(resource: str, kind: str) -> None:
    device, _ = simulated(resource=resource, write_termination="\r")

    assert device["eom"] == {kind: {"q": "\r", "r": "\n"}}


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=5))
def test_each_text_reads_back_as_it_was(pairs: list[tuple[str, str]]) -> None:
    device, _ = simulated(*(exchange("query", *pair) for pair in pairs))

    assert {one["q"]: one["r"] for one in device["dialogues"]} == dict(pairs)
