"""Recipes: from YAML text to a frozen `Recipe`, or to all problems of the file at once.

Each name is imported on first use, because not every user of this package needs all of it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.fields.extensions import BUILT_IN, CustomStep, Extensions
    from pytest_orchestrator.recipe.loader.cells import cells
    from pytest_orchestrator.recipe.loader.loader import load
    from pytest_orchestrator.recipe.model.graph import needed_steps
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import (
        Criterion,
        PythonStep,
        ShellStep,
        SshStep,
        Step,
    )
    from pytest_orchestrator.recipe.parsing.source import MAX_BYTES, looks_like_recipe
    from pytest_orchestrator.recipe.problems import Problem, RecipeError

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
    "needed_steps",
]

_HOMES = {"Recipe": "model.recipe", "cells": "loader.cells", "load": "loader.loader"}
_HOMES |= {"needed_steps": "model.graph"}
_HOMES |= dict.fromkeys(("BUILT_IN", "CustomStep", "Extensions"), "fields.extensions")
_HOMES |= dict.fromkeys(("Criterion", "PythonStep", "ShellStep", "SshStep", "Step"), "model.step")
_HOMES |= dict.fromkeys(("MAX_BYTES", "looks_like_recipe"), "parsing.source")
_HOMES |= dict.fromkeys(("Problem", "RecipeError"), "problems")


if not TYPE_CHECKING:  # a type checker must report a name that does not exist

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Stored as a global: Python calls this function only while the name is missing.
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value
