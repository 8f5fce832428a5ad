"""One reader for each run, however many pages look at it, and the list of all runs."""

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from pytest_orchestrator.runs.folder import is_run
from pytest_orchestrator.runs.journal.chain import JournalDamaged
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.lookup import Followed, NoRun, run_folders
from pytest_orchestrator.runs.record import RunRecord

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_MOST_RUNS: Final = 8
"""Runs that are kept in memory; who has not been asked for longest goes."""


class Sight(NamedTuple):
    """What a page is shown of a run.

    Attributes:
        record: What is known of it; another thread may add to it while the lock is not held.
        folder: Its folder.
        version: Another one after each change.
        checked: When the journal was looked at last, by ``time.time``.
        trouble: Why it cannot be read any further; empty where it can.
    """

    record: RunRecord
    folder: Path
    version: int
    checked: float
    trouble: str


class _Reader:
    """Follows one run."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.Lock()
        self.folder = folder
        self._followed = Followed(folder)
        self._version, self._checked, self._trouble = 0, 0.0, ""

    def look(self) -> Sight:
        """Read what is new; the lock is held."""
        state = self._followed.record.state
        if not self._trouble and state != "finished":
            try:
                if self._followed.more() or self._followed.record.state != state:
                    self._version += 1
            except JournalDamaged as error:
                self._trouble = f"the journal was changed, {error}"
                self._followed.record.end("damaged")
                self._version += 1
            except OSError as error:
                # It may come back: a folder on a network that is away for a moment.
                told = f"the journal cannot be read: {error.strerror or error}"
                return self._sight(told)
        self._checked = time.time()
        return self._sight(self._trouble)

    def _sight(self, trouble: str) -> Sight:
        return Sight(self._followed.record, self.folder, self._version, self._checked, trouble)


class Watch:
    """The runs of a project.

    Args:
        base: The folder that has them.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self._lock = threading.Lock()
        self._readers: dict[str, _Reader] = {}

    def names(self) -> list[str]:
        """Return the ids of all runs, the newest first."""
        return [path.name for path in run_folders(self.base)]

    def folder(self, name: str) -> Path:
        """Return the folder of a run, and of nothing else.

        Args:
            name: Its id, as a page gives it.

        Raises:
            NoRun: It is no id, or there is no such run.
        """
        path = self.base / name
        if not is_run(Path(name)) or path.parent != self.base or not (path / NAME).is_file():
            raise NoRun(f"no run {name[:40]!r}")
        return path

    def see(self, name: str, show: "Callable[[Sight], T]") -> T:
        """Show a run as it stands now.

        Args:
            name: Its id.
            show: Makes of it what is wanted; called with the lock of the run held.

        Returns:
            What `show` returns.

        Raises:
            NoRun: There is no such run.
        """
        reader = self._reader(name)
        with reader.lock:
            return show(reader.look())

    def _reader(self, name: str) -> _Reader:
        folder = self.folder(name)
        with self._lock:
            reader = self._readers.pop(name, None) or _Reader(folder)
            self._readers[name] = reader  # the last one is who was asked for last
            while len(self._readers) > _MOST_RUNS:
                del self._readers[next(iter(self._readers))]
        return reader
