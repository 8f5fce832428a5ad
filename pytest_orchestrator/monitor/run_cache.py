"""Run cache: one journal reader for each run, and the list of runs."""

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pytest_orchestrator.reports.text import duration
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.folder import is_run
from pytest_orchestrator.runs.journal.chain import JournalDamaged
from pytest_orchestrator.runs.journal.writer import NAME, is_written
from pytest_orchestrator.runs.lookup import Followed, NoRun, run_folders
from pytest_orchestrator.runs.record import RunRecord
from pytest_orchestrator.runs.summary import summary

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_MOST_RUNS: Final = 8
"""Runs that are kept in memory; who has not been asked for longest goes."""


class RunView(NamedTuple):
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

    def look(self) -> RunView:
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

    def _sight(self, trouble: str) -> RunView:
        return RunView(self._followed.record, self.folder, self._version, self._checked, trouble)


class RunCache:
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

    def see(self, name: str, show: "Callable[[RunView], T]") -> T:
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


MOST: Final = 500
"""Runs that a page lists, the newest."""

_READ = "…"


class RunListCache:
    """What a list of runs shows.

    Args:
        watch: The runs.
    """

    def __init__(self, watch: RunCache) -> None:
        self._watch = watch
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[int, dict[str, Any]]] = {}
        self._reader: threading.Thread | None = None

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each run, the newest first.

        A run that was not read yet has a row with its id alone: it is read behind the back of
        who asks, and told the next time.
        """
        names = self._watch.names()[:MOST]
        missing, rows = [], []
        for name in names:
            size, known = self._size(name), self._rows.get(name)
            if known is not None and known[0] == size:
                rows.append(known[1])
                continue
            if is_written(self._watch.base / name / NAME):
                rows.append(self._live(name))
                continue
            rows.append(known[1] if known else {"id": name, "verdict": _READ, "recipes": ""})
            missing.append(name)
        for name in self._rows.keys() - set(names):
            self._rows.pop(name, None)
        self._read(missing)
        return rows

    def _size(self, name: str) -> int:
        try:
            return (self._watch.base / name / NAME).stat().st_size
        except OSError:
            return -1

    def _live(self, name: str) -> dict[str, Any]:
        def told(sight: RunView) -> dict[str, Any]:
            return _row(summary(sight.record, name))

        try:
            return self._watch.see(name, told)
        except lookup.NoRun:
            return {"id": name, "verdict": _READ, "recipes": ""}

    def _read(self, names: list[str]) -> None:
        with self._lock:
            if self._reader is not None and self._reader.is_alive():
                return
            # It may have read some of them since they were found missing.
            left = [name for name in names if not self._is_known(name)]
            if left:
                self._reader = threading.Thread(target=self._load, args=(left,), daemon=True)
                self._reader.start()

    def _is_known(self, name: str) -> bool:
        known = self._rows.get(name)
        return known is not None and known[0] == self._size(name)

    def _load(self, names: list[str]) -> None:
        for name in names:
            folder = self._watch.base / name
            size = self._size(name)
            self._rows[name] = (size, _of(folder))


def _of(folder: Path) -> dict[str, Any]:
    try:
        return _row(summary(lookup.load_record(folder), folder.name))
    except (lookup.NoRun, JournalDamaged, OSError):
        return {"id": folder.name, "verdict": "damaged", "recipes": "no journal"}


def _row(told: dict[str, Any]) -> dict[str, Any]:
    steps: dict[str, int] = told["steps"]
    return {
        "id": told["id"],
        "verdict": told["verdict"],
        "start": f"{told['start'][:10]} {told['start'][11:19]}",
        "took": duration(told["seconds"]),
        "seconds": told["seconds"],
        "recipes": ", ".join(one["recipe"] for one in told["recipes"]) or "no recipe",
        "dut": told.get("dut", ""),
        "steps": ", ".join(f"{number} {state}" for state, number in steps.items()),
    }
