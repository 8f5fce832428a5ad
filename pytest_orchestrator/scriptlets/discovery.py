"""Discovery of scriptlets by reading: Python files, shell scripts, conventions.

Nothing is imported or run, so a file with a mistake is listed with it.
"""

import ast
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from pytest_orchestrator.core.files import content
from pytest_orchestrator.core.suggestions import files_below
from pytest_orchestrator.recipe.analysis.dependencies import Mention, mentions
from pytest_orchestrator.recipe.analysis.python_source import (
    ANY,
    Function,
    flow_of,
    key_in,
    parameters,
)
from pytest_orchestrator.recipe.analysis.source_files import Module, Sources
from pytest_orchestrator.scriptlets.docs import NAMES, cleaned, header, params_of, sections, summary
from pytest_orchestrator.scriptlets.model import Inventory, Note, Param, Scriptlet, Use

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
    fixtures = {name for uses in called.values() for use in uses for name in use.fixtures}
    found = scriptlets_of(module, shown, named=called, every=every, fixtures=fixtures)
    scriptlets = [one._replace(uses=_sorted(called.get(one.name))) for one in found]
    return scriptlets, list(of_module(module, shown)) if scriptlets else []


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
    if not is_script(path.name, start):
        return [], []
    text = data.decode("utf-8", "replace")
    may_run = os.access(path, os.X_OK)
    scriptlet = scriptlet_of(text, shown)
    found = scriptlet._replace(uses=_sorted(called.get("")))
    return [found], list(of_script(text, shown, may_run=may_run))


def _unread(
    name: str, path: str, line: int, why: str, kind: str = "module"
) -> tuple[list[Scriptlet], list[Note]]:
    scriptlet = Scriptlet(name, kind, path, line, error=why)
    return [scriptlet], [Note(path, line, "syntax", why, "error")]


def _names_base(path: Path) -> bool:
    try:
        return BASE.encode() in content(path)
    except OSError:
        return False


def _sorted(uses: Iterable[Use] | None) -> tuple[Use, ...]:
    return tuple(sorted(set(uses or ())))


def _uses(mentioned: Iterable[Mention], sources: Sources) -> _Uses:
    found: _Uses = {}
    for one in mentioned:
        use = Use(sources.shown(one.path), one.line, one.step, one.fixtures)
        for path, name in _called(one, sources):
            found.setdefault(path, {}).setdefault(name, []).append(use)
    return found


def _called(one: Mention, sources: Sources) -> Iterator[tuple[str, str]]:
    """Return what a step calls, each by its file and the name in it."""
    module = sources.module(one.module) if one.module else None
    if module is not None and module.path and module.path.is_relative_to(sources.root):
        yield sources.shown(module.path), one.name
    yield from ((os.path.normpath(word), "") for word in _WORD.findall(one.command) if "/" in word)


BASE = "BaseScriptlet"

_GIVEN = {"ctx", "context", "params"}


def scriptlets_of(
    module: Module,
    path: str,
    *,
    named: Collection[str] = (),
    every: bool,
    fixtures: Collection[str] = (),
) -> Iterator[Scriptlet]:
    """Return the scriptlets of a file, in its order.

    Args:
        module: What is known of the file.
        path: The file, relative to the rootdir.
        named: What steps of recipes name in it.
        every: Take all that a step can call, not only what is named and classes below
            `BaseScriptlet`.
        fixtures: Fixtures of the steps that use the file.
    """
    text = docstring(module.tree)
    known = sections(text)
    for name, node in module.names.items():
        if not isinstance(node, ast.ClassDef | Function):
            continue
        functions = [node] if isinstance(node, Function) else list(_methods(node, module))
        called = [one for one in functions if one is node or one.name in ("validate", "run")]
        if name not in named and (name.startswith("_") or not _is_one(node, module, every=every)):
            continue
        own = docstring(node).partition("\n")[0]
        writes = flow_of(module, name).writes
        yield Scriptlet(
            name=name,
            kind="class" if isinstance(node, ast.ClassDef) else "function",
            path=path,
            line=node.lineno,
            module=path.removesuffix(".py").replace("/", "."),
            summary=own or summary(text, known),
            params=params_of(functions, module.names, called, fixtures),
            returns=known.get("RETURNS", ""),
            writes=tuple(sorted({key for key, _ in writes if ANY not in key})),
        )


def docstring(node: ast.Module | ast.ClassDef | Function | None) -> str:
    """Return what a module, class or function says of itself; empty where that is nothing."""
    return cleaned((node and ast.get_docstring(node, clean=False)) or "")


def _is_one(node: ast.ClassDef | Function, module: Module, *, every: bool) -> bool:
    """Tell whether a step can call it as it stands."""
    if isinstance(node, ast.ClassDef):
        run = next((each for each in _methods(node, module) if each.name == "run"), None)
        return run is not None and (every or BASE in _bases(node, module))
    return every and bool(_GIVEN & {*parameters(node)})


def _bases(node: ast.ClassDef, module: Module) -> set[str]:
    """Return the last names of all classes that one derives from."""
    found: set[str] = set()
    left = [node]
    while left:
        for base in left.pop().bases:
            name = ast.unparse(base).rpartition(".")[2].partition("[")[0]
            parent = module.names.get(name)
            if name not in found and isinstance(parent, ast.ClassDef):
                left.append(parent)
            found.add(name)
    return found


