"""Run cache: one journal reader for each run, and the list of runs."""

import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.reports.certificate.meta import LABELS
from pytest_orchestrator.reports.html.page import labelled_meta
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.folder import is_run
from pytest_orchestrator.runs.journal.chain import JournalDamaged
from pytest_orchestrator.runs.journal.writer import NAME, is_being_written
from pytest_orchestrator.runs.lookup import FollowedRun, NoRun, run_folders
from pytest_orchestrator.runs.record import RunRecord
from pytest_orchestrator.runs.summary import summary

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

_MAX_READERS: Final = 8
"""Runs kept in memory; the least recently used one is dropped."""


class RunView(NamedTuple):
    """Snapshot of a run for a page.

    Attributes:
        record: The record of the run; another thread may add to it while the lock is not held.
        folder: Its folder.
        version: Number that changes with each change of the run.
        checked: Time of the last read of the journal, by ``time.time``.
        problem: Reason why the journal cannot be read any further; empty if it can.
    """

    record: RunRecord
    folder: Path
    version: int
    checked: float
    problem: str


class _Reader:
    """Incremental reader of the journal of one run."""

    def __init__(self, folder: Path) -> None:
        self.lock = threading.Lock()
        self.folder = folder
        self._followed = FollowedRun(folder)
        self._version, self._checked, self._problem = 0, 0.0, ""

    def update(self) -> RunView:
        """Read the new lines of the journal, and return the run; the caller holds the lock."""
        state = self._followed.record.state
        if not self._problem and state != "finished":
            try:
                if self._followed.read_new_lines() or self._followed.record.state != state:
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
        return self._view(self._problem)

    def _view(self, problem: str) -> RunView:
        return RunView(self._followed.record, self.folder, self._version, self._checked, problem)


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
        """Return the id of the run that began last; empty if there is no run."""
        with suppress(OSError):  # the link is read in no time, also where many runs are
            found = (self.base / lookup.LATEST).readlink()
            if is_run(found) and (self.base / found.name / NAME).is_file():
                return found.name
        return next(iter(self.names()), "")

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
        with reader.lock:
            return render(reader.update())

    def _reader(self, name: str) -> _Reader:
        folder = self.folder(name)
        with self._lock:
            reader = self._readers.pop(name, None) or _Reader(folder)
            self._readers[name] = reader  # the last key is the most recently used one
            while len(self._readers) > _MAX_READERS:
                del self._readers[next(iter(self._readers))]
        return reader


MAX_RUNS: Final = 500
"""Highest number of runs in the list; older ones are left out."""

_PENDING = "…"


class RunListCache:
    """Cached rows of the list of runs.

    Args:
        run_cache: The runs.
    """

    def __init__(self, run_cache: RunCache) -> None:
        self._run_cache = run_cache
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[int, dict[str, Any]]] = {}
        self._reader: threading.Thread | None = None

    @property
    def base(self) -> Path:
        """The folder that contains the run folders."""
        return self._run_cache.base

    @property
    def total(self) -> int:
        """Number of all runs, also of those that the list leaves out."""
        return len(self._run_cache.names())

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each run, the newest first.

        A run that was not read yet has a row with its id only. A background thread reads it, and
        the next call returns its complete row.
        """
        names = self._run_cache.names()[:MAX_RUNS]
        missing, rows = [], []
        for name in names:
            size, cached = self._size(name), self._rows.get(name)
            if cached is not None and cached[0] == size:
                rows.append(cached[1])
                continue
            if is_being_written(self._run_cache.base / name / NAME):
                rows.append(self._live(name))
                continue
            rows.append(cached[1] if cached else _blank(name, _PENDING))
            missing.append(name)
        for name in self._rows.keys() - set(names):
            self._rows.pop(name, None)
        self._read(missing)
        return rows

    def _size(self, name: str) -> int:
        try:
            return (self._run_cache.base / name / NAME).stat().st_size
        except OSError:
            return -1

    def _live(self, name: str) -> dict[str, Any]:
        def row_of(view: RunView) -> dict[str, Any]:
            return _row(view.record, name)

        try:
            return self._run_cache.read(name, row_of)
        except lookup.NoRun:
            return _blank(name, _PENDING)

    def _read(self, names: list[str]) -> None:
        with self._lock:
            if self._reader is not None and self._reader.is_alive():
                return
            # The thread that has just ended may have read some of these runs.
            left = [name for name in names if not self._is_cached(name)]
            if left:
                self._reader = threading.Thread(target=self._load, args=(left,), daemon=True)
                self._reader.start()

    def _is_cached(self, name: str) -> bool:
        cached = self._rows.get(name)
        return cached is not None and cached[0] == self._size(name)

    def _load(self, names: list[str]) -> None:
        for name in names:
            folder = self._run_cache.base / name
            size = self._size(name)
            self._rows[name] = (size, _row_of(folder))


def _row_of(folder: Path) -> dict[str, Any]:
    try:
        return _row(lookup.load_record(folder), folder.name)
    except (lookup.NoRun, JournalDamaged, OSError):
        return _blank(folder.name, "damaged", "no journal")


def _blank(name: str, verdict: str, recipes: str = "") -> dict[str, Any]:
    """Return the row of a run that was not read."""
    empty = dict.fromkeys(("cause", "dut", "test_id", "people", "started", "steps"), "")
    row = {"id": name, "verdict": verdict, "recipes": recipes, "since": 0.0, **empty}
    return row | {"seconds": None, "rate": None, "text": f"{name} {verdict}"}


def _row(run: RunRecord, name: str) -> dict[str, Any]:
    """Return the row of a run; its id is the name of its folder, since folders can be copied."""
    about: dict[str, Any] = summary(run, name)
    meta = labelled_meta(run)
    steps: dict[str, int] = about["steps"]
    ended = sum(number for state, number in steps.items() if state not in ("skipped", "running"))
    live = run.state == "running" and bool(run.first)
    row = {
        "id": name,
        "verdict": about["verdict"],
        "cause": about.get("interruption", ""),
        "started": run.first,
        "since": epoch_seconds(run.first) if live else 0.0,
        "seconds": about["seconds"],
        "recipes": ", ".join(one["recipe"] for one in about["recipes"]) or "no recipe",
        "dut": meta.get(LABELS["dut"], ""),
        "test_id": meta.get(LABELS["test_id"], ""),
        "people": ", ".join(
            meta[LABELS[key]] for key in ("operator", "station") if LABELS[key] in meta
        ),
        "rate": steps.get("passed", 0) / ended if ended else None,
        "steps": ", ".join(f"{number} {state}" for state, number in steps.items()),
    }
    return row | {"text": _search_text(run, row)}


def _search_text(run: RunRecord, row: dict[str, Any]) -> str:
    """Return the lower-case text of a run that a search looks at: also the DUTs of all recipes."""
    parts = [str(row[name]) for name in ("id", "verdict", "recipes", "people", "steps")]
    for recipe in run.recipes.values():
        if meta := recipe.about.get("test_meta"):
            parts += [str(meta.get(name, "")) for name in ("dut", "test_id", "batch")]
    return " ".join(parts).lower()
