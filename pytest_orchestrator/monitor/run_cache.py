"""Run cache: one journal reader for each run."""

import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pytest_orchestrator.core.files import gc_paused
from pytest_orchestrator.runs.folder import is_run
from pytest_orchestrator.runs.journal.chain import JournalDamaged
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.lookup import LATEST, FollowedRun, NoRun, run_folders
from pytest_orchestrator.runs.record import RunRecord

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_MAX_READERS: Final = 8
"""Runs kept in memory; the least recently used one is dropped."""
_COLLECTS: Final = 3600.0
"""Seconds after which a run whose folder does not exist is missing: no session collects so long."""
_PATIENCE: Final = 0.5
"""Seconds that one view spends on reading a journal; a page takes two views."""


class RunView(NamedTuple):
    """Snapshot of a run for a page.

    Attributes:
        record: The record of the run; another thread may add to it while the lock is not held.
        folder: Its folder.
        version: Number that changes with each change of the run.
        checked: Time of the last read of the journal, by ``time.time``.
        problem: Reason why the journal cannot be read any further; empty if it can.
        share: Share of the journal that was read so far: below 1 while a large one is read, which
            takes several views. Until then the run counts as running.
    """

    record: RunRecord
    folder: Path
    version: int
    checked: float
    problem: str
    share: float = 1.0


class _Reader:
    """Incremental reader of the journal of one run."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.Lock()
        self.folder = folder
        self._followed = FollowedRun(folder)
        self._version, self._checked, self._problem = 0, 0.0, ""
        self._read_to_end: tuple[int, ...] = ()  # the file whose last line was read

    def update(self) -> RunView:
        """Read the new lines of the journal, and return the run; the caller holds the lock.

        A journal that was read to its last line is read again if the file has changed since.
        """
        if self._read_to_end and self._read_to_end != self._file():
            self._followed, self._read_to_end = FollowedRun(self.folder), ()
            self._version += 1
        state = self._followed.record.state
        if not self._problem and state != "finished":
            try:
                if self._followed.read_new_lines(_PATIENCE) or self._followed.record.state != state:
                    self._version += 1
            except JournalDamaged as error:
                self._problem = f"journal modified, {error}"
                self._followed.record.end("damaged")
                self._version += 1
            except OSError as error:
                # Not kept: a network share with the folder may be unreachable for a moment.
                problem = f"the journal cannot be read: {error.strerror or error}"
                return self._view(problem)
        self._checked = time.time()
        if not self._read_to_end and self._followed.record.state == "finished":
            self._read_to_end = self._file()
        return self._view(self._problem)

    def _file(self) -> tuple[int, ...]:
        """Return what changes if the journal file changes; the last one if it cannot be read."""
        try:
            stat = (self.folder / NAME).stat()
        except OSError:  # a network share with the folder may be unreachable for a moment
            return self._read_to_end
        return (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)

    def _view(self, problem: str) -> RunView:
        return RunView(
            self._followed.record,
            self.folder,
            self._version,
            self._checked,
            problem,
            1.0 if problem else self._followed.share,
        )


class RunCache:
    """Cache of the runs of a project, with one journal reader for each run.

    Args:
        base: The folder that contains the run folders.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self._lock = threading.Lock()
        self._readers: dict[str, _Reader] = {}

    def names(self) -> list[str]:
        """Return the ids of all runs, the newest first."""
        return [path.name for path in run_folders(self.base)]

    def newest(self) -> str:
        """Return the id of the run that began last; empty if there is no run with a journal."""
        with suppress(OSError):  # the link is read in no time, also where many runs are
            found = (self.base / LATEST).readlink()
            if is_run(found) and (self.base / found.name / NAME).is_file():
                return found.name
        return next((name for name in self.names() if (self.base / name / NAME).is_file()), "")

    def is_awaited(self, name: str) -> bool:
        """Return True for the id of a run that has not started; `--recipe-monitor` links it."""
        # The id begins with the time at which its session has begun to collect.
        oldest = datetime.fromtimestamp(time.time() - _COLLECTS, UTC).strftime("%Y%m%dT%H%M%SZ")
        return is_run(Path(name)) and name > max(self.newest(), oldest)

    def folder(self, name: str) -> Path:
        """Return the folder of a run, after checking that the name is the id of a run.

        Args:
            name: The id of the run, as a page sends it.

        Raises:
            NoRun: The name is not a run id, or the run does not exist.
        """
        path = self.base / name
        if not is_run(Path(name)) or path.parent != self.base or not (path / NAME).is_file():
            raise NoRun(f"no run {name[:40]!r}")
        return path

    def read(self, name: str, render: "Callable[[RunView], T]") -> T:
        """Update a run from its journal, and return the result of a function for it.

        Args:
            name: The id of the run.
            render: The function; called while the lock of the run is held.

        Returns:
            The return value of `render`.

        Raises:
            NoRun: The run does not exist.
        """
        reader = self._reader(name)
        with reader.lock, gc_paused():  # the records of a large run are many objects
            return render(reader.update())

    def _reader(self, name: str) -> _Reader:
        folder = self.folder(name)
        with self._lock:
            reader = self._readers.pop(name, None) or _Reader(folder)
            self._readers[name] = reader  # the last key is the most recently used one
            while len(self._readers) > _MAX_READERS:
                del self._readers[next(iter(self._readers))]
        return reader
