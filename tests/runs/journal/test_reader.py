"""Lines of a journal that are read back while the journal is being written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from pytest_orchestrator.core.events import (
    ContextChanged,
    ContextReplaced,
    InstrumentExchange,
    RunFinished,
    RunStarted,
    StepFinished,
)
from pytest_orchestrator.runs.journal.reader import JournalIndex, read_journal
from pytest_orchestrator.runs.journal.writer import Journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_orchestrator.runs.journal.chain import Entry


def ended(step: str, outcome: Literal["passed", "failed"] = "passed") -> StepFinished:
    block = {"step": {"name": step, "state": outcome}, "sign": "Ω"}
    return StepFinished(recipe="r", step=step, outcome=outcome, meets=True, block=block)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append(RunStarted(schema_version="1.0", run="x"))
    yield journal
    journal.close()


def test_changes_of_one_line_are_read_as_separate_entries(journal: Journal) -> None:
    changes = tuple(ContextChanged(key=key, op="restore", who="x", new=1) for key in "ab")
    journal.append(ContextReplaced(changes=changes, moments=(1_000_000, 1_000_001)))

    read = read_journal(journal.path)

    assert [(one.n, one.ts, one.event) for one in read.entries[1:]] == [
        (2, "1970-01-01T00:00:01.000000Z", changes[0]),
        (2, "1970-01-01T00:00:01.000001Z", changes[1]),
    ]
    assert read.chain.length == 2


def test_a_whole_journal_is_read_without_keeping_exchanges(journal: Journal) -> None:
    for order in range(1, 4):
        exchange = InstrumentExchange(recipe="r", instrument="psu", order=order, do="query")
        journal.append(exchange)
    journal.append(ended("a"))

    read = read_journal(journal.path)

    assert [(one.n, type(one.event)) for one in read.entries] == [
        (1, RunStarted),
        (5, StepFinished),
    ]
    assert (read.chain.length, read.damage) == (5, None)


def test_entries_of_a_journal_that_are_taken_are_not_kept(journal: Journal) -> None:
    journal.append(ended("a"))
    taken: list[Entry] = []

    read = read_journal(journal.path, take=taken.append)

    assert (taken, read.entries) == (read_journal(journal.path).entries, [])
    assert len(taken) == read.chain.length == 2


def test_the_last_line_of_a_step_is_read_back(journal: Journal) -> None:
    lines = JournalIndex(journal.path)
    journal.on_written = lines.note
    for event in (ended("a"), ended("b"), ended("a", "failed")):
        journal.append(event)

    offsets = {name: lines.take("r", name) for name in "ba"}

    assert {name: line and lines.at(line) for name, line in offsets.items()} == {
        "b": ended("b"),
        "a": ended("a", "failed"),
    }
    lines.close()


def test_the_offset_of_a_line_is_returned_once(journal: Journal) -> None:
    lines = JournalIndex(journal.path)
    journal.on_written = lines.note
    journal.append(ended("a"))

    assert lines.take("r", "a") is not None
    assert lines.take("r", "a") is None
    assert lines.take("r", "b") is None
    lines.close()


def test_lines_are_read_after_the_journal_is_sealed_and_removed(
    journal: Journal,
) -> None:
    lines = JournalIndex(journal.path)
    journal.on_written = lines.note
    journal.append(ended("a"))
    journal.seal(lambda count: RunFinished(exit_status=0, lines=count))
    journal.path.unlink()

    line = lines.take("r", "a")

    assert line is not None
    assert lines.at(line) == ended("a")
    lines.close()
