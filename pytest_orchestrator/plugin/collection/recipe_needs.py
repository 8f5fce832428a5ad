"""Recipe dependencies: recipes that must have passed before another one."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.recipe import Problem, Recipe, RecipeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.recipe import Need


def check_recipe_needs(recipe: Recipe, state: "SessionState") -> None:
    """Look whether all that a recipe needs is there and can be run before it.

    Raises:
        RecipeError: It is not; the error is that of the recipe.
    """
    found = []
    for need in recipe.needs:
        wrong, hint = _wrong(recipe, need, state)
        if wrong:
            found.append(Problem(need.place, wrong, hint=hint))
    if found:
        raise RecipeError(found, recipe.id, recipe.text)


def _wrong(recipe: Recipe, need: "Need", state: "SessionState") -> tuple[str, str]:
    path = _path(need, state)
    head = f"the recipe needs '{need.path}'"
    if path == recipe.path:
        return "the recipe needs itself", ""
    if not path.is_file():
        from pytest_orchestrator.core import suggestions

        near = suggestions.recipe_hint(need.path, state.config.rootpath)
        return f"{head}, which is not there", near.strip(" ()")
    try:
        other = state.cells(path)[0]
        way = _way(other, recipe.path, state, {recipe.path})
        if way:
            names = " -> ".join([recipe.id, *way])
            return f"recipes need each other in a circle: {names}", ""
        check_recipe_needs(other, state)
    except RecipeError as error:
        return f"{head}, which is no good recipe", error.summary
    return "", ""


def _way(recipe: Recipe, end: Path, state: "SessionState", seen: set[Path]) -> list[str]:
    """Return the recipes from one along what they need to the end; none where no way leads."""
    seen.add(recipe.path)
    for need in recipe.needs:
        path = _path(need, state)
        if path == end:
            return [recipe.id, state.recipe(path).id]
        if path not in seen and path.is_file():
            try:
                way = _way(state.recipe(path), end, state, seen)
            except RecipeError:
                continue  # it is told of where it is needed
            if way:
                return [recipe.id, *way]
    return []


def _path(need: "Need", state: "SessionState") -> Path:
    return Path(os.path.normpath(state.config.rootpath / need.path))


def link(run: "RecipeRun", state: "SessionState") -> None:
    """Tell a run which runs have to be through before it, and these likewise."""
    if run.recipe.needs and not run.needed:
        paths = dict.fromkeys(_path(need, state) for need in run.recipe.needs)
        run.needed = tuple(state.run(cell) for path in paths for cell in state.cells(path))
        for other in run.needed:
            link(other, state)


def upstream_runs(run: "RecipeRun") -> "list[RecipeRun]":
    """Return all runs that have to be through before one, in the order in which they run."""
    return list(dict.fromkeys(_before(run)))


def _before(run: "RecipeRun") -> "Iterator[RecipeRun]":
    for other in run.needed:
        yield from _before(other)
        yield other


def grouped_recipes(
    runs: "Iterable[RecipeRun]", used: "Iterable[Sequence[RecipeRun]]"
) -> dict[str, str]:
    """Return for each recipe that has to be with others a name of all these together.

    Args:
        runs: All runs; with each are those that it needs.
        used: The runs that one test uses, for each test.
    """
    names: dict[str, str] = {}
    needed = ((run, *upstream_runs(run)) for run in runs)
    for group in dict.fromkeys((*needed, *map(tuple, used))):
        linked = list(dict.fromkeys(run.recipe.id for run in group))
        if len(linked) == 1:
            continue
        joined = {names.get(each, each) for each in linked}
        name = min(joined)
        names |= dict.fromkeys(linked, name)
        names = {each: name if known in joined else known for each, known in names.items()}
    return names
