"""Runs of a project: list, lookup by name, loading, retention."""

import os
import time
from pathlib import Path

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.files import gc_paused
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.runs.folder import is_run
from pytest_orchestrator.runs.journal.chain import Chain
from pytest_orchestrator.runs.journal.reader import JournalParser, Reading, read_journal
from pytest_orchestrator.runs.journal.writer import NAME, is_being_written
from pytest_orchestrator.runs.record import RunRecord

LATEST = "latest"

_CHUNK = 1 << 18


class NoRun(OrchestratorError):
    """Error: the requested run does not exist, or its name is ambiguous."""

    slug = "no-run"


def run_folders(base: Path) -> list[Path]:
    """Return the folders of all runs, newest first.

    Args:
        base: The folder of the runs.
    """
    if not base.is_dir():
        return []
    return sorted((path for path in base.iterdir() if is_run(path)), key=_sort_key, reverse=True)


def earlier_runs(folder: Path) -> list[Path]:
    """Return the folders of all runs of a project that are older than one of them, newest first."""
    folders = run_folders(folder.parent)
    if folder in folders:
        return folders[folders.index(folder) + 1 :]
    return [one for one in folders if _second(one.name) < _second(folder.name)]


def _sort_key(folder: Path) -> tuple[str, int, str]:
    """Return the key that sorts runs by age: start in seconds, then time of the last write.

    A run id is a time in whole seconds and a random part, so the time of the write orders the
    runs of one second.
    """
    try:
        written = (folder / NAME).stat().st_mtime_ns
    except OSError:
        written = 0
    return _second(folder.name), written, folder.name


def _second(run: str) -> str:
    return run.partition("-")[0]


def find_run(base: Path, name: str = LATEST) -> Path:
    """Return the folder of a run.

    Args:
        base: The folder of the runs of a project.
        name: Id of the run, the beginning of its id, ``latest``, or the path of a folder.

    Raises:
        NoRun: No run matches, or several do.
    """
    runs = run_folders(base)
    if name == LATEST:
        if not runs:
            raise NoRun(f"there is no run in {base}; pytest makes one")
        # The link is exact: ids are precise to one second only, and a clock may be set back.
        last = (base / LATEST).resolve()
        return last if last in [path.resolve() for path in runs] else runs[0]
    starts = [path for path in runs if path.name.startswith(name)] if name else []
    exact = [path for path in starts if path.name == name]  # an old id may begin a new one
    if len(exact or starts) == 1:
        return (exact or starts)[0]
    if starts:
        several = ", ".join(path.name for path in starts[:3])
        raise NoRun(f"several runs begin with '{name}': {several}{' …' * (len(starts) > 3)}")
    path = Path(name)
    if os.path.isfile(path / NAME):
        return path.resolve()
    near = nearest(name, [*(path.name for path in runs), *([LATEST] if runs else [])]) or (
        f"; the newest is {runs[0].name}" if runs else f"; there is none in {base}"
    )
    raise NoRun(f"no run '{name}'{near}")


def load_record(folder: Path, *, raw_blocks: bool = False) -> RunRecord:
    """Return the record of the run in a folder.

    Args:
        folder: The folder of the run.
        raw_blocks: True for a faster record, whose steps have a `block`, but no plain one in
            `StepRecord.ended`.

    Returns:
        The content of its journal; only the lines before the first damage if it is damaged.

    Raises:
        NoRun: The journal cannot be read.
    """
    record = RunRecord()
    with gc_paused():
        try:
            reading = read_journal(folder / NAME, raw_blocks=raw_blocks, take=record.fold)
        except OSError as error:
            raise NoRun(f"{folder} has no journal: {error.strerror}") from error
        return _closed(record, reading)


def record_of(reading: Reading) -> RunRecord:
    """Return the record of the run whose journal was read."""
    record = RunRecord()
    for entry in reading.entries:
        record.fold(entry)
    return _closed(record, reading)


def _closed(record: RunRecord, reading: Reading) -> RunRecord:
    record.end(reading.state)
    record.seal = reading.chain.hash if reading.state == "finished" else ""
    record.damage = str(reading.damage or "")
    return record


class FollowedRun:
    """Incremental reader of a run that may still be running.

    Attributes:
        record: Record of the lines that were read so far; its steps have no plain block in
            `StepRecord.ended`.
        share: Share of the journal that was read at the last call, from 0 to 1.
    """

    def __init__(self, folder: Path) -> None:
        self.record = RunRecord()
        self.share = 0.0
        self._path = folder / NAME
        self._tail = JournalParser(Chain(raw_blocks=True))
        self._read = 0

    def read_new_lines(self, most: float = float("inf")) -> bool:
        """Read the lines written since the last call; return True if there was new data.

        Args:
            most: Seconds after which it stops; the next call continues. Until the whole journal
                was read, the record is that of a running run.

        Raises:
            JournalDamaged: A line was changed.
            OSError: The journal cannot be read.
        """
        writing = is_being_written(self._path)  # before the read, so that no last line is missed
        start, until = self._read, time.monotonic() + most
        with self._path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(start)
            while data := file.read(_CHUNK):  # a journal of a day is too large to hold at once
                self._read += len(data)
                for entry in self._tail.feed(data):
                    self.record.fold(entry)
                if time.monotonic() > until and self._read < size:
                    self.share = self._read / size
                    return True
        self.share = 1.0
        if not self._tail.finished:
            self.record.end("running" if writing else "interrupted")
        return self._read > start


def prunable(base: Path, keep: int, current: str = "", spared: str | None = None) -> list[Path]:
    """Return the folders of the runs that retention may delete, newest first.

    Args:
        base: The folder of the runs.
        keep: How many runs to keep, including those that are still running; 0 keeps all.
        current: Id of the run that has just begun; empty if none has.
        spared: Id of a run that is kept in any case.
    """
    runs = run_folders(base)
    if current:  # a later run is older nevertheless: the clock was set back
        runs.sort(key=lambda path: (path.name != current, _second(path.name) > _second(current)))
    old = runs[keep:] if keep else []
    return [path for path in old if path.name != spared and not is_being_written(path / NAME)]
