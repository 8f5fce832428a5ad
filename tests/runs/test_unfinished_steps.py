"""Journal entry of a step for whose timeout pytest was killed."""

from pathlib import Path

import pytest

from pytest_orchestrator.core.events import (
    ElementFinished,
    RecipeStarted,
    RunStarted,
    StepFinished,
    StepStarted,
)
from pytest_orchestrator.runs import unfinished_steps
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import Journal
from pytest_orchestrator.runs.unfinished_steps import WatchdogReport

HOLD = WatchdogReport("hold", "still running", "recipes/_part.yaml", 7, 14)
ABOUT = {"name": "x", "path": "recipes/x.yaml", "sha256": "0" * 64, "test_meta": {}}
STEP = {"name": "hold", "node": "recipes/x.yaml::hold", "index": 1, "type": "python", "line": 2}
STEP |= {"needs": [], "tags": []}
STEPS = tuple(STEP | {"name": name} for name in ("hold", "beside", "over", "elsewhere"))


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.append(RunStarted(schema_version="1.0", run="r1"))
    journal.append(RecipeStarted(recipe="recipes/x.yaml", about=ABOUT, steps=STEPS))
    journal.append(StepStarted(recipe="recipes/x.yaml", step="hold", attempt=2))
    journal.close()
    return path


def test_the_step_is_recorded_as_failed_by_its_timeout(journal: Path) -> None:
    assert unfinished_steps.record_timeout(journal, HOLD)

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


def test_the_timeout_is_recorded_for_the_last_step_of_its_process_only(journal: Path) -> None:
    entries = read_journal(journal).entries

    assert unfinished_steps.timeout_event(entries, HOLD) is not None
    assert unfinished_steps.timeout_event(entries, HOLD, "gw1") is None


def test_steps_that_a_process_was_running_when_it_died_are_interrupted(journal: Path) -> None:
    writer = Journal(journal, read_journal(journal).chain)
    for step in ("beside", "over"):
        writer.append(StepStarted(recipe="recipes/x.yaml", step=step))
    writer.append(StepStarted(recipe="recipes/x.yaml", step="elsewhere", worker="gw1"))
    block = {"step": {"name": "over"}}
    writer.append(
        StepFinished(
            recipe="recipes/x.yaml", step="over", outcome="passed", meets=True, block=block
        )
    )
    writer.close()
    entries = read_journal(journal).entries

    hold, beside = unfinished_steps.interrupted_events(entries, "main", "it has died")

    assert (hold.step, hold.outcome, hold.meets) == ("hold", "interrupted", False)
    assert hold.block["step"] == STEP | {
        "state": "interrupted",
        "attempt": 2,
        "kind": "interrupted",
        "reason": "it has died",
    }
    assert (beside.step, beside.outcome) == ("beside", "interrupted")
    assert [one.step for one in unfinished_steps.interrupted_events(entries, "gw1", "")] == [
        "elsewhere"
    ]
    assert unfinished_steps.interrupted_events(entries, "gw2", "") == []


def test_a_torn_line_is_removed_before_the_timeout_is_recorded(journal: Path) -> None:
    with journal.open("ab") as file:
        file.write(b'{"n":4,"ts')

    assert unfinished_steps.record_timeout(journal, HOLD)
    assert (read_journal(journal).damage, len(read_journal(journal).entries)) == (None, 4)


def test_a_timeout_of_another_step_or_of_a_running_process_is_not_recorded(journal: Path) -> None:
    before = journal.read_bytes()
    assert not unfinished_steps.record_timeout(journal, HOLD._replace(step="other"))

    writer = Journal(journal, read_journal(journal).chain)
    assert not unfinished_steps.record_timeout(journal, HOLD)
    writer.close()
    assert journal.read_bytes() == before


def test_the_block_of_a_step_that_died_has_the_elements_that_had_ended(journal: Path) -> None:
    writer = Journal(journal, read_journal(journal).chain)
    element = {"index": 0, "item": 12, "state": "passed"}
    writer.append(
        ElementFinished(
            recipe="recipes/x.yaml", step="hold", element=0, outcome="passed", block=element
        )
    )
    writer.close()
    (event,) = unfinished_steps.interrupted_events(read_journal(journal).entries, "main", "dead")
    assert event.block["elements"] == [element]
