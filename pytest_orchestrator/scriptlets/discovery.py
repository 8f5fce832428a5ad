"""Discovery of scriptlets by static analysis: Python files, shell scripts, conventions.

No code is imported or run, so a file with an error is listed together with that error.
"""

import ast
import json
import os
import re
import textwrap
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_orchestrator.core.files import content
from pytest_orchestrator.core.keys import RESERVED
from pytest_orchestrator.core.suggestions import files_below
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.analysis.dependencies import Mention, mentions
from pytest_orchestrator.recipe.analysis.python_source import (
    ANY,
    Function,
    Recorder,
    arguments,
    flow_of,
    key_in,
    parameters,
)
from pytest_orchestrator.recipe.analysis.source_files import Module, Sources
from pytest_orchestrator.recipe.loader.inputs import recipe_inputs
from pytest_orchestrator.scriptlets.model import Inventory, Note, Param, Scriptlet, Use

_NAME = "params"
_COMPUTED = object()
_ENTRY = lazy_pattern(r"^[ \t]*params?\b[^:\n]*:(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_NAMED = lazy_pattern(r"(?:^|; *)(?:and )?`(\w+)`(?:: *([^;]*))?")


def params_of(
    functions: Iterable[Function],
    module: Module,
    called: Collection[Function],
    fixtures: Collection[str] = (),
) -> tuple[Param, ...]:
    """Return the parameters of a scriptlet, required ones first.

    Args:
        functions: The function, or the methods of the class.
        module: Its module.
        called: Those of the functions that a step calls directly.
        fixtures: Names of parameters that get a fixture.
    """
    reads = _ParamsReads(module)
    descriptions: dict[str, str] = {}
    types: dict[str, str] = {}
    named: dict[str, Param] = {}
    for function in functions:
        own = _named(function) if function in called else ()
        named |= {param.name: param for param in own if param.name not in fixtures}
        argument = next((each for each, _ in arguments(function) if each.arg == _NAME), None)
        if argument is not None:
            reads.follow(function, _NAME, {})
            docstring = clean_docstring(ast.get_docstring(function, clean=False) or "")
            descriptions |= _descriptions(docstring)
            types |= dict(_types(argument.annotation, module.names))
    keys = dict.fromkeys((*types, *reads.seen, *descriptions))
    params = [reads.param(key, types.get(key), descriptions.get(key, "")) for key in keys]
    params = [*named.values(), *(param for param in params if param.name not in named)]
    return tuple(sorted(params, key=lambda param: not param.required))


def _named(function: Function) -> Iterator[Param]:
    """Yield the parameters that receive the entry of `params` with the same name."""
    text = clean_docstring(ast.get_docstring(function, clean=False) or "")
    for argument, default in arguments(function):
        name = argument.arg
        if name in RESERVED or name in ("self", "cls"):
            continue
        value = _COMPUTED if default is None else _value(default)
        is_known = value is not _COMPUTED
        hint = ast.unparse(argument.annotation) if argument.annotation else None
        if hint is None and is_known and value is not None:
            hint = type(value).__name__
        description = _description(name, text)
        yield Param(name, default is None, hint, value if is_known else None, is_known, description)


def _description(name: str, docstring: str) -> str:
    """Return the description of a parameter in a docstring's section Args; empty without one."""
    entry = re.search(
        rf"^([ \t]+){name}(?: \([^)\n]*\))?:(.*(?:\n\1[ \t]+\S.*)*)", docstring, re.MULTILINE
    )
    return " ".join(entry[2].split()).rstrip(".") if entry else ""


def _descriptions(docstring: str) -> dict[str, str]:
    """Return the description of each key that the docstring entry of `params` lists."""
    entry = _ENTRY.search(docstring)
    if entry is None:
        return {}
    text = " ".join(entry[1].split())
    return {name: (said or "").strip().rstrip(".") for name, said in _NAMED.findall(text)}


def _types(hint: ast.expr | None, names: "dict[str, ast.AST]") -> Iterator[tuple[str, str]]:
    """Yield each key and its type if `params` is annotated with a class of the module."""
    node = names.get(hint.id) if isinstance(hint, ast.Name) else None
    for each in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            yield each.target.id, ast.unparse(each.annotation)


class _ParamsReads(Recorder):
    """Recorder of the keys of `params` that a function reads itself, with their defaults."""

    def __init__(self, module: Module) -> None:
        super().__init__(module)
        self.seen: dict[str, None] = {}
        self._subscripted: set[str] = set()
        self._tested: set[str] = set()
        self._defaults: dict[str, Any] = {}

    def param(self, name: str, hint: str | None, description: str) -> Param:
        """Return the parameter that a key of `params` represents."""
        default = self._defaults.get(name)
        is_known = name in self._defaults and default is not _COMPUTED
        if hint is None and is_known and default is not None:
            hint = type(default).__name__
        is_optional = (
            name in self._defaults or "default" in description or "optional" in description
        )
        required = not is_optional and (name in self._subscripted or name not in self._tested)
        return Param(name, required, hint, default if is_known else None, is_known, description)

    def function(self, name: str) -> None:
        """Return None: functions that receive `params` are not followed."""

    def read(self, key: str | None, line: int) -> None:  # noqa: ARG002
        """Record the key that `params["x"]` reads."""
        if key is not None and ANY not in key:
            self.seen[key] = None
            self._subscripted.add(key)

    def read_optional(self, key: str | None) -> None:
        """Record the key that `"x" in params` tests."""
        if key is not None and ANY not in key:
            self.seen[key] = None
            self._tested.add(key)

    def called(self, method: str, key: str | None, node: ast.Call, *, is_tested: bool) -> None:  # noqa: ARG002
        """Record the key and default that `params.get("x", default)` reads."""
        if method in ("get", "pop"):
            self.read_optional(key)
            if key is not None and node.args[1:]:
                self._defaults[key] = _value(node.args[1])


def _value(node: ast.expr) -> Any:
    """Return a default as JSON data; `_COMPUTED` if it is not a literal."""
    try:
        value = ast.literal_eval(node)
        return json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return _COMPUTED


NAMES = ("NAME", "DESCRIPTION", "USAGE", "RETURNS", "LIMITATIONS")
"""The required sections of a scriptlet, in their order."""

_TITLE = lazy_pattern(rf"({'|'.join(NAMES)}|DESC)(?:[ \t]*|:(.*))")


def sections(text: str) -> dict[str, str]:
    """Return the text of each section by title; lines before the first title are ignored.

    A title is alone on its line, or a colon and the text follow it: ``NAME: flash.py``.
    """
    by_title: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in clean_docstring(text).splitlines():
        title = _TITLE.fullmatch(line)
        if title:
            name = "DESCRIPTION" if title[1] == "DESC" else title[1]
            lines = by_title.setdefault(name, [])
            lines += [title[2].strip()] if title[2] and title[2].strip() else []
        else:
            lines.append(line)
    return {name: textwrap.dedent("\n".join(each)).strip() for name, each in by_title.items()}


def clean_docstring(text: str) -> str:
    """Return a docstring without the indentation of its lines after the first.

    `inspect.cleandoc` is not used: importing `inspect` takes longer than listing all scriptlets.
    """
    first, _, rest = text.partition("\n")
    return f"{first.strip()}\n{textwrap.dedent(rest)}".strip()


def summary(text: str, known: dict[str, str]) -> str:
    """Return one line that describes a scriptlet, from NAME, DESCRIPTION or the first line.

    Args:
        text: The docstring or header.
        known: The sections of the text, by title.
    """
    named = " ".join(known.get("NAME", "").split())
    if named:
        first = known.get("DESCRIPTION", "").partition("\n")[0]
        return named.partition(" - ")[2] or first.strip() or named
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def header(text: str) -> str:
    """Return the comment at the top of a script, without ``#`` signs and the ``#!`` line."""
    lines = text.splitlines()
    comment: list[str] = []
    for line in lines[1:] if text.startswith("#!") else lines:
        if not line.startswith("#"):
            if comment or line.strip():
                break
            continue
        comment.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(comment)


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
