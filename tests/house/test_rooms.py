"""Rules of the house that no tool of the gate knows."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_orchestrator"
FILES = sorted(PACKAGE.rglob("*.py"))
GROUND = {"msgspec", "psutil", "pytest_orchestrator"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def test_core_imports_the_standard_library_and_msgspec_alone() -> None:
    strangers = {
        f"{file.name}: {name}"
        for file in FILES
        if file.parent.name == "core"
        for name in imported(ast.parse(file.read_text()))
        if name not in sys.stdlib_module_names | GROUND
    }

    assert strangers == set()


def test_psutil_is_imported_only_where_it_is_used() -> None:
    at_the_top = [
        file.name for file in FILES if "psutil" in set(imported_at_the_top(file.read_text()))
    ]

    assert at_the_top == []


def imported_at_the_top(text: str) -> Iterator[str]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_file_has_at_most_300_lines_and_its_functions_40(file: Path) -> None:
    text = file.read_text()
    long = {
        node.name: length
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := lines_of_code(node)) > 40
    }

    assert long == {}
    assert len(text.splitlines()) <= 300


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without its docstring."""
    first = function.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring
