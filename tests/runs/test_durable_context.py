"""Durable Context: confirmed changes survive, and damage is an error."""

from pathlib import Path

import pytest

from pytest_orchestrator.core.events import RunStarted
from pytest_orchestrator.runs.durable_context import NotKept, open_durable_context
from pytest_orchestrator.runs.journal.writer import Journal


def written(path: Path) -> None:
    kept = open_durable_context(path)
    kept.context.set("a", 1)
    kept.context.append("l", "x")
    kept.context.append("l", "y")
    kept.context.set("b", None)
    kept.context.pop("l", 0)
    kept.journal.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.jsonl"


def test_a_file_that_was_cut_anywhere_keeps_all_complete_changes(path: Path) -> None:
    written(path)
    whole = path.read_bytes()
    for cut in (0, 1, 6, 7, *range(90, len(whole), 7)):
        path.write_bytes(whole[:cut])
        kept = open_durable_context(path)
        made = sum(len(kept.context.get_history(key)) for key in ("a", "l", "b"))
        kept.context.set("a", 2)
        kept.journal.close()
        assert made == max(whole[:cut].count(b"\n") - 1, 0), cut
        again = open_durable_context(path)
        assert (again.context.get("a"), again.torn) == (2, 0)
        again.journal.close()


def test_a_changed_line_is_an_error_and_the_file_is_left_unchanged(path: Path) -> None:
    written(path)
    lines = path.read_text().splitlines(keepends=True)
    lines[2] = lines[2].replace('"x"', '"z"')
    path.write_text(damaged := "".join(lines))

    with pytest.raises(NotKept) as caught:
        open_durable_context(path)

    assert str(caught.value) == (
        f"{path} is damaged: line 3: it, or the hash of the line before it, was changed; "
        "nothing was changed"
    )
    assert path.read_text() == damaged


def test_the_journal_of_a_run_is_refused(path: Path) -> None:
    journal = Journal(path)
    journal.append(RunStarted(schema_version="1.0", run="20261125-1"))
    journal.close()

    with pytest.raises(NotKept) as caught:
        open_durable_context(path)

    assert str(caught.value) == f"{path} is the journal of a run; take a file of its own"
