"""Units of a panel in a recorded run: the part of a recipe that tested one unit.

The part has the steps of the unit, and those that ran once for all units. It is a recipe with a
verdict, a unit under test and a certificate of its own.
"""

from copy import copy
from typing import TYPE_CHECKING

from pytest_orchestrator.recipe.model.recipe import unit_scope
from pytest_orchestrator.runs.block import meta_of_unit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_orchestrator.runs.record import RecipeRecord


def units_in(recipe: "RecipeRecord") -> dict[str, str | None]:
    """Return the serial number of each unit of a recipe by its name; see `runs.block.Recipe`.

    What a person gave during the run counts.
    """
    units = recipe.about.get("units")
    named = {unit: [*one.values()][-1] for unit, one in recipe.identified.items()}
    return units | named if isinstance(units, dict) else {}


def by_unit(recipes: "Iterable[RecipeRecord]") -> "Iterator[RecipeRecord]":
    """Yield recipes as they count: one for each unit that was selected, else the recipe itself."""
    for recipe in recipes:
        units = units_in(recipe)
        if not units:
            yield recipe
        for unit, serial in units.items():
            if serial != "" and _is_selected(recipe, unit):
                yield _of_unit(recipe, unit, units)


def part_key(recipe: "RecipeRecord", step: str) -> str:
    """Return the key of the recipe of a step in the history, which has the parts of a panel.

    A step that ran once for all units is in the part of each; the key is that of the first.
    """
    unit = recipe.steps[step].about.get("unit")
    parts = [unit_scope(recipe.key, unit)] if unit else [one.key for one in by_unit([recipe])]
    return parts[0] if parts else recipe.key


def _is_selected(recipe: "RecipeRecord", unit: str) -> bool:
    """Return True if a step of the unit itself is selected: those that run once test no unit."""
    return any(
        one.state != "not selected"
        for one in recipe.steps.values()
        if one.about.get("unit") == unit and not one.about.get("final")
    )


def _of_unit(recipe: "RecipeRecord", unit: str, units: dict[str, str | None]) -> "RecipeRecord":
    own, cell = copy(recipe), f"unit:{unit}"
    own.key = unit_scope(recipe.key, unit)
    meta = meta_of_unit(recipe.test_meta, units, unit)
    own.about = {**recipe.about, "cell": cell, "unit": unit, "test_meta": meta}
    del own.about["units"]
    own.steps = {
        name: step for name, step in recipe.steps.items() if step.about.get("unit", unit) == unit
    }
    return own
