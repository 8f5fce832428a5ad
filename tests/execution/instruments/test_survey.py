"""Survey of a station: an instrument process that hangs, and one that cannot be started."""

from pathlib import Path
from typing import Any, cast

import pytest

from pytest_orchestrator.execution.instruments import survey
from pytest_orchestrator.execution.instruments.process import InstrumentProcess
from pytest_orchestrator.execution.interruptible import InterruptibleFuture
from pytest_orchestrator.instrument import InstrumentError
from pytest_orchestrator.recipe.station.model import Station
from pytest_orchestrator.recipe.station.reader import load_station


class HangingProcess:
    """Instrument process that answers nothing."""

    def __init__(self) -> None:
        self.graces: list[float] = []

    def submit(self, request: dict[str, Any]) -> InterruptibleFuture:
        return InterruptibleFuture()

    def close(self, grace: float) -> None:
        self.graces.append(grace)


@pytest.fixture
def station(tmp_path: Path) -> Station:
    path = tmp_path / "station.yaml"
    path.write_text(
        f"instruments: {{psu: {{resource: 'TCPIP::192.0.2.7::INSTR', lock: {tmp_path}}}}}\n"
    )
    return load_station(path, tmp_path)


def test_a_process_that_hangs_is_killed_when_the_time_is_over(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(survey, "_MARGIN", 0.0)
    hanging = HangingProcess()
    start = cast("survey.Start", lambda: hanging)
    found = survey.survey(station, start, "me", timeout=0.01)
    commands = survey.converse(station.instruments["psu"], "s", start, ["VOLT 5"], 0.01)
    with pytest.raises(InstrumentError) as caught:
        next(commands)

    assert [(one.state, one.reason) for one in found] == [
        ("unreachable", "it was not reached within 0.02 s")
    ]
    assert (str(caught.value), caught.value.kind) == (
        "psu: it was not reached within 0.01 s",
        "closed",
    )
    assert hanging.graces == [0.0, 0.0]


def test_a_process_that_cannot_be_started_is_the_reason_of_all_instruments(
    station: Station,
) -> None:
    def start() -> InstrumentProcess:
        raise InstrumentError("the instrument process cannot be started: no memory")

    (found,) = survey.survey(station, start, "me")

    assert (found.state, found.reason) == (
        "unreachable",
        "the instrument process cannot be started: no memory",
    )
