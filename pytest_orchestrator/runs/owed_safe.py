"""Safe states that are owed: by runs that used an instrument and have not reached its safe state.

A debt begins with `InstrumentOpened` in a journal, before the first command. It ends with
`InstrumentSafe` without a reason, of that run or of a later one that names it, or with
`DebtForgiven`. An instrument is identified by its resource and backend, which has the file of a
simulation; its name may change.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from pytest_orchestrator.core.events import InstrumentOpened, InstrumentSafe
from pytest_orchestrator.core.location import Places
from pytest_orchestrator.recipe.station.model import InstrumentSettings, Station
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.folder import instruments_folder, is_run
from pytest_orchestrator.runs.journal.debt_marks import folders_with_debts
from pytest_orchestrator.runs.record import RunRecord

_ELSEWHERE: Final = {"name", "at", "resource", "backend", "safe", "init", "calibrated", "due"}
"""Fields of the settings that an event has as fields of its own, or that no payment needs."""


class OwedSafe(NamedTuple):
    """Safe state that a run owes.

    Attributes:
        run: Id of the run.
        use: The event with which the use of the instrument began.
    """

    run: str
    use: InstrumentOpened

    @property
    def instrument(self) -> str:
        """The name of the instrument in that run."""
        return self.use.instrument

    @property
    def key(self) -> tuple[str, str]:
        """The run and the instrument, as events of other runs name the debt."""
        return self.run, self.use.instrument

    @property
    def phrase(self) -> str:
        """The debt as the begin of a phrase, before "owes" or "owed"."""
        return f"the safe state of {self.instrument} that run {self.run}"

    def covers(self, use: InstrumentOpened) -> bool:
        """Return True if paying this debt does all that another use of an instrument would owe."""
        names = ("resource", "backend", "safe", "settings")
        return all(getattr(self.use, name) == getattr(use, name) for name in names)

    def paid_by(self, result: InstrumentSafe) -> InstrumentSafe:
        """Return the event of an attempt to pay this debt, with the result of the attempt."""
        about = {"recipe": self.use.recipe, "instrument": self.instrument, "run": self.run}
        return msgspec.structs.replace(result, **about)

    def refused(self, reason: str) -> InstrumentSafe:
        """Return the event of an attempt to pay this debt that nothing was sent for."""
        return self.paid_by(InstrumentSafe(recipe="", instrument="", reason=reason))

    @property
    def settings(self) -> InstrumentSettings:
        """The settings of the time of use."""
        use = self.use
        own = {"name": use.instrument, "resource": use.resource, "safe": use.safe, "at": Places({})}
        backend = {"backend": use.backend} if use.backend else {}
        return msgspec.convert({**use.settings, **own, **backend}, InstrumentSettings)

    def found_in(self, station: Station) -> InstrumentSettings | None:
        """Return the same instrument in a station file, under any name, if it can be made safe.

        Two names of one resource, such as the channels of a supply, have safe states of their own.
        """
        for one in sorted(
            station.instruments.values(), key=lambda one: one.name != self.instrument
        ):
            # Journals of older versions do not name the backend: no simulation pays for them.
            is_same = one.backend == self.use.backend or not (self.use.backend or one.simulation)
            if one.resource == self.use.resource and is_same and (one.safe or self.use.safe):
                return one
        return None

    def name_in(self, station: Station | None) -> str:
        """Return the name of the instrument in a station file; empty if it is not there."""
        found = None if station is None else self.found_in(station)
        return "" if found is None else found.name

    def obstacle(self, station: Station | None) -> str:
        """Return the reason why a station, or a project without one, cannot pay; empty if it can.

        Args:
            station: The station; None without a station file.
        """
        if self.name_in(station):
            return ""
        use, at = self.use, self.use.resource
        at += f" ({use.simulation}@sim)" if use.simulation else ""
        place = "the project" if station is None else station.id
        return (
            f"{place} has no instrument with a safe state at {at}, so the one that run {self.run} "
            f"owes cannot be reached; write it into the station file again, or drop the debt: "
            f"pytest-orchestrator instruments forgive {self.instrument} --reason TEXT"
        )


def payments(debts: Sequence[OwedSafe], now: InstrumentSettings) -> list[InstrumentSettings]:
    """Return the settings with which the debts of one instrument are paid, in order of preference.

    The commands of the debts come first, the oldest first, and then those of the present station.
    The other settings are those of the last use; if the safe state is not reached with them, those
    of the present station, in which a person may have corrected them.

    Args:
        debts: The debts, the newest first; none for the commands of the station alone.
        now: The instrument in the present station.
    """
    if not debts:
        return [now]
    commands = dict.fromkeys([*(one.use.safe for one in reversed(debts)), now.safe])
    safe = tuple(command for some in commands for command in some)
    then = msgspec.structs.replace(debts[0].settings, safe=safe)
    changed = {"name": then.name, "safe": safe, "at": then.at, "init": (), "calibrated": None}
    now = msgspec.structs.replace(now, **changed, due=None)
    return [now] if now == then or not debts[0].use.backend else [then, now]


def masked_result(result: InstrumentSafe, masked: Callable[[str], str]) -> InstrumentSafe:
    """Return the end of the use of an instrument, or of an attempt to pay, with secrets masked."""
    transcript = tuple(map(masked, result.transcript))
    return msgspec.structs.replace(result, reason=masked(result.reason), transcript=transcript)


def use_of(
    settings: InstrumentSettings, recipe: str, masked: Callable[[Any], Any], **more: Any
) -> InstrumentOpened:
    """Return the event that the use of an instrument begins, with all that its debt needs.

    Args:
        settings: The instrument.
        recipe: Key of the recipe, the path of a test module, or the command.
        masked: Masks secrets.
        more: Further fields of the event.
    """
    values = {
        field.name: getattr(settings, field.name)
        for field in msgspec.structs.fields(settings)
        if field.name not in _ELSEWHERE and getattr(settings, field.name) != field.default
    }
    plain = msgspec.to_builtins(values)
    return InstrumentOpened(
        recipe=recipe,
        instrument=settings.name,
        resource=settings.resource,
        backend=settings.backend,
        simulation=settings.simulation,
        has_safe_state=bool(settings.safe),
        safe=settings.safe if masked(settings.safe) == settings.safe else (),
        settings={name: one for name, one in plain.items() if masked(one) == one},
        **more,
    )


class Ledger:
    """Debts of a project: safe states that its runs owe, and debts that they have settled.

    Args:
        base: The folder of the runs.

    Attributes:
        owed: The safe states that runs owe, those of the newest run first. A run that is still
            running owes nothing yet.
        settled: The debts that were paid or dropped, as pairs of the run and the instrument; the
            instrument is empty for all debts of that run.
        damaged: Ids of the runs whose damaged journals may hide a debt, until a person drops it.
    """

    def __init__(self, base: Path) -> None:
        self._stores = instruments_folder(base), base
        self._records = [*_records(self._stores)]
        self.settled = {one for record in self._records for one in record.debts.settled}
        self.owed = [
            OwedSafe(record.id, use)
            for record in self._records
            if record.state != "running"
            for name, use in record.debts.owed.items()
            if self.settled.isdisjoint({(record.id, name), (record.id, "")})
        ]
        damaged = [record.id for record in self._records if record.state == "damaged"]
        self.damaged = [run for run in damaged if (run, "") not in self.settled]

    @property
    def kept(self) -> set[str]:
        """Ids of the runs that owe a safe state, or say what became of an older debt.

        Without the journal that settled it, a debt would be due again while the run that made it is
        still there.
        """
        settlers = {
            record.id
            for record in self._records
            for run, _ in record.debts.settled
            if any((store / run).is_dir() for store in self._stores)
        }
        return {one.run for one in self.owed} | {*self.damaged} | settlers


def _records(stores: Iterable[Path]) -> Iterator[RunRecord]:
    """Yield the records of all runs with debts, each store newest first."""
    for store in stores:
        for folder in filter(is_run, folders_with_debts(store)):
            with contextlib.suppress(lookup.NoRun):
                yield lookup.load_record(folder, raw_blocks=True)
