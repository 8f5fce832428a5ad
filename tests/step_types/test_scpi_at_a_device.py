"""Step type `scpi` through PyVISA, at an instrument on a TCP port and at a simulated one."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.faults import PATIENCE
from pytest_orchestrator import instrument
from pytest_orchestrator.context.context import Context
from pytest_orchestrator.execution.instruments.process import InstrumentProcess
from pytest_orchestrator.execution.lanes.lane import Lanes
from pytest_orchestrator.extending import Instrument, StepEnvironment, StepFailure
from pytest_orchestrator.step_types.scpi import Scpi, ScpiKeys
from tests.instruments import POWER_SUPPLY, SIMULATED, Answer, Closing, ScpiInstrument


@pytest.fixture(scope="module")
def process() -> Iterator[InstrumentProcess]:
    with Lanes() as lanes:
        process = InstrumentProcess(lanes)
        yield process
        process.close(PATIENCE)


class Bench:
    """Opener of one instrument, without locks and a station file."""

    def __init__(self, process: InstrumentProcess, **options: Any) -> None:
        self._process, self._options = process, {"backend": "@py", "timeout": PATIENCE, **options}
        self._is_open = False

    def open(self, name: str) -> Instrument:
        return Instrument(name, self._request)

    def _request(self, given: Mapping[str, Any]) -> Any:
        one = instrument.parsed(given)
        if not self._is_open:
            self._done(one.name, "open", options=self._options)
            self._is_open = True
        if one.do == "open":
            return self._done(one.name, "query", command="*IDN?")
        more = {"command": one.command, "data": one.data, "timeout": one.timeout}
        return instrument.json_value(self._done(one.name, one.do, **more))

    def _done(self, name: str, do: str, **more: Any) -> Any:
        return self._process.submit({"name": name, "do": do, **more}).result(PATIENCE)

    def close(self, name: str) -> None:
        self._done(name, "close")


def answered(bench: Bench, folder: Path, *commands: Any) -> Any:
    env = StepEnvironment(step="s", recipe="x.yaml", root=folder, logs=folder, opener=bench.open)
    given = {"instrument": "psu", "commands": [*commands]}
    try:
        return Scpi().run(msgspec.convert(given, ScpiKeys), Context(), env)
    finally:
        bench.close("psu")


def test_commands_and_answers_of_all_types_pass(process: InstrumentProcess, tmp_path: Path) -> None:
    image = b"\x89PNG" + bytes(range(256)) * 40
    block = b"#510244" + image
    with ScpiInstrument({"DISP?": block, "LIST?": "1,2.5"}) as server:
        result = answered(
            Bench(process, resource=server.resource),
            tmp_path,
            "VOLT 5.00",
            "OUTP ON",
            {"wait": "opc"},
            {"query": "MEAS:CURR?", "as": "amps"},
            {"query": "OUTP?", "as": "on", "type": "boolean"},
            {"query": "LIST?", "as": "all", "type": "list"},
            {"query": "DISP?", "as": "shot", "type": "block"},
        )
    assert result == {
        "status": "ok",
        "amps": 0.5,
        "on": True,
        "all": [1, 2.5],
        "shot": {"file": "s.1.shot.png", "bytes": len(image)},
    }
    assert (tmp_path / "s.1.shot.png").read_bytes() == image


ANSWERS: dict[str, Answer] = {
    "OFF?": Closing(),
    "HALF?": Closing(b"1.2"),
    "UMLAUT?": "5 °C\n".encode("latin-1"),
    "CUT?": Closing(b"#3100abc"),
    "NOBLOCK?": "1.5",
    "OVER?": "+9.90000000E+37",
}


def test_each_failure_names_instrument_command_and_line(
    process: InstrumentProcess, tmp_path: Path
) -> None:
    found = {}
    commands: list[Any] = ["VOLT abc"]
    commands += [{"query": name, "timeout": 0.3} for name in ("MEAS:CUR?", "SLOW?")]
    commands += [{"query": name} for name in ("OFF?", "HALF?", "UMLAUT?", "OVER?")]
    commands += [{"query": name, "type": "block"} for name in ("CUT?", "NOBLOCK?")]
    for command in commands:
        text = command if isinstance(command, str) else command["query"]
        with ScpiInstrument(ANSWERS, held=("SLOW?",)) as server:
            server.answers["SLOW?"] = "1"
            with pytest.raises(StepFailure) as caught:
                answered(Bench(process, resource=server.resource), tmp_path, "OUTP ON", command)
            server.wait_until_closed()
        found[text] = (caught.value.kind, caught.value.path, str(caught.value))

    queue = "psu: the error queue has"
    closed = "the instrument closed the connection"
    assert found == {
        "VOLT abc": (
            "status",
            ("commands",),
            f"{queue} -224,\"Illegal parameter value;VOLT abc\" after 'OUTP ON' to 'VOLT abc'",
        ),
        "MEAS:CUR?": (
            "status",
            ("commands", 1),
            (
                "psu: no answer to 'MEAS:CUR?' within 0.3 s; the error queue has "
                '-113,"Undefined header;MEAS:CUR?"'
            ),
        ),
        "SLOW?": ("status", ("commands", 1), "psu: no answer to 'SLOW?' within 0.3 s"),
        "OFF?": ("status", ("commands", 1), f"psu: the connection was lost at 'OFF?': {closed}"),
        "HALF?": ("status", ("commands", 1), f"psu: the connection was lost at 'HALF?': {closed}"),
        "UMLAUT?": (
            "protocol",
            ("commands", 1),
            r"psu: the answer to 'UMLAUT?' is not ASCII: '5 \xb0C'",
        ),
        "OVER?": (
            "protocol",
            ("commands", 1),
            (
                "psu: 'OVER?' was answered with '+9.90000000E+37', which means infinity: "
                "the value is out of range, an overload"
            ),
        ),
        "CUT?": ("status", ("commands", 1), f"psu: the connection was lost at 'CUT?': {closed}"),
        "NOBLOCK?": (
            "protocol",
            ("commands", 1),
            "psu: the answer to 'NOBLOCK?' is no block: '1.5'",
        ),
    }


def test_a_late_answer_is_not_taken_for_that_of_the_next_query(
    process: InstrumentProcess, tmp_path: Path
) -> None:
    with ScpiInstrument({"SLOW?": "7"}, held=("SLOW?",)) as server:
        bench = Bench(process, resource=server.resource)
        env = StepEnvironment(
            step="s", recipe="x.yaml", root=tmp_path, logs=tmp_path, opener=bench.open
        )
        keys = {"instrument": "psu", "commands": [{"query": "SLOW?", "timeout": 0.3}]}
        with pytest.raises(StepFailure):
            Scpi().run(msgspec.convert(keys, ScpiKeys), Context(), env)
        server.release.set()
        keys["commands"] = ["VOLT 3", {"query": "VOLT?"}]
        result = Scpi().run(msgspec.convert(keys, ScpiKeys), Context(), env)
        bench.close("psu")
    assert result["value"] == 3.0


def test_a_simulated_instrument_answers(process: InstrumentProcess, tmp_path: Path) -> None:
    bench = Bench(process, resource=SIMULATED, backend=f"{POWER_SUPPLY}@sim")

    result = answered(
        bench,
        tmp_path,
        "VOLT 5",
        {"query": "VOLT?", "as": "volts", "unit": "V"},
        {"query": "MEAS:CURR?", "as": "amps"},
        {"query": "CURV?", "as": "curve", "type": "block"},
    )

    curve = {"file": "s.1.curve.bin", "bytes": 5}
    units = {"volts": "V"}
    assert result == {"status": "ok", "volts": 5.0, "amps": 0.12, "curve": curve, "units": units}
