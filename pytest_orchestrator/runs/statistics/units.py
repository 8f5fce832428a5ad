"""Units under test and the runs of recipes that count for them: selection, first and last runs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from pytest_orchestrator.runs.history.model import PastRecipe, PastRun, joined

_SERIAL: Final = ("serial_number", "serial", "sn", "id")
_TYPE: Final = ("part_number", "type", "model")
"""Keys of a mapping ``dut`` in `test_meta`, in the order of their precedence."""

DAMAGED: Final = "damaged"
INTERRUPTED: Final = "interrupted"
NOTHING_RAN: Final = "nothing ran"
PARTLY_SELECTED: Final = "partly selected"
NO_SERIAL: Final = "no serial number"
"""Reasons why a run of a recipe does not count."""

_BY_VERDICT: Final = {
    "damaged": DAMAGED,
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
        for keys in (_SERIAL, _TYPE)
    )
    return Unit(serial, kind or joined(test_meta.get("dut_type")))


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
        return self.recipe.verdict == "passed"


class Counted(msgspec.Struct, frozen=True):
    """The runs of recipes that count, and the number of the others.

    Attributes:
        runs: The runs of recipes that count, the oldest first.
        left_out: Number of the runs of recipes that do not count, by reason.
    """

    runs: tuple[UnitRun, ...]
    left_out: dict[str, int]


def left_out_reason(recipe: PastRecipe, unit: Unit) -> str:
    """Return why a run of a recipe does not count; empty if it counts."""
    if recipe.verdict in _BY_VERDICT:
        return _BY_VERDICT[recipe.verdict]
    if not recipe.is_whole:
        return PARTLY_SELECTED
    return "" if unit.serial else NO_SERIAL


def counted(runs: Iterable[PastRun]) -> Counted:
    """Return the runs of recipes that count.

    Args:
        runs: All runs of the project, the newest first; with fewer of them, the first run of a unit
            may be another one.
    """
    left_out: Counter[str] = Counter()
    found: list[tuple[PastRun, PastRecipe, Unit]] = []
    for run in runs:
        if run.verdict == DAMAGED:
            left_out[DAMAGED] += 1
            continue
        for recipe in run.recipes:
            unit = unit_of(recipe.test_meta)
            reason = left_out_reason(recipe, unit)
            if reason:
                left_out[reason] += 1
            else:
                found.append((run, recipe, unit))
    found.reverse()
    firsts = {_key(recipe, unit): at for at, (_, recipe, unit) in reversed([*enumerate(found)])}
    lasts = {_key(recipe, unit): at for at, (_, recipe, unit) in enumerate(found)}
    return Counted(
        tuple(
            UnitRun(
                run,
                recipe,
                unit,
                is_first=firsts[_key(recipe, unit)] == at,
                is_last=lasts[_key(recipe, unit)] == at,
            )
            for at, (run, recipe, unit) in enumerate(found)
        ),
        dict(sorted(left_out.items())),
    )


def _key(recipe: PastRecipe, unit: Unit) -> tuple[str, str]:
    return recipe.key, unit.serial
