"""What recipes need to be run by somebody else: files of the project, and modules that are not."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_orchestrator.recipe import work
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.sources import Sources
from pytest_orchestrator.recipe.step_keys import Step
from pytest_orchestrator.recipe.step_types import PythonStep

_OURS = "pytest_orchestrator"


class Belongings(NamedTuple):
    """What steps need.

    Attributes:
        files: The recipes, and the files of the project that steps run, relative to the rootdir.
        modules: Names of modules from elsewhere that these import in any case.
    """

    files: tuple[str, ...]
    modules: tuple[str, ...]


def belongings(recipes: Iterable[tuple[Recipe, Iterable[Step]]], sources: Sources) -> Belongings:
    """Return what steps of recipes need, as far as that can be read.

    Args:
        recipes: Recipes, each with the steps of it that are asked about.
        sources: The files of the project.
    """
    files: dict[str, None] = {}
    modules: set[str] = set()
    for recipe, steps in recipes:
        files[recipe.id] = None
        for step in steps:
            files[recipe.source(step).id] = None
            run = tuple(work.files(step, sources))
            files |= {sources.shown(path): None for path in run}
            modules |= {name for path in run for name in _imported(path, sources)}
            if isinstance(step, PythonStep) and not run:
                first = step.module.partition(".")[0]
                modules |= set() if _is_own(first, sources) else {first}
    modules -= {_OURS, *sys.stdlib_module_names}
    return Belongings(tuple(sorted(files)), tuple(sorted(modules)))


def _imported(path: Path, sources: Sources) -> Iterator[str]:
    """Give the first names of what a module imports that is not of the project."""
    module = sources.at(path)
    for name in dict.fromkeys(_always([module.tree]) if module.tree else ()):
        if name not in sys.stdlib_module_names and not _is_own(name, sources):
            yield name


def _is_own(name: str, sources: Sources) -> bool:
    found = sources.module(name)
    if found is not None and found.path is not None:
        return sources.is_own(found.path)
    return any((folder / name).is_dir() for folder in (*sources.folders, sources.root))


def _always(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Give the first names of what is imported where nothing provides for its absence."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module and not node.level:
                yield node.module.partition(".")[0]
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from _always(node.orelse)
        elif not isinstance(node, ast.Try | ast.TryStar | ast.expr):
            yield from _always(ast.iter_child_nodes(node))