def _methods(node: ast.ClassDef, module: Module) -> Iterator[Function]:
    """Return the methods of a class, then those of classes of the module that it derives from."""
    seen: set[str] = set()
    parents = (module.names.get(name) for name in sorted(_bases(node, module)))
    for each in (node, *(one for one in parents if isinstance(one, ast.ClassDef))):
        for method in each.body:
            if isinstance(method, Function) and method.name not in seen:
                seen.add(method.name)
                yield method


_SET = r"([A-Z_][A-Z0-9_]*)=(?:\"[^\"]*\"|'[^']*'|\S*)"
_CALL = re.compile(rf"^\s*(?:\w+=\S*\s+)*?((?:{_SET}\s+)+)\S", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*([A-Z_][A-Z0-9_]*) {2,}(\S.*)$", re.MULTILINE)
_READ = re.compile(r"\$\{([A-Z_][A-Z0-9_]*):?([-?])([^}\"]*)\}")
_SHELL = re.compile(r"#!.*\b(?:ba|da|k|z)?sh\b")


def is_script(name: str, start: str) -> bool:
    """Tell a shell script by the name of its file, or by its first line where it has no ending."""
    if name.endswith((".sh", ".bash")):
        return True
    return "." not in name and _SHELL.match(start) is not None


def scriptlet_of(text: str, path: str) -> Scriptlet:
    """Return the scriptlet.

    Args:
        text: The script.
        path: Its file, relative to the rootdir.
    """
    said = header(text)
    known = sections(said)
    return Scriptlet(
        name=path.rpartition("/")[2],
        kind="script",
        path=path,
        summary=summary(said, known),
        params=_params(text, known.get("USAGE", "")),
        returns=known.get("RETURNS", ""),
    )


def _params(text: str, usage: str) -> tuple[Param, ...]:
    """Return the variables that the USAGE names; those that the text has defaults for, without."""
    described = {name: what.strip() for name, what in _ROW.findall(usage)}
    called = [name for call in _CALL.findall(usage) for name in re.findall(_SET, call[0])]
    body = [found for found in _READ.findall(text) if found[0] not in ("HOME", "PATH")]
    defaults = {name: value for name, sign, value in body if sign == "-" and value}
    names = dict.fromkeys((*called, *described)) or dict.fromkeys(name for name, _, _ in body)
    return tuple(
        Param(
            name,
            required=name not in defaults and "default" not in described.get(name, ""),
            type="text",
            default=defaults.get(name),
            has_default=name in defaults,
            description=described.get(name, ""),
        )
        for name in names
    )


RULES = {
    "sections": "the docstring or header has NAME, DESCRIPTION, USAGE, RETURNS and LIMITATIONS",
    "who": "a change of the Context says who makes it",
    "version": "a key of the Context ends with its version, as in `_v1`",
    "run-bit": "a script may be run",
}

_CONTEXT = ("ctx", "context")
_WRITES = ("set", "append", "increment")
_CHANGES = (*_WRITES, "delete", "pop")
_VERSION = re.compile(r"_v\d+$")


def of_module(module: Module, path: str) -> Iterator[Note]:
    """Return what a Python file with scriptlets does not keep."""
    tree = module.tree
    if tree is None:
        return
    yield from _sections(docstring(tree), path, "docstring")
    for node in ast.walk(tree):
        callee = node.func if isinstance(node, ast.Call) else None
        if (
            isinstance(node, ast.Call)
            and isinstance(callee, ast.Attribute)
            and callee.attr in _CHANGES
            and isinstance(callee.value, ast.Name)
            and callee.value.id in _CONTEXT
        ):
            yield from _change(node, callee.attr, module, path)


def of_script(text: str, path: str, *, may_run: bool) -> Iterator[Note]:
    """Return what a shell script does not keep."""
    yield from _sections(header(text), path, "header")
    if not may_run:
        yield Note(path, 1, "run-bit", f"may not be run; give it its run bit: chmod +x {path}")


def _sections(text: str, path: str, what: str) -> Iterator[Note]:
    missing = [name for name in NAMES if name not in sections(text)]
    if missing:
        told = f"the {what} has no {', '.join(missing)}" if text else f"there is no {what}"
        yield Note(path, 1, "sections", told if text else f"{told} with {', '.join(NAMES)}")


def _change(node: ast.Call, method: str, module: Module, path: str) -> Iterator[Note]:
    words = {keyword.arg for keyword in node.keywords}
    # None: **words, which may have it. It may also be given by its place.
    if not words & {"who", None} and len(node.args) <= (1 if method == "delete" else 2):
        yield Note(path, node.lineno, "who", f"ctx.{method} does not say who: who='...'")
    given = [*node.args, *(one.value for one in node.keywords if one.arg == "key")]
    key = key_in(module, given[0]) if given and method in _WRITES else None
    if key is not None and not key.endswith(ANY) and not _VERSION.search(key):
        yield Note(path, node.lineno, "version", f"key '{key}' has no version: '{key}_v1'")
