"""Fixtures that a step asks for and cannot have: said at the line of the recipe."""

import difflib
import re

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe import Problem, Recipe, RecipeError
from pytest_orchestrator.recipe.model.step import Step

_PARAMETRIZED = re.compile(
    r"has no parameter defined for test.*Requested fixture '(\w+)'", re.DOTALL
)


def problem(error: BaseException, recipe: Recipe, step: Step) -> RecipeError | None:
    """Return what is wrong with a fixture that a recipe names.

    Args:
        error: What the setup of the step raised.
        recipe: The recipe; it may name fixtures for all steps.
        step: The step.

    Returns:
        None where the error is another, or tells of a fixture that the recipe does not name.
    """
    if isinstance(error, pytest.FixtureLookupError):
        name = str(error.argname)
        near = difflib.get_close_matches(name, _available(error), n=1)
        head, tail = f"fixture '{name}'", " not found"
        hint = f"did you mean '{near[0]}'?" if near else "see `pytest --fixtures`"
        place = _place(name, recipe, step)
    elif match := _PARAMETRIZED.search(str(error)):
        name = match[1]
        head, tail = f"fixture '{name}'", " has parameters, and a step is one item"
        hint = "write a step for each value, or a fixture without parameters"
        # Nobody names one that is used automatically or by another fixture.
        place = _place(name, recipe, step) or step.at["name"]
    else:
        return None
    if place is None:
        return None
    found = Problem(place, head, f" of step '{step.name}'", tail, hint)
    source = recipe.source(step)
    return RecipeError([found], source.id, source.text)


def _place(name: str, recipe: Recipe, step: Step) -> Place | None:
    if name in step.fixtures:
        return step.at.get("fixtures", step.at["name"])
    return recipe.at["fixtures"] if name in recipe.fixtures else None


def _available(error: pytest.FixtureLookupError) -> list[str]:
    """Return the names that pytest lists beside its own message."""
    _, _, names = str(getattr(error.formatrepr(), "errorstring", "")).partition(
        "available fixtures:"
    )
    return re.findall(r"\w+", names.partition("\n")[0])
