"""Safe states that killed runs owe: instruments that they used and did not make safe."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.journal.writer import NAME
from pytest_orchestrator.runs.record import RunRecord

_OPENED: Final = b'"event":"instrument_opened"'
_SAFE: Final = b'"event":"instrument_safe"'


class OwedSafe(NamedTuple):
    """Safe state that a killed run owes.

    Attributes:
        run: Id of the run.
        recipe: Key of the recipe that used the instrument.
        instrument: Name of the instrument.
        resource: Its VISA resource.
        station: Id of its station file; empty if the journal does not say it.
        settled_by: Id of a later run that used the instrument and made it safe; empty if none did.
    """

    run: str
    recipe: str
    instrument: str
    resource: str
    station: str = ""
    settled_by: str = ""


def owed_safe_states(base: Path, most: int = 20) -> list[OwedSafe]:
    """Return the safe states that earlier runs owe, those of the newest run first.

    A run that was ended in an orderly way has sent the commands, or reported why it could not.

    Args:
        base: The folder of the runs.
        most: Number of runs that are checked, newest first.
    """
    owed: list[OwedSafe] = []
    later: list[RunRecord] = []
    for folder in lookup.run_folders(base)[:most]:
        if not _uses_instruments(folder / NAME):
            continue
        try:
            record = lookup.load_record(folder)
        except lookup.NoRun:
            continue
        if record.state != "running":
            owed += owed_by(record, later)
        later.append(record)
    return owed


def owed_by(record: RunRecord, later: Sequence[RunRecord] = ()) -> list[OwedSafe]:
    """Return the safe states that a run owes, given the later runs that used instruments.

    Args:
        record: The run.
        later: Later runs, the newest first.
    """
    left = {each.instrument: each for each in record.opened if each.has_safe_state}
    for each in record.made_safe:
        if not each.run:
            left.pop(each.instrument, None)
    owed = []
    about = record.started.environment.get("station_file") if record.started else None
    station = str(about.get("path", "")) if isinstance(about, dict) else ""
    for name, event in left.items():
        ends = [
            (one.id, each)
            for one in reversed(later)
            for each in one.made_safe
            if each.instrument == name and not each.reason
        ]
        if any(each.run == record.id for _, each in ends):  # sent, or dropped with a line
            continue
        settled = next((run for run, each in ends if not each.run), "")
        owed.append(OwedSafe(record.id, event.recipe, name, event.resource, station, settled))
    return owed


def _uses_instruments(path: Path) -> bool:
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return _OPENED in data or _SAFE in data
