"""The list of all runs, each in a few words; what a journal says is read once."""

import threading
from pathlib import Path
from typing import Any, Final

from pytest_orchestrator.monitor.watch import Sight, Watch
from pytest_orchestrator.reports.text import duration
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.journal.chain import JournalDamaged
from pytest_orchestrator.runs.journal.writer import NAME, is_written
from pytest_orchestrator.runs.summary import summary

MOST: Final = 500
"""Runs that a page lists, the newest."""

_READ = "…"


class Shelf:
    """What a list of runs shows.

    Args:
        watch: The runs.
    """

    def __init__(self, watch: Watch) -> None:
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
        def told(sight: Sight) -> dict[str, Any]:
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
