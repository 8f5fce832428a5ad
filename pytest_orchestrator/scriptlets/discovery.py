"""Discovery of scriptlets by static analysis: Python files, shell scripts, conventions.

No code is imported or run, so a file with an error is listed together with that error.
"""

import ast
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path

from pytest_orchestrator.core.files import content
from pytest_orchestrator.core.suggestions import files_below
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.analysis.dependencies import Mention, mentions
from pytest_orchestrator.recipe.analysis.python_source import (
    ANY,
    Function,
    flow_of,
    key_in,
    parameters,
)
from pytest_orchestrator.recipe.analysis.source_files import Module, Sources
from pytest_orchestrator.recipe.loader.inputs import recipe_inputs
from pytest_orchestrator.scriptlets.docs import (
    NAMES,
    clean_docstring,
    header,
    params_of,
    sections,
    summary,
)
from pytest_orchestrator.scriptlets.model import Inventory, Note, Param, Scriptlet, Use

FOLDER = "scriptlets"
"""Name of folders in which every callable and script is a scriptlet."""

_TESTS = lazy_pattern(r"(?:test_.*|.*_test|conftest|__init__)\.py")
_WORD = lazy_pattern(r"[\w./+-]+")

_Uses = dict[str, dict[str, list[Use]]]
"""Steps by the path of the file and the name that they call; the name of a script is empty."""


def discover(root: Path, recipes: Iterable[Path], folders: Sequence[Path] = ()) -> Inventory:
    """Return the scriptlets of a project, the steps that call them, and the problems found.

    Args:
        root: The rootdir.
        recipes: The recipe files of the project.
        folders: Further folders in which modules are searched.
    """
    sources = Sources(root, folders)
    recipes = [*recipes]
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
            listed, problems = _of_python(path, shown, called, sources, every=every)
        else:
            listed, problems = _of_script(path, shown, called, every=every)
        scriptlets += listed
        notes += problems
    return Inventory(
        root,
        tuple(scriptlets),
        tuple(notes),
        tuple(map(sources.display_path, unread)),
        tuple(recipe_inputs(recipes, root)),
    )


def _of_python(
    path: Path, shown: str, called: dict[str, list[Use]], sources: Sources, *, every: bool
) -> tuple[list[Scriptlet], list[Note]]:
    if not called and (_TESTS.fullmatch(path.name) or not (every or _names_base(path))):
        return [], []
    module = sources.at(path)
    if module.tree is None:
        error = module.error or "it is no file with text in UTF-8, or above 1 MiB"
        line = getattr(error, "lineno", None) or 1
        return _unread(path.stem, shown, line, f"cannot be read: {getattr(error, 'msg', error)}")
    fixtures = {name for uses in called.values() for use in uses for name in use.fixtures}
    scriptlets = [
        scriptlet._replace(uses=_sorted(called.get(scriptlet.name)))
        for scriptlet in scriptlets_of(module, shown, named=called, every=every, fixtures=fixtures)
    ]
    return scriptlets, list(module_notes(module, shown)) if scriptlets else []


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
    scriptlet = scriptlet_of(text, shown)._replace(uses=_sorted(called.get("")))
    return [scriptlet], list(script_notes(text, shown, may_run=may_run))


def _unread(
    name: str, path: str, line: int, error: str, kind: str = "module"
) -> tuple[list[Scriptlet], list[Note]]:
    scriptlet = Scriptlet(name, kind, path, line, error=error)
    return [scriptlet], [Note(path, line, "syntax", error, "error")]


def _names_base(path: Path) -> bool:
    try:
        return BASE.encode() in content(path)
    except OSError:
        return False


def _sorted(uses: Iterable[Use] | None) -> tuple[Use, ...]:
    return tuple(sorted(set(uses or ())))


def _uses(mentioned: Iterable[Mention], sources: Sources) -> _Uses:
    uses: _Uses = {}
    for mention in mentioned:
        use = Use(sources.display_path(mention.path), mention.line, mention.step, mention.fixtures)
        for path, name in _called(mention, sources):
            uses.setdefault(path, {}).setdefault(name, []).append(use)
    return uses


def _called(mention: Mention, sources: Sources) -> Iterator[tuple[str, str]]:
    """Yield the files that a step calls, each with the name of the callable in it."""
    module = sources.module(mention.module) if mention.module else None
    if module is not None and module.path and module.path.is_relative_to(sources.root):
        yield sources.display_path(module.path), mention.name
    words = _WORD.findall(mention.command)
    yield from ((os.path.normpath(word), "") for word in words if "/" in word)


BASE = "BaseScriptlet"

_STEP_PARAMETERS = {"ctx", "context", "params"}


def scriptlets_of(
    module: Module,
    path: str,
    *,
    named: Collection[str] = (),
    every: bool,
    fixtures: Collection[str] = (),
) -> Iterator[Scriptlet]:
    """Yield the scriptlets of a Python file, in the order of the file.

    Args:
        module: The analysed file.
        path: The file, relative to the rootdir.
        named: Names in it that steps of recipes call.
        every: True to list everything that a step can call, not only named callables and
            subclasses of `BaseScriptlet`.
        fixtures: Names of the fixtures that steps pass to callables of the file.
    """
    text = docstring(module.tree)
    known = sections(text)
    for name, node in module.names.items():
        if not isinstance(node, ast.ClassDef | Function):
            continue
        functions = [node] if isinstance(node, Function) else list(_methods(node, module))
        called = [each for each in functions if each is node or each.name in ("validate", "run")]
        is_private = name.startswith("_")
        if name not in named and (is_private or not _is_callable(node, module, every=every)):
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
            params=params_of(functions, module, called, fixtures),
            returns=known.get("RETURNS", ""),
            writes=tuple(sorted({key for key, _ in writes if ANY not in key})),
        )


