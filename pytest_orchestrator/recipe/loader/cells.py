"""Recipes as they run: one for each cell of the matrix, with the cells and units of its steps."""

from collections.abc import Mapping
from typing import Any

import msgspec

from pytest_orchestrator.recipe.loader.matrix import Matrix
from pytest_orchestrator.recipe.model.recipe import Recipe


def cells(recipe: Recipe, names: Mapping[str, Any]) -> list[Recipe]:
    """Return one recipe for each cell of a matrix; the recipe itself if it has no matrix.

    Steps with a matrix are replaced by their cells.

    Args:
        recipe: The recipe.
        names: The names that expressions may use at collection, with their values.

    Raises:
        ExpressionError: An expression has no value or gives no list, or there are too many
            cells or none.
        RecipeError: The matrix of a step has an error.
    """
    recipes = [recipe]
    if recipe.matrix:
        written = Matrix(recipe.matrix, recipe.templates, recipe.at)
        recipes = [
            msgspec.structs.replace(recipe, cell=cell, context="recipe")
            for cell in written.cells(names)
        ]
    if recipe.units is not None:
        from pytest_orchestrator.recipe.loader import units

        recipes = [units.with_present(recipe, names.get("vars", {}))]
    if recipe.has_cells:
        from pytest_orchestrator.recipe.loader.step_matrix import expand_steps

        return [expand_steps(each, names) for each in recipes]
    return recipes
