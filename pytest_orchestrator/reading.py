"""Recorded runs for programs of others: one run as typed records, and as tables.

`load_run` reads a run. Its `record` has a typed object for each recipe and step, with the report
block of the step; its lists are tables of plain values for notebooks and data frames.
"""

import json
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.events import (
    SENT_NOT_CONFIRMED,
    Change,
    CollectionFailed,
    InstrumentOpened,
    InstrumentSafe,
    ReportInfo,
    RunFinished,
    RunStarted,
    StepFinished,
    TestReported,
    epoch_seconds,
)
from pytest_orchestrator.runs.block import (
    Attempt,
    Block,
    Criterion,
    Element,
    Measurement,
    Process,
    Resources,
    Time,
    marginal_count,
    measurements_of,
    plain,
)
from pytest_orchestrator.runs.changes import Changes
from pytest_orchestrator.runs.folder import Artifact, LogFile, RunFile, RunFiles, logs_in
from pytest_orchestrator.runs.journal.chain import Chain, JournalDamaged
from pytest_orchestrator.runs.journal.reader import JournalParser, read_journal
from pytest_orchestrator.runs.journal.writer import NAME, files_of
from pytest_orchestrator.runs.lookup import NoRun, find_run, record_of
from pytest_orchestrator.runs.record import (
    NOT_REACHED,
    RecipeRecord,
    RunRecord,
    StepRecord,
)
from pytest_orchestrator.runs.summary import flaky, simulated_in, summary, verdict, verdict_of
from pytest_orchestrator.runs.units import by_unit
from pytest_orchestrator.runs.verdicts import BAD, NOT_GOOD, STATES, UNKNOWN, is_good, safe_state
from pytest_orchestrator.runs.verify import Flaw, Verification, verify_folder, verify_reading

__all__ = [
    "BAD",
    "NAME",
    "NOT_GOOD",
    "NOT_REACHED",
    "SENT_NOT_CONFIRMED",
    "STATES",
    "UNKNOWN",
    "Artifact",
    "Attempt",
    "Block",
    "Chain",
    "Change",
    "Changes",
    "CollectionFailed",
    "Criterion",
    "Element",
    "Flaw",
    "InstrumentOpened",
    "InstrumentSafe",
    "JournalDamaged",
    "JournalParser",
    "LoadedRun",
    "LogFile",
    "Measurement",
    "NoRun",
    "Process",
    "RecipeRecord",
    "ReportInfo",
    "Resources",
    "RunFile",
    "RunFiles",
    "RunFinished",
    "RunRecord",
    "RunStarted",
    "StepFinished",
    "StepRecord",
    "TestReported",
    "Time",
    "Verification",
    "by_unit",
    "epoch_seconds",
    "files_of",
    "find_run",
    "flaky",
    "is_good",
    "load_run",
    "logs_in",
    "marginal_count",
    "measurements_of",
    "plain",
    "read_run",
    "safe_state",
    "simulated_in",
    "summary",
    "verdict",
    "verdict_of",
    "verify_folder",
]

_BASE: Final = Path(".orchestrator", "runs")


class LoadedRun:
    """One run as tables: lists of rows, each of which is a dict with mostly scalar values.

    Unknown values are absent from a row. Times are in ISO 8601 UTC, figures in seconds and bytes.

    Attributes:
        folder: The folder of the run; paths in the rows are relative to it.
        record: The run as typed records: recipes, steps with their report blocks, other tests,
            changes of the Context, instruments, start with its environment, and end.
        info: The run itself: id, state, verdict, start, seconds, counts.
        steps: A row for each step that ran or was to run: recipe, step, state, attempt, start,
            stop, its figures, kind and reason of a failure; worker and host if it ran on a worker.
        context: The values of the session's Context at the end, by key.
        changes: A row for each change of a Context: line, ts, key, op, who, by, old, new; scope is
            the recipe whose own Context it is.
        measurements: A row for each measurement: recipe, step, name, value, unit, limits, verdict.
        tests: A row for each pytest item: node, outcome, seconds.
    """

    def __init__(self, folder: Path, record: RunRecord) -> None:
        self.folder = folder
        self.record = record
        self.info: dict[str, Any] = summary(record, folder.name)
        self.steps = [_step(step) for step in record.steps if step.state not in NOT_REACHED]
        self.context: dict[str, Any] = record.changes.values()
        self.changes = list(_changes(record))
        self.measurements = [row for step in record.steps for row in _measurements(step)]
        self.tests = [_test(test) for test in record.tests.values()]

    @cached_property
    def samples(self) -> list[dict[str, Any]]:
        """A row for each sample of memory and CPU time: recipe, step, seconds, rss, cpu_seconds.

        The rows are read at the first access; a missing file of samples has no rows.
        """
        files = RunFiles(self.folder)
        touched = (step for step in self.record.steps if step.state not in NOT_REACHED)
        return [row for step in touched for row in _samples(files, step)]

    def __repr__(self) -> str:
        return f"<LoadedRun {self.info['id']}: {self.info['verdict']}, {len(self.steps)} steps>"


