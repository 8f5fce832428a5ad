"""Dependencies of recipes: files, modules, called scriptlets."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pytest_orchestrator.recipe.analysis import fingerprint
from pytest_orchestrator.recipe.analysis.source_files import Sources
from pytest_orchestrator.recipe.loader.include import used_path
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import PythonStep, Step
from pytest_orchestrator.recipe.parsing.source import MAX_BYTES, compose, read_file
from pytest_orchestrator.recipe.problems import Problems, Refused
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode, SequenceNode

_OURS = "pytest_orchestrator"


class Dependencies(NamedTuple):
    """Files and modules that steps need.

    Attributes:
        files: The recipes and the files of the project that steps run, relative to the rootdir.
        modules: Top-level names of third-party modules that these steps and files import
            unconditionally.
    """

    files: tuple[str, ...]
    modules: tuple[str, ...]


def dependencies_of(
    recipes: Iterable[tuple[Recipe, Iterable[Step]]], sources: Sources
) -> Dependencies:
    """Return the files and modules that steps need, as far as static analysis finds them.

    Args:
        recipes: Recipes, each with the steps to analyse.
        sources: The files of the project.
    """
    files: dict[str, None] = {}
    modules: set[str] = set()
    for recipe, steps in recipes:
        files[recipe.id] = None
        for step in steps:
            files[recipe.source(step).id] = None
            run = tuple(fingerprint.files_of_step(step, sources))
            files |= {sources.display_path(path): None for path in run}
            modules |= {name for path in run for name in _imported(path, sources)}
            if isinstance(step, PythonStep) and not run:
                first = step.module.partition(".")[0]
                modules |= set() if _is_own(first, sources) else {first}
    modules -= {_OURS, *sys.stdlib_module_names}
    return Dependencies(tuple(sorted(files)), tuple(sorted(modules)))


def _imported(path: Path, sources: Sources) -> Iterator[str]:
    """Yield the top-level names of third-party modules that a file imports unconditionally."""
    module = sources.at(path)
    for name in dict.fromkeys(_always([module.tree]) if module.tree else ()):
        if name not in sys.stdlib_module_names and not _is_own(name, sources):
            yield name


def _is_own(name: str, sources: Sources) -> bool:
    module = sources.module(name)
    if module is not None and module.path is not None:
        return sources.is_own(module.path)
    return any((folder / name).is_dir() for folder in (*sources.folders, sources.root))


def _always(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the top-level names of imports outside of `try` and of `if TYPE_CHECKING`."""
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


class Mention(NamedTuple):
    """The scriptlet or command that one step calls.

    Attributes:
        path: The file that contains the step.
        step: The name of the step; empty if it has none.
        line: The line of the step in the file, from 1.
        module: The `module` of the step; empty if it has none.
        name: The `class` or `function` of the step; empty if it has none.
        command: The `cmd` of the step as one text; empty if it has none.
        fixtures: The `fixtures` of the step and of its file.
        type: The `type` of the step; empty if it has none.
    """

    path: Path
    step: str
    line: int
    module: str
    name: str
    command: str
    fixtures: tuple[str, ...] = ()
    type: str = ""


def mentions(paths: Iterable[Path], root: Path) -> tuple[list[Mention], list[Path]]:
    """List the scriptlets and commands that the steps of recipes and of used files call.

    Args:
        paths: The recipe files to read.
        root: The rootdir; paths in `use` are relative to it.

    Returns:
        One `Mention` for each step, and the files that cannot be read or are no valid YAML.
    """
    calls: list[Mention] = []
    unread: list[Path] = []
    left = dict.fromkeys(paths)
    seen: set[Path] = set()
    while left:
        path = next(iter(left))
        del left[path]
        seen.add(path)
        try:
            tree = compose(read_file(path, MAX_BYTES, Problems()).decode("utf-8-sig"), Problems())
        except (Refused, UnicodeDecodeError):
            unread.append(path)
            continue
        shared = dict(_texts(tree)).get("fixtures", "") if isinstance(tree, MappingNode) else ""
        for step in _steps(tree):
            keys = dict(_texts(step))
            if "use" in keys:
                used = used_path(keys["use"], path, root)
                left.update(dict.fromkeys({used} - seen if used.is_file() else ()))
            name = keys.get("class") or keys.get("function") or ""
            line = step.start_mark.line + 1
            called = (keys.get("module", ""), name, keys.get("cmd", ""))
            fixtures = tuple(f"{shared} {keys.get('fixtures', '')}".split())
            kind = keys.get("type", "")
            calls.append(Mention(path, keys.get("name", ""), line, *called, fixtures, kind))
    return calls, unread


def _steps(tree: Node | None) -> Iterator[MappingNode]:
    for key, value in tree.value if isinstance(tree, MappingNode) else ():
        if key.value in ("steps", "finally") and isinstance(value, SequenceNode):
            yield from (one for one in value.value if isinstance(one, MappingNode))


def _texts(step: MappingNode) -> Iterator[tuple[str, str]]:
    """Yield the keys of a mapping node with their values as text; a list becomes one text."""
    for key, value in step.value:
        if isinstance(value, ScalarNode):
            yield key.value, value.value
        elif isinstance(value, SequenceNode):
            words = [one.value for one in value.value if isinstance(one, ScalarNode)]
            yield key.value, " ".join(words)
