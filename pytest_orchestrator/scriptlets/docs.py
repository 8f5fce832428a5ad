"""Docstrings of scriptlets: sections, parameters, script headers."""

import ast
import json
import re
import textwrap
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from pytest_orchestrator.core.keys import RESERVED
from pytest_orchestrator.recipe.analysis.python_source import Function
from pytest_orchestrator.scriptlets.model import Param

_NAME = "params"
_COMPUTED = object()
_ENTRY = re.compile(r"^[ \t]*params?\b[^:\n]*:(.*(?:\n[ \t]+\S.*)*)", re.MULTILINE)
_NAMED = re.compile(r"(?:^|; *)(?:and )?`(\w+)`(?:: *([^;]*))?")


def params_of(
    functions: Iterable[Function],
    names: "dict[str, ast.AST]",
    called: Collection[Function],
    fixtures: Collection[str] = (),
) -> tuple[Param, ...]:
    """Return the parameters of a scriptlet.

    Args:
        functions: The function, or the methods of the class.
        names: What its module defines.
        called: The functions among them that a step calls directly.
        fixtures: Names of parameters that receive a fixture.
    """
    read = _Read()
    said: dict[str, str] = {}
    types: dict[str, str] = {}
    by_name: dict[str, Param] = {}
    for function in functions:
        own = _by_name(function) if function in called else ()
        by_name |= {one.name: one for one in own if one.name not in fixtures}
        argument = next((one for one in _arguments(function) if one.arg == _NAME), None)
        if argument is not None:
            for each in function.body:
                read.visit(each)
            said |= _said(cleaned(ast.get_docstring(function, clean=False) or ""))
            types |= dict(_types(argument.annotation, names))
    known = dict.fromkeys((*types, *read.seen, *said))
    params = [read.param(name, types.get(name), said.get(name, "")) for name in known]
    params = [*by_name.values(), *(one for one in params if one.name not in by_name)]
    return tuple(sorted(params, key=lambda param: not param.required))


def _by_name(function: Function) -> Iterator[Param]:
    """Yield the parameters of a function that receive the key of their name."""
    args = function.args
    by_place = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(by_place) - len(args.defaults)) + args.defaults
    text = cleaned(ast.get_docstring(function, clean=False) or "")
    for one, default in zip(
        (*by_place, *args.kwonlyargs), (*defaults, *args.kw_defaults), strict=True
    ):
        if one.arg in RESERVED or one.arg in ("self", "cls"):
            continue
        value = _COMPUTED if default is None else _value(default)
        is_known = value is not _COMPUTED
        hint = ast.unparse(one.annotation) if one.annotation else None
        if hint is None and is_known and value is not None:
            hint = type(value).__name__
        described = _described(one.arg, text)
        yield Param(
            one.arg, default is None, hint, value if is_known else None, is_known, described
        )


def _described(name: str, docstring: str) -> str:
    """Return the entry of a parameter in the section Args of a docstring."""
    entry = re.search(
        rf"^([ \t]+){name}(?: \([^)\n]*\))?:(.*(?:\n\1[ \t]+\S.*)*)", docstring, re.MULTILINE
    )
    return " ".join(entry[2].split()).rstrip(".") if entry else ""


def _arguments(function: Function) -> list[ast.arg]:
    args = function.args
    return [*args.posonlyargs, *args.args, *args.kwonlyargs]


def _said(docstring: str) -> dict[str, str]:
    """Return what the entry of `params` says: `` `name`: what it is; `other` ``."""
    entry = _ENTRY.search(docstring)
    if entry is None:
        return {}
    text = " ".join(entry[1].split())
    return {name: (what or "").strip().rstrip(".") for name, what in _NAMED.findall(text)}


def _types(hint: ast.expr | None, names: "dict[str, ast.AST]") -> Iterator[tuple[str, str]]:
    """Return the types of the keys where `params` is annotated with a class of the module."""
    node = names.get(hint.id) if isinstance(hint, ast.Name) else None
    for each in node.body if isinstance(node, ast.ClassDef) else ():
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            yield each.target.id, ast.unparse(each.annotation)