def load_run(run: str | os.PathLike[str] = "latest", *, base: Path | None = None) -> LoadedRun:
    """Return a recorded run.

    Args:
        run: Id of the run, the beginning of its id, ``latest``, or the path of its folder.
        base: The folder that has the runs; by default ``.orchestrator/runs`` in the working
            directory or the nearest one above it.

    Returns:
        The run, as typed records and as tables.

    Raises:
        NoRun: No run matches, or several do.
        JournalDamaged: A line of its journal was changed.
    """
    path = Path(run)
    folder = path if (path / NAME).is_file() else find_run(base or _nearest(), os.fspath(run))
    reading = read_journal(folder / NAME)
    if reading.damage is not None:
        raise reading.damage
    return LoadedRun(folder, record_of(reading))


def read_run(folder: Path) -> tuple[RunRecord, Verification]:
    """Return the record of a run and its verification, by one reading of its journal.

    So the seal proves what the record shows. A damaged journal is no error here: the record has
    the lines before the damage, and the verification its flaw.

    Args:
        folder: The folder of the run.

    Raises:
        OSError: The journal cannot be read.
    """
    reading = read_journal(folder / NAME)
    return record_of(reading), verify_reading(folder, reading)


def _nearest() -> Path:
    here = Path.cwd()
    folders = (place / _BASE for place in (here, *here.parents) if (place / _BASE).is_dir())
    return next(folders, here / _BASE)


def _step(step: StepRecord) -> dict[str, Any]:
    block = step.block
    about = {**step.about, **step.outcome_fields}
    row: dict[str, Any] = {"recipe": step.recipe, "step": step.name, "state": step.state}
    row |= {name: about[name] for name in ("node", "index", "type", "line") if name in about}
    if step.started:
        row |= {"attempt": step.attempt, "start": step.started}
    row |= plain(block.time) if block and block.time else {}
    row |= {name: value for name, value in step.figures.items() if name != "source"}
    row |= step.where
    if block and block.process and block.process.exit_code is not msgspec.UNSET:
        row["exit_code"] = block.process.exit_code
    return row | {name: about[name] for name in ("kind", "reason", "blocked_by") if name in about}


def _measurements(step: StepRecord) -> Iterator[dict[str, Any]]:
    block = step.block
    for one in measurements_of(block):
        when = {"stop": block.time.stop} if block and block.time else {}
        yield {"recipe": step.recipe, "step": step.name, **plain(one), **when}


def _changes(record: RunRecord) -> Iterator[dict[str, Any]]:
    rows = []
    for scope, change in record.changes.all():
        fields = msgspec.structs.asdict(change)
        row = {"line": fields.pop("n"), **fields, "scope": scope}
        if row["index"] is None:
            del row["index"]
        rows.append(row)
    yield from sorted(rows, key=lambda row: (row["line"], row["ts"]))


def _test(test: Any) -> dict[str, Any]:
    fields = msgspec.structs.asdict(test)
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _samples(files: RunFiles, step: StepRecord) -> Iterator[dict[str, Any]]:
    path = files.at(step.samples) if step.samples else None
    if path is None or not path.is_file():
        return
    about = {"recipe": step.recipe, "step": step.name}
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                yield about | json.loads(line)
            except ValueError:  # the torn last line of a killed process
                return
