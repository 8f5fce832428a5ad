"""Inputs of recipes at collection: missing values, and values that violate a rule."""

from typing import TYPE_CHECKING

from pytest_orchestrator.core.typed_fields import InputField, rule_of
from pytest_orchestrator.plugin.options.variables import ASK, OPTION
from pytest_orchestrator.recipe.problems import Problem
from pytest_orchestrator.recipe.variables import (
    converted,
    missing_inputs,
    read_at_collection,
    wrong_input,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.variables import ExternalValue


def input_problems(
    recipe: "Recipe", given: "Mapping[str, ExternalValue]", *, collect_only: bool
) -> "Iterator[Problem]":
    """Yield a problem for each input of a recipe whose value is missing or wrong.

    Args:
        recipe: The recipe.
        given: The values that come from outside the recipe, by name.
        collect_only: True if no step will run: a missing value is a problem only if a matrix
            or a key of `outputs` reads it.
    """
    missing = missing_inputs(recipe.inputs, given)
    if missing and collect_only:
        needed = read_at_collection(recipe)
        missing = {
            name: field for name, field in missing.items() if needed is None or name in needed
        }
    for name, field in recipe.inputs.items():
        place = recipe.at[f"inputs.{name}"]
        if name in missing:
            head = f"no value is given for input '{name}', {rule_of(field)}"
            yield Problem(place, head, hint=_cure(name, field))
        elif name in given and (wrong := wrong_input(name, field, given[name])):
            yield Problem(place, wrong, hint=f"it comes from {given[name].origin}")


def _cure(name: str, field: InputField) -> str:
    # The command line of a process is visible to all users of the machine.
    option = "--recipe-vars-file FILE" if field.secret else f"{OPTION} {name}=..."
    return f"{option}, or {ASK} to be asked"


def mask_inputs(recipe: "Recipe", given: "Mapping[str, ExternalValue]", secrets: "Masker") -> None:
    """Add the values of secret inputs to the masker, as they were given and as converted.

    Args:
        recipe: The recipe.
        given: The values that come from outside the recipe, by name.
        secrets: The masker of the session.
    """
    for name, field in recipe.inputs.items():
        if field.secret and name in given:
            secrets.add(given[name].text)
            if wrong_input(name, field, given[name]) is None:
                secrets.add(converted(field, given[name]))
