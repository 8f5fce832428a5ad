"""From a rootdir to its inventory: which files may have scriptlets, and which steps call them."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pytest_orchestrator.core.files import content
from pytest_orchestrator.core.suggestions import files_below
from pytest_orchestrator.inventory import conventions, python_files, scripts
from pytest_orchestrator.inventory.model import Inventory, Note, Scriptlet, Use
from pytest_orchestrator.recipe.analysis.dependencies import Mention, mentions
from pytest_orchestrator.recipe.analysis.source_files import Sources

FOLDER = "scriptlets"
"""What is below a folder of this name is taken whole."""

_TESTS = re.compile(r"(?:test_.*|.*_test|conftest|__init__)\.py")
_WORD = re.compile(r"[\w./+-]+")

_Uses = dict[str, dict[str, list[Use]]]
"""The steps that call something, by the path of a file and a name in it; a script has none."""


def take(root: Path, recipes: Iterable[Path], folders: Sequence[Path] = ()) -> Inventory:
    """Take the inventory of a project.

    Args:
        root: The rootdir.
        recipes: The files of its recipes.
        folders: Further places where modules are looked for.
    """
    sources = Sources(root, folders)
    mentioned, unread = mentions(recipes, root)
    uses = _uses(mentioned, sources)
    scriptlets: list[Scriptlet] = []
    notes: list[Note] = []
    for path in files_below(root):
        if path.name.startswith("."):
            continue
        shown = path.relative_to(root).as_posix()
        every = FOLDER in path.relative_to(root).parts[:-1]
        called = uses.get(shown, {})
        if path.suffix == ".py":
            found, told = _of_python(path, shown, called, sources, every=every)
        else:
            found, told = _of_script(path, shown, called, every=every)
        scriptlets += found
        notes += told
    return Inventory(root, tuple(scriptlets), tuple(notes), tuple(map(sources.shown, unread)))


def _of_python(
    path: Path, shown: str, called: dict[str, list[Use]], sources: Sources, *, every: bool
) -> tuple[list[Scriptlet], list[Note]]:
    if not called and (_TESTS.fullmatch(path.name) or not (every or _names_base(path))):
        return [], []
    module = sources.at(path)
    if module.tree is None:
        why = module.error or "it is no file with text in UTF-8, or above 1 MiB"
        line = getattr(why, "lineno", None) or 1
        return _unread(path.stem, shown, line, f"cannot be read: {getattr(why, 'msg', why)}")
    found = python_files.scriptlets_of(module, shown, named=called, every=every)
    scriptlets = [one._replace(uses=_sorted(called.get(one.name))) for one in found]
    return scriptlets, list(conventions.of_module(module, shown)) if scriptlets else []


def _of_script(
    path: Path, shown: str, called: dict[str, list[Use]], *, every: bool
) -> tuple[list[Scriptlet], list[Note]]:
    if not (every or called):
        return [], []
    try:
        data = content(path)
    except OSError as error:
        return _unread(path.name, shown, 1, f"cannot be read: {error.strerror}", "script")
    start = data[:80].decode("utf-8", "replace")
    if not scripts.is_script(path.name, start):
        return [], []
    text = data.decode("utf-8", "replace")
    may_run = os.access(path, os.X_OK)
    scriptlet = scripts.scriptlet_of(text, shown)
    found = scriptlet._replace(uses=_sorted(called.get("")))
    return [found], list(conventions.of_script(text, shown, may_run=may_run))


def _unread(
    name: str, path: str, line: int, why: str, kind: str = "module"
) -> tuple[list[Scriptlet], list[Note]]:
    scriptlet = Scriptlet(name, kind, path, line, error=why)
    return [scriptlet], [Note(path, line, "syntax", why, "error")]


def _names_base(path: Path) -> bool:
    try:
        return python_files.BASE.encode() in content(path)
    except OSError:
        return False


def _sorted(uses: Iterable[Use] | None) -> tuple[Use, ...]:
    return tuple(sorted(set(uses or ())))


def _uses(mentioned: Iterable[Mention], sources: Sources) -> _Uses:
    found: _Uses = {}
    for one in mentioned:
        use = Use(sources.shown(one.path), one.line, one.step)
        for path, name in _called(one, sources):
            found.setdefault(path, {}).setdefault(name, []).append(use)
    return found


def _called(one: Mention, sources: Sources) -> Iterator[tuple[str, str]]:
    """Return what a step calls, each by its file and the name in it."""
    module = sources.module(one.module) if one.module else None
    if module is not None and module.path and module.path.is_relative_to(sources.root):
        yield sources.shown(module.path), one.name
    yield from ((os.path.normpath(word), "") for word in _WORD.findall(one.command) if "/" in word)
