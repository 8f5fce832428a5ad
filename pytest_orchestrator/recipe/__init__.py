"""Recipes: YAML text to a frozen `Recipe`, or all problems of the file at once."""

from pytest_orchestrator.recipe.custom import BUILT_IN, CustomStep, Extensions
from pytest_orchestrator.recipe.graph import needed
from pytest_orchestrator.recipe.likeness import looks_like_recipe
from pytest_orchestrator.recipe.loader import load
from pytest_orchestrator.recipe.matrix import cells
from pytest_orchestrator.recipe.model import Criterion, PythonStep, Recipe, ShellStep, Step
from pytest_orchestrator.recipe.problems import Problem, RecipeError
from pytest_orchestrator.recipe.source import MAX_BYTES

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
    "Step",
    "cells",
    "load",
    "looks_like_recipe",
    "needed",
]
