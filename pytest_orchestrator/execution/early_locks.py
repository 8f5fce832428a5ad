"""Which locks of a recipe and its steps are known by name before anything runs."""

import contextlib
from typing import Any

import msgspec

from pytest_orchestrator.execution.lookups import Inner, Steps
from pytest_orchestrator.recipe.expressions import ExpressionError
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.part import Part
from pytest_orchestrator.recipe.resolve import is_early, lock_names, plain_locks


def early_locks(recipe: Recipe, names: dict[str, Any]) -> set[str]:
    """Return the names of locks that are known before anything runs.

    A name that cannot be known yet, or that has no value, is left to its step.

    Args:
        recipe: The recipe.
        names: What the names of its expressions mean before anything runs.

    Raises:
        ExpressionError: A name among the recipe's own has no value.
    """
    told = {*plain_locks(recipe.locks, recipe.templates), *lock_names(recipe.templates, names)}
    steps = Steps(recipe, lambda _: None)
    inner: dict[str, Inner | None] = {}
    for step in (*recipe.steps, *recipe.final):
        told.update(plain_locks(step.locks, step.templates))
        known = names
        if step.part is not None:
            if step.part.name not in inner:
                inner[step.part.name] = _inner(step.part, names, steps)
            within = inner[step.part.name]
            if within is None:
                continue
            told.update(within.locks)
            known = within.names(names)
        for one in filter(is_early, step.templates):
            with contextlib.suppress(ExpressionError):  # its step will tell of it
                told.update(lock_names([one], known))
    return told


def _inner(part: Part, names: dict[str, Any], steps: Steps) -> Inner | None:
    """Return what a used file knows before anything runs; None where that comes later."""
    templates = (*part.templates, *part.given_templates, *part.locks)
    if not all(map(is_early, templates)):
        return None
    outer = None
    if part.outer is not None:
        outer = _inner(part.outer, names, steps)
        if outer is None:
            return None
    with contextlib.suppress(ExpressionError):  # its steps will tell of it
        return Inner(msgspec.structs.replace(part, condition=None), names, steps, outer)
    return None
