"""What the tabs of a run have in common: what is asked for, and what a missing run gives."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from dash.exceptions import PreventUpdate

from pytest_orchestrator.monitor.watch import Sight, Watch
from pytest_orchestrator.runs.lookup import NoRun
from pytest_orchestrator.runs.record import RecipeRecord, StepRecord

T = TypeVar("T")

_BETWEEN = "::"


class Asked(NamedTuple):
    """What a page has chosen.

    Attributes:
        picked: Key of the selected step; None where there is none.
        recipe: Key of the recipe that is looked at; the first one where it is None.
    """

    picked: str | None
    recipe: str | None = None


def key(step: StepRecord) -> str:
    """Return what a step is known by on a page."""
    return f"{step.recipe}{_BETWEEN}{step.name}"


def found(sight: Sight, picked: str | None) -> StepRecord | None:
    """Return the step that a page has selected."""
    if not isinstance(picked, str):
        return None
    recipe, _, name = picked.rpartition(_BETWEEN)
    known = sight.record.recipes.get(recipe)
    return known.steps.get(name) if known else None


def recipe_of(sight: Sight, asked: Asked) -> RecipeRecord | None:
    """Return the recipe that is looked at: the chosen one, that of the selected step, the first."""
    recipes = sight.record.recipes
    if asked.recipe in recipes:
        return recipes[asked.recipe]
    step = found(sight, asked.picked)
    return recipes[step.recipe] if step else next(iter(recipes.values()), None)


def look_at(watch: Watch, run: str, show: Callable[[Sight], T]) -> T:
    """Show a run; where it is gone the page stays as it is.

    Raises:
        PreventUpdate: There is no such run.
    """
    try:
        return watch.see(run, show)
    except NoRun:
        raise PreventUpdate from None
