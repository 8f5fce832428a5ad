"""Hints about recipes: mistyped names, writers of missing Context keys, data-flow errors."""

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.suggestions import nearest, recipe_hint, there_is
from pytest_orchestrator.plugin.collection.file_matching import SUFFIXES, not_claimed
from pytest_orchestrator.plugin.options.variables import OPTION

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.recipe import Step
    from pytest_orchestrator.recipe.analysis.dataflow import Dataflow
    from pytest_orchestrator.recipe.model.recipe import Recipe

_MOST = 8


def with_writers(run: "RecipeRun", step: "Step", result: "StepResult") -> "StepResult":
    """Return a result whose failure names the steps that write its missing Context keys.

    Args:
        run: The run of the recipe.
        step: A step that ran without the steps that it needs.
        result: The result of the step.

    Returns:
        The result itself if no key was missing, else a copy. If the step raised an exception,
        the names are also added to the exception as notes, since pytest shows the exception
        instead of the failure.
    """
    import msgspec

    failure = result.failure
    if failure is None:
        return result
    unmet = [str(one.expected) for one in result.unmet if one.name == "ctx_has_keys"]
    keys = dict.fromkeys((*result.missed, *unmet))
    if not keys:
        return result
    lines = dict(_lines(run, step, keys))
    if not lines:
        return result
    if failure.exception is not None:
        for line in lines:
            failure.exception.add_note(line)
    names = ", ".join(f"'{name}'" for name in dict.fromkeys(lines.values()))
    # At the beginning: pytest cuts the reason in the short summary at the width of the terminal.
    reason = f"without {names} (--recipe-needs=none): {failure.reason}"
    failure = msgspec.structs.replace(failure, reason=reason, notes=tuple(lines))
    return msgspec.structs.replace(result, failure=failure)


