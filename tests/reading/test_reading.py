"""A recorded run as plain data."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator import load_run, reading
from pytest_orchestrator.runs.journal.chain import JournalDamaged
from pytest_orchestrator.runs.lookup import NoRun
from tests.runs.built import RECIPE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runs.built import Runs


@pytest.fixture
def folder(runs: Runs) -> Path:
    """A run of two steps, the second of which failed."""
    built = runs.new().begin("flash", "measure", "not_selected")
    built.step("flash", seconds=1.5, where={"worker": "bench-3", "host": "lab-a"})
    built.start("measure")
    built.change("measure", "psu.ripple_mv", 41.3)
    built.change("", "bench", {"name": "B3"}, op="set")
    built.change("measure", "own", 1, scope=RECIPE)
    built.finish(
        "measure", "failed", measured={"ripple": 41.3}, kind="criterion", reason="it is too much"
    )
    return built.seal(1)


def test_a_run_is_loaded_as_lists_of_rows(folder: Path) -> None:
    run = load_run(folder)

    assert repr(run) == f"<LoadedRun {folder.name}: failed, 2 steps>"
    first, second = run.steps
    assert (first["step"], first["seconds"], first["max_rss"]) == ("flash", 1.5, 50_000_000)
    assert (first["worker"], first["host"]) == ("bench-3", "lab-a")
    assert "worker" not in second
    assert (second["state"], second["kind"], second["reason"]) == (
        "failed",
        "criterion",
        "it is too much",
    )
    assert {type(value) for row in run.steps for value in row.values()} == {str, int, float}
    assert run.context == {"psu.ripple_mv": 41.3, "bench": {"name": "B3"}}
    assert [(row["key"], row["by"], row["scope"]) for row in run.changes] == [
        ("psu.ripple_mv", f"{RECIPE}::measure", ""),
        ("bench", "", ""),
        ("own", f"{RECIPE}::measure", RECIPE),
    ]
    (measured,) = run.measurements
    assert (measured["name"], measured["value"], measured["unit"]) == ("ripple", 41.3, "mV")
    assert [row["outcome"] for row in run.tests] == ["passed", "failed"]


def test_samples_are_read_up_to_a_torn_line(runs: Runs) -> None:
    built = runs.new().begin("a")
    built.write("resources/psu/a.1.jsonl", '{"seconds": 0.1, "rss": 5}\n{"seconds": 0.2, "r')
    built.start("a")
    built.finish("a", samples="resources/psu/a.1.jsonl")
    run = load_run(built.seal())

    assert run.samples == [{"recipe": RECIPE, "step": "a", "seconds": 0.1, "rss": 5}]


def test_rows_can_be_written_as_csv(folder: Path) -> None:
    rows = load_run(folder).steps
    out = io.StringIO()
    writer = csv.DictWriter(out, sorted({name for row in rows for name in row}))
    writer.writeheader()
    writer.writerows(rows)

    assert len(out.getvalue().splitlines()) == 3


def test_runs_are_found_in_the_nearest_folder_above(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / "notebooks"
    deep.mkdir()
    monkeypatch.chdir(deep)

    assert load_run().info["id"] == folder.name
    assert load_run(folder.name[:8]).folder == folder
    with pytest.raises(NoRun, match="no run 'x'; the newest is"):
        load_run("x")
    with pytest.raises(NoRun, match="there is no run in"):
        load_run(base=tmp_path)


def test_a_journal_that_was_changed_is_not_read(folder: Path) -> None:
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b"41.3", b"31.3", 1))

    with pytest.raises(JournalDamaged, match="line 7: it, or the hash of the line before it"):
        load_run(folder)


def test_the_record_has_the_run_as_typed_objects(folder: Path) -> None:
    run = load_run(folder).record

    assert reading.verdict(run) == "failed"
    step = run.recipes[RECIPE].steps["measure"]
    [one] = reading.measurements_of(step.block)
    assert (type(step), type(step.block)) == (reading.StepRecord, reading.Block)
    assert (one.name, one.value, step.reason) == ("ripple", 41.3, "it is too much")


def test_a_damaged_run_is_read_up_to_the_damage(folder: Path) -> None:
    journal = folder / "journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([*lines[:4], lines[4].replace(b"psu", b"usp"), *lines[5:]]))

    run, verification = reading.read_run(folder)

    assert (run.lines, verification.state) == (verification.lines, "damaged")
    assert [flaw.where for flaw in verification.flaws] == [f"journal.jsonl:{run.lines + 1}"]
