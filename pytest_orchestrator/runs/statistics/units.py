"""Units under test and the runs of recipes that count for them: selection, first and last runs."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.questions import SERIAL
from pytest_orchestrator.runs.history.model import PastRecipe, PastRun, joined
from pytest_orchestrator.runs.verdicts import is_good

_TYPE: Final = ("part_number", "type", "model")
"""Keys of a mapping ``dut`` in `test_meta` with its type, in the order of their precedence."""

DAMAGED: Final = "damaged"
INTERRUPTED: Final = "interrupted"
NOTHING_RAN: Final = "nothing ran"
PARTLY_SELECTED: Final = "partly selected"
NO_SERIAL: Final = "no serial number"
BY_HAND: Final = "by hand"
STUDY: Final = "of a gauge study"
SIMULATED: Final = "simulated, beside runs with real instruments"
"""Reasons why a run of a recipe does not count."""

_BY_VERDICT: Final = {
    "blocked": NOTHING_RAN,
    "by hand": BY_HAND,
    "empty": NOTHING_RAN,
    "interrupted": INTERRUPTED,
    "not run": INTERRUPTED,
    "running": INTERRUPTED,
    "skipped": NOTHING_RAN,
}


class Unit(msgspec.Struct, frozen=True):
    """Unit under test (DUT): its serial number and its type; either may be empty."""

    serial: str
    type: str


def unit_of(test_meta: Mapping[str, Any]) -> Unit:
    """Return the unit under test that `test_meta` names.

    A mapping ``dut`` has the serial number in ``serial_number``, ``serial``, ``sn`` or ``id``, and
    the type in ``part_number``, ``type`` or ``model``. Any other ``dut`` is the serial number, and
    the type is ``dut_type``.
    """
    dut = test_meta.get("dut")
    if not isinstance(dut, Mapping):
        return Unit(joined(dut), joined(test_meta.get("dut_type")))
    serial, kind = (
        next((text for key in keys if (text := joined(dut.get(key)))), "")
        for keys in (SERIAL, _TYPE)
    )
    return Unit(serial, kind or joined(test_meta.get("dut_type")))


def names_of_unit(test_meta: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the texts that name the unit under test: its serial number, and all of ``dut``."""
    names = (unit_of(test_meta).serial, joined(test_meta.get("dut")))
    return tuple(dict.fromkeys(filter(None, names)))


def name_of_unit(test_meta: Mapping[str, Any]) -> str:
    """Return the first text that names the unit under test; empty without one."""
    return next(iter(names_of_unit(test_meta)), "")


def is_unit(test_meta: Mapping[str, Any], name: str) -> bool:
    """Return True if `test_meta` names a unit under test."""
    return name in names_of_unit(test_meta)


def station_of(run: PastRun, recipe: PastRecipe) -> str:
    """Return the station of a run of a recipe: that of its `test_meta`, else that of the run."""
    return joined(recipe.test_meta.get("station")) or run.station


class UnitRun(msgspec.Struct, frozen=True):
    """A run of a recipe that counts.

    Attributes:
        run: The run.
        recipe: The recipe in it.
        unit: The unit under test.
        is_first: True if it is the first run of this unit and recipe that counts.
        is_last: True if it is the last one.
    """

    run: PastRun
    recipe: PastRecipe
    unit: Unit
    is_first: bool
    is_last: bool

    @property
    def passed(self) -> bool:
        """True if the recipe passed."""
        return is_good(self.recipe.verdict)

    @property
    def station(self) -> str:
        """The station; empty if unknown."""
        return station_of(self.run, self.recipe)


class Counted(msgspec.Struct, frozen=True):
    """The runs of recipes that count, and the number of the others.

    Attributes:
        runs: The runs of recipes that count, the oldest first.
        left_out: Number of the runs of recipes that do not count, by reason.
    """

    runs: tuple[UnitRun, ...]
    left_out: dict[str, int]

    @property
    def simulated(self) -> int:
        """Number of the runs that used simulated instruments."""
        return sum(bool(one.recipe.simulated) for one in self.runs)


def left_out_reason(recipe: PastRecipe, unit: Unit) -> str:
    """Return why a run of a recipe does not count; empty if it counts."""
    if recipe.remarks:
        return ", ".join(recipe.remarks)
    if recipe.is_study:
        return STUDY
    if recipe.verdict in _BY_VERDICT:
        return _BY_VERDICT[recipe.verdict]
    if recipe.verdict == "error" and all(step.seconds is None for step in recipe.steps):
        return NOTHING_RAN  # a fixture or a resume refused before the unit was tested
    if not recipe.is_whole:
        return PARTLY_SELECTED
    return "" if unit.serial else NO_SERIAL


def counted(
    runs: Iterable[PastRun],
    is_selected: Callable[[PastRun, PastRecipe | None], bool] = lambda *_: True,
) -> Counted:
    """Return the runs of recipes that count.

    A run of a recipe with simulated instruments counts only if no run of it had real ones.

    Args:
        runs: All runs of the project, the newest first.
        is_selected: Selects the runs of recipes that are returned; it gets no recipe for a run
            whose journal was damaged. The first and the last run of a unit are those among all
            runs, so a repeated test is no first run in any selection.
    """
    left_out: Counter[str] = Counter()
    found: list[tuple[PastRun, PastRecipe, Unit]] = []
    runs = [*runs]
    real = {one.key for run in runs for one in run.recipes if not one.simulated}
    for run in runs:
        if run.verdict == DAMAGED and is_selected(run, None):
            left_out[DAMAGED] += 1
        for recipe in run.recipes:
            unit = unit_of(recipe.test_meta)
            reason = left_out_reason(recipe, unit)
            if not reason and recipe.simulated and recipe.key in real:
                reason = SIMULATED
            if not reason:
                found.append((run, recipe, unit))
            elif is_selected(run, recipe):
                left_out[reason] += 1
    found.reverse()
    keys = [(recipe.key, unit) for _, recipe, unit in found]
    last = {key: at for at, key in enumerate(keys)}
    first = {key: len(keys) - 1 - at for at, key in enumerate(reversed(keys))}
    return Counted(
        tuple(
            UnitRun(run, recipe, unit, first[key] == at, last[key] == at)
            for at, (key, (run, recipe, unit)) in enumerate(zip(keys, found, strict=True))
            if is_selected(run, recipe)
        ),
        dict(sorted(left_out.items())),
    )
