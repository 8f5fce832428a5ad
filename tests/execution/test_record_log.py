"""The log file of a step holds all records, masked and cut; pytest receives a bounded share."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.record_log import BUDGET, RecordLog, RecordsOfThisProcess
from pytest_orchestrator.execution.run_config import RecordStyle

if TYPE_CHECKING:
    from pathlib import Path

    from tests.execution.conftest import Bench


@pytest.fixture
def passed_on(bench: Bench) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    bench.configure(logs=bench.root, event_sink=events.append)
    return events


def event(message: str, level: int = logging.WARNING, **more: Any) -> dict[str, Any]:
    record = logging.LogRecord("bench.psu", level, "/x/psu.py", 7, message, None, None)
    return {"op": "log", "record": {**record.__dict__, **more}}


def written(bench: Bench, *events: dict[str, Any], **changes: Any) -> str:
    bench.configure(**changes)
    log = RecordLog("s", bench.attempt)
    for one in events:
        log.receive(one)
    log.close()
    path = bench.root / "s.1.log"
    if not path.exists():
        assert log.stream is None
        return ""
    assert log.stream is not None
    assert log.stream.log == str(path)
    return path.read_text()


def test_a_record_is_written_in_the_format_of_pytest(bench: Bench, passed_on: list[Any]) -> None:
    assert written(bench, event("off")) == "WARNING  bench.psu:psu.py:7 off\n"
    assert [one["record"]["msg"] for one in passed_on] == ["off"]


def test_format_and_level_are_those_of_the_session(bench: Bench, passed_on: list[Any]) -> None:
    style = RecordStyle(logging.ERROR, "%(asctime)s %(message)s", "%Y.%f")
    text = written(
        bench,
        event("low"),
        event("high", logging.ERROR, created=86400.25, msecs=250.0),
        record_style=style,
    )
    assert text == "1970.250000 high\n"
    assert len(passed_on) == 2


def test_records_of_instruments_and_step_types_have_their_time(
    bench: Bench, passed_on: list[Any]
) -> None:
    names = ("pytest_orchestrator.instrument.psu", "pytest_orchestrator.step.serial")
    sent = [event("> VOLT 5", logging.INFO, name=name, msecs=250.0) for name in names]

    lines = written(bench, *sent).splitlines()
    own = written(bench, *sent, record_style=RecordStyle(line_format="%(message)s"))

    assert [line[line.index(".") :] for line in lines] == [
        ".250 INFO     psu > VOLT 5",
        ".250 INFO     serial > VOLT 5",
    ]
    assert all(len(line.partition(".")[0]) == len("10:15:02") for line in lines)
    assert own == "> VOLT 5\n> VOLT 5\n"
    assert len(passed_on) == 4


@pytest.mark.parametrize("line", ["%(nothing)s", "%(message)q"])
def test_an_invalid_format_keeps_the_message(bench: Bench, passed_on: list[Any], line: str) -> None:
    assert "off" in written(bench, event("off"), record_style=RecordStyle(line_format=line))
    assert len(passed_on) == 1


def test_a_traceback_follows_its_record(bench: Bench, passed_on: list[Any]) -> None:
    text = written(bench, event("off", exc_text="Traceback …\nValueError: volts"))
    assert text == "WARNING  bench.psu:psu.py:7 off\nTraceback …\nValueError: volts\n"
    assert passed_on


def test_log_records_are_masked_and_cut_like_streams(bench: Bench, passed_on: list[Any]) -> None:
    secrets = Masker()
    secrets.add("pin-4711")
    text = written(bench, event("pin-4711"), event("x" * 100), secrets=secrets, max_log=60)
    cut = "[cut here: the log is limited to 60 bytes]"
    line = "WARNING  bench.psu:psu.py:7 ***\nWARNING  bench.psu:psu.py:7 x"
    assert text == f"{line[:60]}\n{cut}\n"
    assert len(passed_on) == 2


def test_a_step_without_records_has_no_log_file(bench: Bench, passed_on: list[Any]) -> None:
    assert written(bench, {"op": "warning", "message": "worn"}) == ""
    assert passed_on == [{"op": "warning", "message": "worn"}]


def test_records_of_a_disabled_logger_are_dropped(
    bench: Bench, passed_on: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("bench.psu"), "disabled", True)
    assert written(bench, event("off")) == ""
    assert passed_on == []


def test_pytest_receives_a_bounded_share_of_the_records_and_the_number_of_the_rest(
    bench: Bench, passed_on: list[Any]
) -> None:
    size = 10_000
    text = written(bench, *(event("x" * size) for _ in range(1000)))
    assert text.count("WARNING") == 1000

    *received, last = passed_on
    assert 0.8 * BUDGET < len(received) * size < BUDGET
    assert last["record"]["msg"] == (
        f"{1000 - len(received):,} more log records of step 's' are in {bench.root}/s.1.log"
    )
    assert last["record"]["levelno"] == logging.WARNING


def test_without_a_run_folder_the_number_of_omitted_records_is_reported(
    bench: Bench, passed_on: list[Any]
) -> None:
    large = event("x" * (BUDGET + 1))
    assert written(bench, event("off"), large, large, logs=None) == ""
    assert [one["record"]["msg"] for one in passed_on] == [
        "off",
        "2 more log records of step 's' were logged",
    ]


def test_records_of_this_process_are_written_while_a_step_runs_in_it(
    bench: Bench, passed_on: list[Any], tmp_path: Path
) -> None:
    del tmp_path
    with RecordsOfThisProcess("s", bench.attempt) as log:
        logging.getLogger("bench").warning("%s V", 12)
    logging.getLogger("bench").warning("later")
    assert log.stream is not None
    assert log.stream.size == (bench.root / "s.1.log").stat().st_size
    text = (bench.root / "s.1.log").read_text()
    assert text.startswith("WARNING  bench:test_record_log.py:")
    assert text.endswith(" 12 V\n")
    assert passed_on == []
