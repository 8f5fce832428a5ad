"""Recipes that no file has, for the tests of what becomes of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import ShellStep
from pytest_orchestrator.runs.resume.plan import CurrentRecipe

ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A law holds however slow a machine is."""

KEY = "recipes/x.yaml"
SAME = {"step": "0123456789abcdef"}


def recipe(steps: dict[str, dict[str, Any]], final: tuple[str, ...] = (), key: str = KEY) -> Recipe:
    """Return a recipe whose steps need the one before them, unless they say otherwise."""
    before: tuple[str, ...] = ()
    made = []
    for name, keys in steps.items():
        made.append(_step(name, {"needs": before} | keys))
        before = (name,)
    last = tuple(_step(name, {"is_final": True}) for name in final)
    path = Path("/project", key)
    return Recipe(id=key, path=path, text="", sha256="", steps=tuple(made), final=last)


def _step(name: str, keys: dict[str, Any]) -> ShellStep:
    return ShellStep(name=name, cmd="true", at={"": Place(1, 1)}, **keys)


def today(
    one: Recipe, changed: dict[str, dict[str, str]] | None = None, needs: tuple[str, ...] = ()
) -> CurrentRecipe:
    """Return a recipe as it is now: what is not said to be changed is not."""
    names = [step.name for step in one.steps]
    return CurrentRecipe(one, {name: (changed or {}).get(name, SAME) for name in names}, needs)
