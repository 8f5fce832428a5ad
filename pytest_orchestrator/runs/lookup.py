"""Runs of a project: list, lookup by name, loading, retention."""

import contextlib
import gc
from collections.abc import Iterator
from pathlib import Path

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.runs.folder import is_run
from pytest_orchestrator.runs.journal.reader import Tail, read_journal
from pytest_orchestrator.runs.journal.writer import NAME, is_written
from pytest_orchestrator.runs.record import RunRecord

LATEST = "latest"

_CHUNK = 1 << 20


class NoRun(OrchestratorError):
    """There is no such run."""

    slug = "no-run"


def run_folders(base: Path) -> list[Path]:
    """Return the folders of all runs, the newest first.

    Args:
        base: The folder that has them.
    """
    if not base.is_dir():
        return []
    return sorted((path for path in base.iterdir() if is_run(path)), key=_when, reverse=True)


def earlier_runs(folder: Path) -> list[Path]:
    """Return the folders of the runs before one of a project, the newest first."""
    known = run_folders(folder.parent)
    return known[known.index(folder) + 1 :] if folder in known else known


def _when(folder: Path) -> tuple[str, int, str]:
    """Return what runs are sorted by: ids tell the second alone, and the rest of them is chance."""
    try:
        written = (folder / NAME).stat().st_mtime_ns
    except OSError:
        written = 0
    return folder.name.partition("-")[0], written, folder.name


def find_run(base: Path, name: str = LATEST) -> Path:
    """Return the folder of a run.

    Args:
        base: The folder that has the runs of a project.
        name: Its id or the beginning of it, ``latest``, or the path of a folder.

    Raises:
        NoRun: There is none, or there are several.
    """
    runs = run_folders(base)
    if name == LATEST:
        if not runs:
            raise NoRun(f"there is no run in {base}; pytest makes one")
        # Ids tell the second alone, and clocks are set back.
        last = (base / LATEST).resolve()
        return last if last in [path.resolve() for path in runs] else runs[0]
    starts = [path for path in runs if path.name.startswith(name)] if name else []
    if len(starts) == 1 or (starts and starts[-1].name == name):
        return starts[-1]
    if starts:
        several = ", ".join(path.name for path in starts[:3])
        raise NoRun(f"several runs begin with '{name}': {several}{' …' * (len(starts) > 3)}")
    path = Path(name)
    if (path / NAME).is_file():
        return path.resolve()
    near = nearest(name, [path.name for path in runs]) or (
        f"; the newest is {runs[0].name}" if runs else f"; there is none in {base}"
    )
    raise NoRun(f"no run '{name}'{near}")


def load_record(folder: Path) -> RunRecord:
    """Read a run.

    Args:
        folder: Its folder.

    Returns:
        What its journal tells, up to the first damage where there is one.

    Raises:
        NoRun: There is no journal.
    """
    record = RunRecord()
    with _uncollected():
        try:
            reading = read_journal(folder / NAME)
        except OSError as error:
            raise NoRun(f"{folder} has no journal: {error.strerror}") from error
        for entry in reading.entries:
            record.fold(entry)
    record.end(reading.state)
    return record


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Let nobody look for garbage meanwhile: thousands of values are made, and all are kept."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class Followed:
    """A run that is read while it goes on: each time only what is new.

    Attributes:
        record: What is known so far.
    """

    def __init__(self, folder: Path) -> None:
        self.record = RunRecord()
        self._path = folder / NAME
        self._tail = Tail()
        self._read = 0

    def more(self) -> bool:
        """Read what was written since the last time; tell whether there was anything.

        Raises:
            JournalDamaged: A line is not what was written there.
            OSError: The journal cannot be read.
        """
        writing = is_written(self._path)  # asked first: what is read now was written before
        start = self._read
        with self._path.open("rb") as file:
            file.seek(start)
            while data := file.read(_CHUNK):  # a journal of a day is not held as a whole
                self._read += len(data)
                for entry in self._tail.feed(data):
                    self.record.fold(entry)
        if not self._tail.finished:
            self.record.end("running" if writing else "interrupted")
        return self._read > start


def prunable(base: Path, keep: int) -> list[Path]:
    """Return the folders of the runs that may go, the newest first.

    Args:
        base: The folder of the runs.
        keep: How many stay; 0 keeps all.
    """
    old = run_folders(base)[keep:] if keep else []
    return [path for path in old if not is_written(path / NAME)]


def prune(base: Path, keep: int) -> list[Path]:
    """Take old runs away.

    Args:
        base: The folder of the runs.
        keep: How many stay; 0 keeps all.

    Returns:
        The folders that are gone.
    """
    import shutil

    gone = []
    for path in prunable(base, keep):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            gone.append(path)
    return gone