def docstring(node: ast.Module | ast.ClassDef | Function | None) -> str:
    """Return the docstring of a module, class or function; empty if it has none."""
    return clean_docstring((node and ast.get_docstring(node, clean=False)) or "")


def _is_callable(node: ast.ClassDef | Function, module: Module, *, every: bool) -> bool:
    """Return True if a step can call the class or function."""
    if isinstance(node, ast.ClassDef):
        run = next((each for each in _methods(node, module) if each.name == "run"), None)
        return run is not None and (every or BASE in _bases(node, module))
    return every and bool(_STEP_PARAMETERS & {*parameters(node)})


def _bases(node: ast.ClassDef, module: Module) -> set[str]:
    """Return the unqualified names of all direct and indirect base classes of a class."""
    bases: set[str] = set()
    pending = [node]
    while pending:
        for base in pending.pop().bases:
            name = ast.unparse(base).rpartition(".")[2].partition("[")[0]
            parent = module.names.get(name)
            if name not in bases and isinstance(parent, ast.ClassDef):
                pending.append(parent)
            bases.add(name)
    return bases


def _methods(node: ast.ClassDef, module: Module) -> Iterator[Function]:
    """Yield the methods of a class, then those of its base classes in the same module."""
    seen: set[str] = set()
    parents = (module.names.get(name) for name in sorted(_bases(node, module)))
    for cls in (node, *(parent for parent in parents if isinstance(parent, ast.ClassDef))):
        for method in cls.body:
            if isinstance(method, Function) and method.name not in seen:
                seen.add(method.name)
                yield method


_SET = r"([A-Z_][A-Z0-9_]*)=(?:\"[^\"]*\"|'[^']*'|\S*)"
_CALL = lazy_pattern(rf"^\s*(?:\w+=\S*\s+)*?((?:{_SET}\s+)+)\S", re.MULTILINE)
_ROW = lazy_pattern(r"^[ \t]*([A-Z_][A-Z0-9_]*) {2,}(\S.*)$", re.MULTILINE)
_READ = lazy_pattern(r"\$\{([A-Z_][A-Z0-9_]*):?([-?])([^}\"]*)\}")
_SHELL = lazy_pattern(r"#!.*\b(?:ba|da|k|z)?sh\b")


def is_script(name: str, start: str) -> bool:
    """Return True if the suffix or, without a suffix, the first line is that of a shell script."""
    if name.endswith((".sh", ".bash")):
        return True
    return "." not in name and _SHELL.match(start) is not None


def scriptlet_of(text: str, path: str) -> Scriptlet:
    """Return the scriptlet of a shell script.

    Args:
        text: The text of the script.
        path: Its file, relative to the rootdir.
    """
    comment = header(text)
    known = sections(comment)
    return Scriptlet(
        name=path.rpartition("/")[2],
        kind="script",
        path=path,
        summary=summary(comment, known),
        params=_params(text, known.get("USAGE", "")),
        returns=known.get("RETURNS", ""),
    )


def _params(text: str, usage: str) -> tuple[Param, ...]:
    """Return the variables named in USAGE or, if USAGE names none, those read with ${…}."""
    described = {name: text.strip() for name, text in _ROW.findall(usage)}
    called = [name for call in _CALL.findall(usage) for name in re.findall(_SET, call[0])]
    read = [match for match in _READ.findall(text) if match[0] not in ("HOME", "PATH")]
    defaults = {name: value for name, sign, value in read if sign == "-" and value}
    names = dict.fromkeys((*called, *described)) or dict.fromkeys(name for name, _, _ in read)
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
_VERSION = lazy_pattern(r"_v\d+$")


def module_notes(module: Module, path: str) -> Iterator[Note]:
    """Yield a note for each convention that a Python file with scriptlets violates."""
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


def script_notes(text: str, path: str, *, may_run: bool) -> Iterator[Note]:
    """Yield a note for each convention that a shell script violates."""
    yield from _sections(header(text), path, "header")
    if not may_run:
        yield Note(path, 1, "run-bit", f"may not be run; give it its run bit: chmod +x {path}")


def _sections(text: str, path: str, noun: str) -> Iterator[Note]:
    missing = [name for name in NAMES if name not in sections(text)]
    if not missing:
        return
    if text:
        message = f"the {noun} has no {', '.join(missing)}"
    else:
        message = f"the {noun} with {', '.join(NAMES)} is missing"
    yield Note(path, 1, "sections", message)


def _change(node: ast.Call, method: str, module: Module, path: str) -> Iterator[Note]:
    words = {keyword.arg for keyword in node.keywords}
    # None stands for **kwargs, which may contain `who`. `who` may also be positional.
    if not words & {"who", None} and len(node.args) <= (1 if method == "delete" else 2):
        yield Note(path, node.lineno, "who", f"ctx.{method} does not say who: who='...'")
    keys = [*node.args, *(keyword.value for keyword in node.keywords if keyword.arg == "key")]
    key = key_in(module, keys[0]) if keys and method in _WRITES else None
    if key is not None and not key.endswith(ANY) and not _VERSION.search(key):
        yield Note(path, node.lineno, "version", f"key '{key}' has no version: '{key}_v1'")