class _Read(ast.NodeVisitor):
    """Looks at what is done with `params`."""

    def __init__(self) -> None:
        self.seen: dict[str, None] = {}
        self._taken: set[str] = set()
        self._asked: set[str] = set()
        self._defaults: dict[str, Any] = {}

    def param(self, name: str, hint: str | None, said: str) -> Param:
        """Return what is known of one."""
        default = self._defaults.get(name)
        is_known = name in self._defaults and default is not _COMPUTED
        if hint is None and is_known and default is not None:
            hint = type(default).__name__
        may_miss = name in self._defaults or "default" in said or "optional" in said
        required = not may_miss and (name in self._taken or name not in self._asked)
        return Param(name, required, hint, default if is_known else None, is_known, said)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """`params["x"]`."""
        key = _text(node.slice)
        if _is_params(node.value) and key is not None:
            self.seen[key] = None
            self._taken.add(key)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """`params.get("x", default)`."""
        callee = node.func
        is_get = isinstance(callee, ast.Attribute) and callee.attr in ("get", "pop")
        if isinstance(callee, ast.Attribute) and is_get and _is_params(callee.value):
            key = _text(node.args[0]) if node.args else None
            if key is not None:
                self.seen[key] = None
                self._asked.add(key)
                if node.args[1:]:
                    self._defaults[key] = _value(node.args[1])
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """`"x" in params`."""
        key = _text(node.left)
        if key is not None and any(map(_is_params, node.comparators)):
            self.seen[key] = None
            self._asked.add(key)
        self.generic_visit(node)


def _is_params(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == _NAME


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _value(node: ast.expr) -> Any:
    """Return a default as JSON has it; or a mark where it is computed."""
    try:
        value = ast.literal_eval(node)
        return json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return _COMPUTED


NAMES = ("NAME", "DESCRIPTION", "USAGE", "RETURNS", "LIMITATIONS")
"""The sections that each scriptlet has, in their order."""

_TITLE = re.compile(rf"({'|'.join(NAMES)}|DESC)(?:[ \t]*|:(.*))")


def sections(text: str) -> dict[str, str]:
    """Return the text of each section; lines before the first title belong to no section.

    A title is alone on its line, or a colon and the first text follow it: ``NAME: flash.py``.
    """
    found: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in cleaned(text).splitlines():
        title = _TITLE.fullmatch(line)
        if title:
            name = "DESCRIPTION" if title[1] == "DESC" else title[1]
            lines = found.setdefault(name, [])
            lines += [title[2].strip()] if title[2] and title[2].strip() else []
        else:
            lines.append(line)
    return {name: textwrap.dedent("\n".join(each)).strip() for name, each in found.items()}


def cleaned(text: str) -> str:
    """Return a docstring without the indentation of its lines after the first.

    That of the standard library takes longer to import than a listing takes to be made.
    """
    first, _, rest = text.partition("\n")
    return f"{first.strip()}\n{textwrap.dedent(rest)}".strip()


def summary(text: str, known: dict[str, str]) -> str:
    """Return one line about a scriptlet: the text after the dash of NAME, else DESCRIPTION."""
    named = " ".join(known.get("NAME", "").split())
    if named:
        description = known.get("DESCRIPTION", "").partition("\n")[0]
        return named.partition(" - ")[2] or description.strip() or named
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def header(text: str) -> str:
    """Return the comment at the top of a script, without its signs and its first line ``#!``."""
    lines = text.splitlines()
    taken: list[str] = []
    for line in lines[1:] if text.startswith("#!") else lines:
        if not line.startswith("#"):
            if taken or line.strip():
                break
            continue
        taken.append(line.removeprefix("#").removeprefix(" "))
    return "\n".join(taken)
