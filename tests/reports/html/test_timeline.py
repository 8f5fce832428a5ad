from pathlib import Path

import pytest

from pytest_orchestrator.reports.html.timeline import Timeline, timeline
from pytest_orchestrator.runs import lookup
from tests.reports.sample_run import RECIPE, SampleRun, psu_run


def line(run: SampleRun) -> Timeline:
    run.journal.close()
    record = lookup.load_record(run.folder)
    found = timeline(record.recipes[RECIPE], record.last)
    assert found
    return found


def test_a_timeline_has_all_that_a_step_did_over_time(tmp_path: Path) -> None:
    found = line(psu_run(tmp_path / "run"))

    spans = {
        bar.step.name: [(span.kind, *(round(one, 3) for one in span[1:])) for span in bar.spans]
        for bar in found.bars
    }
    assert spans == {
        "flash": [("locked", 0, 0.3), ("running", 0.3, 3.5)],
        "measure_ripple": [("failed", 3.6, 4.9), ("retrying", 4.9, 5.9), ("running", 5.9, 8.0)],
        "burn_in": [("running", 3.6, 9.1)],
        "thermal": [("running", 3.7, 6.9)],
        "power_off": [("running", 9.2, 9.4)],
    }
    assert found.seconds == pytest.approx(9.4)
    assert found.ticks == (2, 4, 6, 8)


def test_steps_at_the_same_time_have_lanes_of_their_own(tmp_path: Path) -> None:
    found = line(psu_run(tmp_path / "run"))

    assert found.lanes == 3
    assert {bar.step.name: bar.lane for bar in found.bars} == {
        "flash": 0,
        "measure_ripple": 0,
        "burn_in": 1,
        "thermal": 2,
        "power_off": 0,
    }


def test_changes_of_the_context_are_marks(tmp_path: Path) -> None:
    flash = line(psu_run(tmp_path / "run")).bars[0]

    assert [(round(mark.at, 3), mark.op, mark.key) for mark in flash.marks] == [
        (3.5, "set", "dut.firmware_v1"),
        (3.5, "set", "dut.on"),
    ]


def test_what_is_written_after_the_last_step_ended_is_within(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    write = {"key": "k", "op": "set", "who": "a", "new": 1}
    run.step("a", "passed", (1, 2), context={"writes": [write]})
    run.journal.close()
    record = lookup.load_record(run.folder)
    block = record.recipes[RECIPE].steps["a"].block
    assert block
    block["context"]["writes"][0]["ts"] = "2026-11-25T10:15:04.500Z"

    found = timeline(record.recipes[RECIPE], record.last)

    assert found
    assert found.bars[0].marks[0].at == found.seconds == pytest.approx(1.5)


def test_a_step_that_has_no_end_is_there_as_far_as_the_journal(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": [], "b": ["a"], "c": ["b"]})
    run.step("a", "passed", (1, 2))
    run.start("b", 2)
    run.start("b", 5, attempt=2)

    found = line(run)

    assert [(bar.step.name, bar.start, bar.stop) for bar in found.bars] == [
        ("a", 0, 1),
        ("b", 4, 4),
    ]


def test_there_is_no_timeline_where_nothing_ran(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    run.journal.close()
    record = lookup.load_record(run.folder)

    assert timeline(record.recipes[RECIPE], record.last) is None


@pytest.mark.parametrize(
    ("seconds", "ticks"),
    [(0.009, [0.002, 0.004, 0.006, 0.008]), (400, [120, 240, 360]), (7e6, None)],
)
def test_ticks_are_round_and_few(tmp_path: Path, seconds: float, ticks: list[float] | None) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    run.step("a", "passed", (0, seconds))

    found = line(run).ticks

    assert 1 <= len(found) <= 6
    assert ticks is None or list(found) == ticks
