"""Dependencies between recipes: recipes that must pass before another recipe runs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.recipe import Problem, Recipe, RecipeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.recipe import Need


def check_recipe_needs(recipe: Recipe, root: Path, load: "Callable[[Path], Recipe]") -> None:
    """Check that all recipes that a recipe needs exist, are valid and can run before it.

    Args:
        recipe: The recipe.
        root: The rootdir, to which the paths in `needs` are relative.
        load: Returns the recipe in a file, or raises `RecipeError`.

    Raises:
        RecipeError: A needed recipe is missing, invalid or part of a circle; the error points
            to its entry in `needs`.
    """
    problems = []
    for need in recipe.needs:
        text, hint = _problem(recipe, need, root, load)
        if text:
            problems.append(Problem(need.place, text, hint=hint))
    if problems:
        raise RecipeError(problems, recipe.id, recipe.text)


def _problem(
    recipe: Recipe, need: "Need", root: Path, load: "Callable[[Path], Recipe]"
) -> tuple[str, str]:
    """Return a problem text and a hint for a needed recipe; two empty texts if it can run."""
    path = _path(need, root)
    head = f"the recipe needs '{need.path}'"
    if path == recipe.path:
        return "the recipe needs itself", ""
    if not path.is_file():
        from pytest_orchestrator.core import suggestions

        near = suggestions.recipe_hint(need.path, root)
        return f"{head}, which is not there", near.strip(" ()")
    try:
        other = load(path)
        path_back = _path_between(other, recipe.path, root, load, {recipe.path})
        if path_back:
            names = " -> ".join([recipe.id, *path_back])
            return f"recipes need each other in a circle: {names}", ""
        check_recipe_needs(other, root, load)
    except RecipeError as error:
        return f"{head}, which is no good recipe", error.summary
    return "", ""


def _path_between(
    recipe: Recipe, end: Path, root: Path, load: "Callable[[Path], Recipe]", seen: set[Path]
) -> list[str]:
    """Return the ids of the recipes on a path of needs from a recipe to the recipe at `end`.

    The list is empty if there is no path; recipes in `seen` are not searched.
    """
    seen.add(recipe.path)
    for need in recipe.needs:
        path = _path(need, root)
        if path == end:
            return [recipe.id, load(path).id]
        if path not in seen and path.is_file():
            try:
                rest = _path_between(load(path), end, root, load, seen)
            except RecipeError:
                continue  # it is reported at the recipe that needs it
            if rest:
                return [recipe.id, *rest]
    return []


def _path(need: "Need", root: Path) -> Path:
    return Path(os.path.normpath(root / need.path))


def check_needs_in(recipe: Recipe, state: "SessionState") -> None:
    """Check the recipes that a recipe of a session needs, as `check_recipe_needs` does."""
    check_recipe_needs(recipe, state.config.rootpath, lambda path: state.cells(path)[0])


def link(run: "RecipeRun", state: "SessionState") -> None:
    """Set `needed` of a recipe run and, recursively, of the runs that it needs."""
    if run.recipe.needs and not run.needed:
        run.needed = tuple(state.run(cell) for cell in _direct(run.recipe, state))
        for other in run.needed:
            link(other, state)


def needed_recipes(recipe: Recipe, state: "SessionState") -> list[Recipe]:
    """Return the recipes that a recipe needs, directly or not, in the order of their runs."""
    return list({each.key: each for each in _needed(recipe, state)}.values())


def _needed(recipe: Recipe, state: "SessionState") -> "Iterator[Recipe]":
    for other in _direct(recipe, state):
        yield from _needed(other, state)
        yield other


def _direct(recipe: Recipe, state: "SessionState") -> list[Recipe]:
    """Return each cell of the recipes that a recipe names in its `needs`."""
    root = state.config.rootpath
    paths = dict.fromkeys(_path(need, root) for need in recipe.needs)
    return [cell for path in paths for cell in state.cells(path)]


def upstream_runs(run: "RecipeRun") -> "list[RecipeRun]":
    """Return all recipe runs that must end before a run starts, in the order of their runs."""
    return list(dict.fromkeys(_before(run)))


def _before(run: "RecipeRun") -> "Iterator[RecipeRun]":
    for other in run.needed:
        yield from _before(other)
        yield other


def grouped_recipes(
    runs: "Iterable[RecipeRun]", used: "Iterable[Sequence[RecipeRun]]"
) -> dict[str, str]:
    """Return the group of each recipe that must share an xdist worker with others, by recipe id.

    Args:
        runs: All recipe runs; each is grouped with the runs that it needs.
        used: For each item, the recipe runs that it uses; these are grouped too.
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
        names = {each: name if old in joined else old for each, old in names.items()}
    return names