def _lines(run: "RecipeRun", step: "Step", keys: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield a line for each missing key that a step writes, and the name of that step."""
    from pytest_orchestrator.recipe.analysis.dataflow import Dataflow
    from pytest_orchestrator.recipe.analysis.source_files import Sources

    flow = Dataflow(Sources(run.config.root), lambda _: None)
    upstream = list(_not_run(run, step))
    for key in keys:
        match = flow.writer(key, upstream)
        if match is not None:
            recipe, writer = match
            line = (
                f"the context has no '{key}': step '{writer.name}' "
                f"({recipe.source(writer).id}:{writer.line}) writes it, "
                "and --recipe-needs=none did not run it"
            )
            yield line, writer.name


def _not_run(run: "RecipeRun", step: "Step") -> "Iterator[tuple[Recipe, Step]]":
    """Yield the earlier steps that did not run, with their recipes; needed ones come first."""
    from pytest_orchestrator.plugin.collection.recipe_needs import upstream_runs
    from pytest_orchestrator.recipe import needed_steps

    own = (*run.recipe.steps, *run.recipe.final)
    first = {other.name for other in needed_steps(run.recipe, step.name)}
    before = [other for other in own if other.index < step.index and other.name not in run.results]
    for other in sorted(before, key=lambda other: other.name not in first):
        yield run.recipe, other
    for earlier in upstream_runs(run):
        if earlier.recipe.context == "session":  # else its Context ends with the recipe
            for other in (*earlier.recipe.steps, *earlier.recipe.final):
                if other.name not in earlier.results:
                    yield earlier.recipe, other


def expand_uses(config: pytest.Config) -> None:
    """Replace each ``use`` entry in the arguments and ``--deselect`` by the ids of its steps.

    ``x.yaml::psu`` becomes ``x.yaml::psu.set``, ``x.yaml::psu.check`` and so on: pytest selects
    only items, and a ``use`` entry is no item.
    """
    here, root = config.invocation_params.dir, config.rootpath
    for words, base in ((config.args, here), (config.getoption("deselect", None) or [], root)):
        words[:] = [one for word in words for one in _expanded(word, base, config)]


def _expanded(word: str, base: Path, config: pytest.Config) -> list[str]:
    name, _, use = word.partition("::")
    if not use or not name.endswith(SUFFIXES) or not (base / name).is_file():
        return [word]
    items = _items(base / name, config)
    step, bracket, cell = use.partition("[")
    inner = [
        item
        for item in items
        if item.startswith(f"{step}.")
        and (not bracket or _is_in_cell(item, cell.removesuffix("]")))
    ]
    return [f"{name}::{item}" for item in inner] if use not in items and inner else [word]


def _is_in_cell(item: str, cell: str) -> bool:
    """Return True if an item belongs to a cell; the inner steps may have matrices of their own."""
    own = item.removesuffix("]").partition("[")[2]
    return f"{own},".startswith(f"{cell},")


def _uses(items: Iterable[str]) -> list[str]:
    """Return the ``use`` entries that item names contain; ``a.b.c`` contains ``a`` and ``a.b``."""
    parts = (item.partition("[")[0].split(".") for item in items)
    uses = (".".join(names[:end]) for names in parts for end in range(1, len(names)))
    return list(dict.fromkeys(uses))


def not_claimed_in(config: pytest.Config) -> Iterator[str]:
    """Yield a sentence for each file in the named folders that looks like a recipe and is none."""
    named = (config.invocation_params.dir / one for one in config.args)
    folders = [path for path in named if path.is_dir()]
    return not_claimed(folders, config.rootpath, config.getini("recipe_files"))


def _missing_recipes(config: pytest.Config) -> Iterator[str]:
    """Yield the names of the arguments that are recipes by their suffix and do not exist."""
    for argument in config.args:
        name = argument.partition("::")[0]
        if name.endswith(SUFFIXES) and not (config.invocation_params.dir / name).exists():
            yield name


def mistyped_hints(config: pytest.Config) -> Iterator[str]:
    """Yield a hint for each argument that names no recipe or step: the nearest, or the steps."""
    here = config.invocation_params.dir
    for name in _missing_recipes(config):
        if near := recipe_hint(name, here):
            yield f"there is no {name}{near}"
    for argument in config.args:
        name, _, step = argument.partition("::")
        if step and name.endswith(SUFFIXES) and (here / name).exists():
            names = _items(here / name, config)
            if names and step not in names:
                near = nearest(step, [*_uses(names), *names])
                yield f"{name} has no step '{step}'{near or there_is(names, most=_MOST)}"


def _items(path: Path, config: pytest.Config) -> list[str]:
    """Return the names of the items of a recipe; empty if the recipe has errors."""
    from pytest_orchestrator.plugin.session_state import state_of
    from pytest_orchestrator.recipe.problems import RecipeError

    try:
        cells = state_of(config).cells(path)
    except RecipeError:
        return []
    return [
        cell.node(step.name).rpartition("::")[2]
        for cell in cells
        for step in (*cell.steps, *cell.final)
    ]


_FLOW: "pytest.StashKey[Dataflow]" = pytest.StashKey()


def check_dataflow(recipe: "Recipe", config: pytest.Config) -> None:
    """Check the data flow of a recipe for errors; ignore warnings.

    Raises:
        RecipeError: The problems of the first file that has errors.
    """
    from pytest_orchestrator.plugin.session_state import state_of
    from pytest_orchestrator.recipe.analysis.dataflow import Dataflow
    from pytest_orchestrator.recipe.analysis.source_files import Sources
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.problems import RecipeError

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


def warn_of_slips(recipe: "Recipe") -> None:
    """Warn of each line of a recipe that probably does not do what it seems to say.

    Raises:
        RecipeError: Warnings are errors.
    """
    from pytest_orchestrator.recipe.fields.silent_slips import silent_slips
    from pytest_orchestrator.recipe.problems import RecipeError

    for problem, source in silent_slips(recipe).items():
        text, line = problem.text, problem.place.line
        try:
            warnings.warn_explicit(text, pytest.PytestCollectionWarning, str(source.path), line)
        except pytest.PytestCollectionWarning:
            raise RecipeError([problem], source.id, source.text) from None


def check_vars(config: pytest.Config) -> None:
    """Check that each var of ``--recipe-var`` is declared by a collected recipe.

    If a recipe has errors or is missing, nothing is checked, because it may declare any var.

    Raises:
        pytest.UsageError: No collected recipe declares one of the vars.
    """
    from pytest_orchestrator.plugin.session_state import state_of
    from pytest_orchestrator.recipe.problems import RecipeError

    results = state_of(config).recipes.values()
    recipes = [each for each in results if not isinstance(each, RecipeError)]
    if len(recipes) < len(results) or any(_missing_recipes(config)):
        return
    declared = {name for recipe in recipes for name in recipe.var_names}
    for name, one in state_of(config).given_vars.items():
        if one.origin == OPTION and name not in declared:
            near = nearest(name, sorted(declared))
            raise pytest.UsageError(f"{OPTION}: no collected recipe has a var '{name}'{near}")
