"""Docstrings of scriptlets: sections, parameters, script headers."""

import ast
import json
import re
import textwrap
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pytest_orchestrator.core.keys import RESERVED
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.analysis.python_source import ANY, Function, Recorder, arguments
from pytest_orchestrator.recipe.analysis.source_files import Module
from pytest_orchestrator.scriptlets.model import Param

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
