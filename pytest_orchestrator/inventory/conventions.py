"""The conventions of scriptlets: a file that does not keep one gets a note with its name."""

import ast
import re
from collections.abc import Iterator

from pytest_orchestrator.inventory.model import Note
from pytest_orchestrator.inventory.python_files import docstring
from pytest_orchestrator.inventory.sections import NAMES, header, sections
from pytest_orchestrator.recipe.analysis.python_source import ANY, key_in
from pytest_orchestrator.recipe.analysis.source_files import Module

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
