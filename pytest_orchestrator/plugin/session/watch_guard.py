"""Plugin for `pytest-orchestrator watch`: leaves out recipes that declare the use of hardware.

The check is in pytest's own process, after collection: it sees the recipes as they will run, with
the fixtures of conftest.py files and the step types of plugins.
"""

import json
import os
from collections.abc import Iterable
from typing import Any, Final

import pytest

from pytest_orchestrator.plugin.collection import recipe_needs
from pytest_orchestrator.plugin.collection.nodes import StepItem
from pytest_orchestrator.plugin.options.values import WATCH_VARIABLE
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.analysis.hardware_use import (
    INSTRUMENT_FIXTURE,
    HardwareUse,
    hardware_use,
)

_REASONS = pytest.StashKey[dict[str, str]]()
_OUTPUT: Final = "orchestrator_watch"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the steps of recipes that use hardware and are not allowed, and all other tests.

    `watch` passes only recipes to pytest; other tests are here by the ini key ``addopts``.
    """
    allowed = set(json.loads(os.environ.get(WATCH_VARIABLE, "[]")))
    steps = [item for item in items if isinstance(item, StepItem)]
    by_recipe: dict[str, list[StepItem]] = {}
    for item in steps:
        by_recipe.setdefault(item.recipe.id, []).append(item)
    reasons = {
        name: reason
        for name, own in by_recipe.items()
        if (reason := _reason(own, allowed, config)) is not None
    }
    config.stash[_REASONS] = reasons
    if hasattr(config, "workeroutput"):  # a worker of xdist, which collects for the session
        config.workeroutput[_OUTPUT] = reasons
    kept = [item for item in steps if item.recipe.id not in reasons]
    if len(kept) < len(items):
        chosen = set(map(id, kept))
        config.hook.pytest_deselected(items=[item for item in items if id(item) not in chosen])
        items[:] = kept


def _reason(items: list[StepItem], allowed: set[str], config: pytest.Config) -> str | None:
    """Return the reason to leave out the recipe of some steps; None if it may run."""
    state, recipe = state_of(config), items[0].recipe
    cells = {item.recipe.key: item.recipe for item in items}.values()
    every = [*cells, *(need for cell in cells for need in recipe_needs.needed_recipes(cell, state))]
    use, of = _first(one for one in every if one.id not in allowed)
    if use is None and recipe.id not in allowed:
        for item in items:  # a fixture of conftest.py may request that of the instruments
            if INSTRUMENT_FIXTURE in item.fixturenames:
                what = f"step '{item.step.name}' has fixture '{INSTRUMENT_FIXTURE}'"
                use, of = HardwareUse(recipe.id, item.step.at["name"], what), recipe.id
    if use is None:
        return None
    left = "it" if of == recipe.id else recipe.id
    return f"{use}, so watch leaves {left} out (--allow {of})"


def _first(recipes: Iterable[Recipe]) -> tuple[HardwareUse | None, str]:
    for recipe in recipes:
        use = hardware_use(recipe)
        if use is not None:
            return use, recipe.id
    return None, ""


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the reasons over from a worker of xdist."""
    reasons = getattr(node, "workeroutput", {}).get(_OUTPUT, {})
    node.config.stash[_REASONS] = node.config.stash.get(_REASONS, {}) | reasons


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Write a line for each recipe that is left out."""
    for reason in config.stash.get(_REASONS, {}).values():
        terminalreporter.write_line(reason, yellow=True)
