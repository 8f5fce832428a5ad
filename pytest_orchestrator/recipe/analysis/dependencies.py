"""Dependencies of a recipe: files, modules, scriptlet calls, plain keys."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from pytest_orchestrator.recipe.analysis import fingerprint
from pytest_orchestrator.recipe.analysis.source_files import Sources
from pytest_orchestrator.recipe.expressions.expression import Expression
from pytest_orchestrator.recipe.fields.struct_fields import keys_of
from pytest_orchestrator.recipe.model.options import Output
from pytest_orchestrator.recipe.model.recipe import Need, Recipe
from pytest_orchestrator.recipe.model.step import Criterion, PythonStep, Step
from pytest_orchestrator.recipe.parsing.source import MAX_BYTES, compose, read_file
from pytest_orchestrator.recipe.problems import Problems, Refused

_OURS = "pytest_orchestrator"


class Dependencies(NamedTuple):
    """What steps need.

    Attributes:
        files: The recipes, and the files of the project that steps run, relative to the rootdir.
        modules: Names of modules from elsewhere that these import in any case.
    """

    files: tuple[str, ...]
    modules: tuple[str, ...]


def dependencies_of(
    recipes: Iterable[tuple[Recipe, Iterable[Step]]], sources: Sources
) -> Dependencies:
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
            run = tuple(fingerprint.files_of_step(step, sources))
            files |= {sources.shown(path): None for path in run}
            modules |= {name for path in run for name in _imported(path, sources)}
            if isinstance(step, PythonStep) and not run:
                first = step.module.partition(".")[0]
                modules |= set() if _is_own(first, sources) else {first}
    modules -= {_OURS, *sys.stdlib_module_names}
    return Dependencies(tuple(sorted(files)), tuple(sorted(modules)))


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


class Mention(NamedTuple):
    """A step that calls something.

    Attributes:
        path: The file that the step is written in.
        step: Its name.
        line: Its line, from 1.
        module: Its `module`; empty where it has none.
        name: Its `class` or `function`, likewise.
        command: Its `cmd` as one text, likewise.
    """

    path: Path
    step: str
    line: int
    module: str
    name: str
    command: str


def mentions(paths: Iterable[Path], root: Path) -> tuple[list[Mention], list[Path]]:
    """Return what steps call, also those of the files that are used.

    Args:
        paths: Recipes.
        root: The rootdir, which paths of `use` are relative to.

    Returns:
        The mentions, and the files that are no YAML.
    """
    found: list[Mention] = []
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
        for step in _steps(tree):
            keys = dict(_texts(step))
            if "use" in keys:
                used = root / keys["use"]
                left.update(dict.fromkeys({used} - seen if used.is_file() else ()))
            name = keys.get("class") or keys.get("function") or ""
            line = step.start_mark.line + 1
            called = (keys.get("module", ""), name, keys.get("cmd", ""))
            found.append(Mention(path, keys.get("name", ""), line, *called))
    return found, unread


def _steps(tree: Node | None) -> Iterator[MappingNode]:
    for key, value in tree.value if isinstance(tree, MappingNode) else ():
        if key.value in ("steps", "finally") and isinstance(value, SequenceNode):
            yield from (one for one in value.value if isinstance(one, MappingNode))


def _texts(step: MappingNode) -> Iterator[tuple[str, str]]:
    """Return the keys whose values are text, or lists of texts, which become one."""
    for key, value in step.value:
        if isinstance(value, ScalarNode):
            yield key.value, value.value
        elif isinstance(value, SequenceNode):
            words = [one.value for one in value.value if isinstance(one, ScalarNode)]
            yield key.value, " ".join(words)


def plain_recipe(recipe: Recipe) -> dict[str, Any]:
    """Return the keys of a recipe that say anything, steps of used files among its own.

    Args:
        recipe: The recipe, as it was loaded.

    Returns:
        Plain data; expressions stand as they were written.
    """
    told = _said(recipe, {"steps", "finally", "defaults"})
    told["steps"] = [_step(step) for step in recipe.steps]
    if recipe.final:
        told["finally"] = [_step(step) for step in recipe.final]
    return told


def _step(step: Step) -> dict[str, Any]:
    told: dict[str, Any] = {"name": step.name, "type": step.type, "line": step.line}
    if step.part is not None:
        told |= {"file": step.part.source.id, "with": _plain(step.part.given)}
    told |= _said(step, {"name", "type"})
    for template in step.templates:
        _put(told, template.path, template.text)
    return told


def _put(told: Any, path: tuple[str | int, ...], text: str) -> None:
    """Put an expression where its value would stand, where nothing stands."""
    for name in path[:-1]:
        if not isinstance(told, dict) or name not in told:
            return
        told = told[name]
    if path and isinstance(told, dict):
        told.setdefault(path[-1], text)


def _said(model: msgspec.Struct, without: set[str]) -> dict[str, Any]:
    """Return the keys whose values are not what they are where nothing is written."""
    empty = {field.name: _default(field) for field in msgspec.structs.fields(type(model))}
    told: dict[str, Any] = {}
    for name, key in keys_of(type(model)).items():
        value = getattr(model, key.field)
        if name not in without and value != empty.get(key.field):
            told[name] = _plain(value)
    return told


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return field.default


def _plain(value: Any) -> Any:
    """Write a value of a key as JSON has it; of what only the loader made, the text."""
    match value:
        case Criterion():
            return {value.name: _plain(value.wanted), "line": value.place.line}
        case Output():
            return {value.key: _plain(value.value)}
        case Expression():
            return value.text
        case Need():
            return value.path
        case msgspec.Struct():
            return _said(value, set())
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
