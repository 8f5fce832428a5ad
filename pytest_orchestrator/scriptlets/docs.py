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
    """Return the parameters of a scriptlet, required ones first.

    Args:
        functions: The function, or the methods of the class.
        names: Definitions of its module by name.
        called: The functions that a step calls itself.
        fixtures: Names of parameters that get a fixture.
    """
    reads = _ParamsReads()
    descriptions: dict[str, str] = {}
    types: dict[str, str] = {}
    named: dict[str, Param] = {}
    for function in functions:
        own = _named(function) if function in called else ()
        named |= {param.name: param for param in own if param.name not in fixtures}
        argument = next((each for each in _arguments(function) if each.arg == _NAME), None)
        if argument is not None:
            for statement in function.body:
                reads.visit(statement)
            docstring = cleaned(ast.get_docstring(function, clean=False) or "")
            descriptions |= _descriptions(docstring)
            types |= dict(_types(argument.annotation, names))
    keys = dict.fromkeys((*types, *reads.seen, *descriptions))
    params = [reads.param(key, types.get(key), descriptions.get(key, "")) for key in keys]
    params = [*named.values(), *(param for param in params if param.name not in named)]
    return tuple(sorted(params, key=lambda param: not param.required))


def _named(function: Function) -> Iterator[Param]:
    """Yield the parameters that receive the entry of `params` with the same name."""
    args = function.args
    by_place = [*args.posonlyargs, *args.args]
    defaults = [None] * (len(by_place) - len(args.defaults)) + args.defaults
    text = cleaned(ast.get_docstring(function, clean=False) or "")
    for argument, default in zip(
        (*by_place, *args.kwonlyargs), (*defaults, *args.kw_defaults), strict=True
    ):
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


def _arguments(function: Function) -> list[ast.arg]:
    args = function.args
    return [*args.posonlyargs, *args.args, *args.kwonlyargs]


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


class _ParamsReads(ast.NodeVisitor):
    """Visitor that collects the keys of `params` that a function reads."""

    def __init__(self) -> None:
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

    def visit_Subscript(self, node: ast.Subscript) -> None:
        """Record the key that `params["x"]` reads."""
        key = _text(node.slice)
        if _is_params(node.value) and key is not None:
            self.seen[key] = None
            self._subscripted.add(key)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """Record the key and default that `params.get("x", default)` reads."""
        callee = node.func
        is_get = isinstance(callee, ast.Attribute) and callee.attr in ("get", "pop")
        if isinstance(callee, ast.Attribute) and is_get and _is_params(callee.value):
            key = _text(node.args[0]) if node.args else None
            if key is not None:
                self.seen[key] = None
                self._tested.add(key)
                if node.args[1:]:
                    self._defaults[key] = _value(node.args[1])
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Record the key that `"x" in params` tests."""
        key = _text(node.left)
        if key is not None and any(map(_is_params, node.comparators)):
            self.seen[key] = None
            self._tested.add(key)
        self.generic_visit(node)


def _is_params(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == _NAME


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def _value(node: ast.expr) -> Any:
    """Return a default as JSON data; `_COMPUTED` if it is not a literal."""
    try:
        value = ast.literal_eval(node)
        return json.loads(json.dumps(value, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        return _COMPUTED


NAMES = ("NAME", "DESCRIPTION", "USAGE", "RETURNS", "LIMITATIONS")
"""The required sections of a scriptlet, in their order."""

_TITLE = re.compile(rf"({'|'.join(NAMES)}|DESC)(?:[ \t]*|:(.*))")


def sections(text: str) -> dict[str, str]:
    """Return the text of each section by title; lines before the first title are ignored.

    A title is alone on its line, or a colon and the text follow it: ``NAME: flash.py``.
    """
    by_title: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in cleaned(text).splitlines():
        title = _TITLE.fullmatch(line)
        if title:
            name = "DESCRIPTION" if title[1] == "DESC" else title[1]
            lines = by_title.setdefault(name, [])
            lines += [title[2].strip()] if title[2] and title[2].strip() else []
        else:
            lines.append(line)
    return {name: textwrap.dedent("\n".join(each)).strip() for name, each in by_title.items()}


def cleaned(text: str) -> str:
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
