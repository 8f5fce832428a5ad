"""Recipes without files, for the tests of resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import ShellStep
from pytest_orchestrator.runs.resume.plan import CurrentRecipe

ANY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""Settings without deadlines: a property must hold on a slow machine, too."""

KEY = "recipes/x.yaml"
SAME = {"step": "0123456789abcdef"}


def recipe(steps: dict[str, dict[str, Any]], final: tuple[str, ...] = (), key: str = KEY) -> Recipe:
    """Return a recipe in which each step needs the one before it, unless `needs` is passed."""
    before: tuple[str, ...] = ()
    built = []
    for name, keys in steps.items():
        built.append(_step(name, {"needs": before} | keys))
        before = (name,)
    last = tuple(_step(name, {"is_final": True}) for name in final)
    path = Path("/project", key)
    return Recipe(id=key, path=path, text="", sha256="", steps=tuple(built), final=last)


def _step(name: str, keys: dict[str, Any]) -> ShellStep:
    return ShellStep(name=name, cmd="true", at={"": Place(1, 1)}, **keys)


def today(
    one: Recipe, changed: dict[str, dict[str, str]] | None = None, needs: tuple[str, ...] = ()
) -> CurrentRecipe:
    """Return the current state of a recipe; steps without an entry in `changed` are unchanged."""
    names = [step.name for step in one.steps]
    return CurrentRecipe(one, {name: (changed or {}).get(name, SAME) for name in names}, needs)
