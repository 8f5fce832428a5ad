"""The ini key `recipe_validate`: what flows through the steps is checked at collection."""

from pathlib import Path

import pytest

from pytest_orchestrator.plugin.state import state_of
from pytest_orchestrator.recipe.analysis.dataflow import Dataflow
from pytest_orchestrator.recipe.analysis.source_files import Sources
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.problems import RecipeError

_FLOW = pytest.StashKey[Dataflow]()


def check(recipe: Recipe, config: pytest.Config) -> None:
    """Check one recipe; warnings are left to the command line.

    Raises:
        RecipeError: It has problems; those of the first file that has some.
    """
    if _FLOW not in config.stash:
        state = state_of(config)

        def recipe_at(path: Path) -> Recipe | None:
            try:
                return state.recipe(path)
            except RecipeError:
                return None

        config.stash[_FLOW] = Dataflow(Sources(config.rootpath), recipe_at)
    errors = [one for one in config.stash[_FLOW].findings(recipe) if one.severity == "error"]
    if errors:
        first = errors[0]
        problems = [one.problem for one in errors if one.path == first.path]
        raise RecipeError(problems, first.path, first.text)
