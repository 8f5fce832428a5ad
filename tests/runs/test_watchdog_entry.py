"""A journal says of a step for which pytest had to be ended that its time was over."""

from pathlib import Path

import pytest

from pytest_orchestrator.core.events import RecipeStarted, RunStarted, StepFinished, StepStarted
from pytest_orchestrator.runs import watchdog_entry
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import Journal
from pytest_orchestrator.runs.watchdog_entry import WatchdogReport

HOLD = WatchdogReport("hold", "still running", "recipes/_part.yaml", 7, 14)
ABOUT = {"name": "x", "path": "recipes/x.yaml", "sha256": "0" * 64, "test_meta": {}}
STEP = {"name": "hold", "node": "recipes/x.yaml::hold", "index": 1, "type": "python", "line": 2}


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(RunStarted(schema_version="1.0", run="r1"))
    journal.append(RecipeStarted(recipe="recipes/x.yaml", about=ABOUT, steps=(STEP,)))
    journal.append(StepStarted(recipe="recipes/x.yaml", step="hold", attempt=2))
    journal.close()
    return path


def test_the_step_has_failed_as_any_whose_time_is_over(journal: Path) -> None:
    assert watchdog_entry.record_timeout(journal, HOLD)

    reading = read_journal(journal)
    event = reading.entries[-1].event
    assert reading.state == "interrupted"
    assert isinstance(event, StepFinished)
    assert (event.recipe, event.step, event.outcome) == ("recipes/x.yaml", "hold", "failed")
    assert event.block["step"] == STEP | {
        "state": "failed",
        "attempt": 2,
        "kind": "timeout",
        "reason": "still running",
        "place": {"path": "recipes/_part.yaml", "line": 7, "column": 14},
    }


def test_of_several_processes_it_is_that_one_whose_step_began_last(journal: Path) -> None:
    entries = read_journal(journal).entries

    assert watchdog_entry.timeout_event(entries, HOLD) is not None
    assert watchdog_entry.timeout_event(entries, HOLD, "gw1") is None


def test_a_step_that_its_process_has_not_ended_has_failed_by_its_end(journal: Path) -> None:
    entries = read_journal(journal).entries
    event = watchdog_entry.crash_event(entries, "main", "it has died")

    assert event is not None
    told = event.block["step"]
    assert (event.step, told["state"], told["kind"], told["reason"]) == (
        "hold",
        "failed",
        "crash",
        "it has died",
    )
    assert watchdog_entry.crash_event(entries, "gw1", "it has died") is None
    assert watchdog_entry.record_timeout(journal, HOLD)
    assert watchdog_entry.crash_event(read_journal(journal).entries, "main", "it has died") is None


def test_half_a_line_is_taken_away_before(journal: Path) -> None:
    with journal.open("ab") as file:
        file.write(b'{"n":4,"ts')

    assert watchdog_entry.record_timeout(journal, HOLD)
    assert (read_journal(journal).damage, len(read_journal(journal).entries)) == (None, 4)


def test_nothing_is_said_of_another_step_or_for_another_process(journal: Path) -> None:
    before = journal.read_bytes()
    assert not watchdog_entry.record_timeout(journal, HOLD._replace(step="other"))

    writing = Journal(journal, read_journal(journal).chain)
    assert not watchdog_entry.record_timeout(journal, HOLD)
    writing.close()
    assert journal.read_bytes() == before
