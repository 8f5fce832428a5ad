"""Recipes: YAML text to a frozen `Recipe`, or all problems of the file at once.

A name is loaded when it is asked for: not all that read a recipe want the whole language.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.custom import BUILT_IN, CustomStep, Extensions
    from pytest_orchestrator.recipe.graph import needed
    from pytest_orchestrator.recipe.likeness import looks_like_recipe
    from pytest_orchestrator.recipe.loader import load
    from pytest_orchestrator.recipe.matrix import cells
    from pytest_orchestrator.recipe.model import Recipe
    from pytest_orchestrator.recipe.problems import Problem, RecipeError
    from pytest_orchestrator.recipe.source import MAX_BYTES
    from pytest_orchestrator.recipe.step_keys import Criterion, Step
    from pytest_orchestrator.recipe.step_types import PythonStep, ShellStep, SshStep

__all__ = [
    "BUILT_IN",
    "MAX_BYTES",
    "Criterion",
    "CustomStep",
    "Extensions",
    "Problem",
    "PythonStep",
    "Recipe",
    "RecipeError",
    "ShellStep",
    "SshStep",
    "Step",
    "cells",
    "load",
    "looks_like_recipe",
    "needed",
]

_HOMES = {"MAX_BYTES": "source", "Recipe": "model", "cells": "matrix", "load": "loader"}
_HOMES |= {"looks_like_recipe": "likeness", "needed": "graph"}
_HOMES |= dict.fromkeys(("BUILT_IN", "CustomStep", "Extensions"), "custom")
_HOMES |= dict.fromkeys(("Problem", "RecipeError"), "problems")
_HOMES |= dict.fromkeys(("Criterion", "Step"), "step_keys")
_HOMES |= dict.fromkeys(("PythonStep", "ShellStep", "SshStep"), "step_types")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # Kept, since Python asks here for a name only as long as it is not there.
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found
