"""Structural rules of the package that no tool of `scripts/check` knows."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "pytest_orchestrator"
COMPILED = PACKAGE / "reports/compiled"
FILES = sorted(file for file in PACKAGE.rglob("*.py") if file.parent != COMPILED)
ALLOWED = {"msgspec", "psutil", "pytest_orchestrator", "regex"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def test_core_imports_the_standard_library_msgspec_psutil_and_regex_only() -> None:
    others = {
        f"{file.name}: {name}"
        for file in FILES
        if file.parent.name == "core"
        for name in imported(ast.parse(file.read_text()))
        if name not in sys.stdlib_module_names | ALLOWED
    }

    assert others == set()


def test_psutil_and_regex_are_imported_in_functions_only() -> None:
    files = [
        file.name
        for file in FILES
        if {"psutil", "regex"} & set(imported_at_module_level(file.read_text()))
    ]

    assert files == []


def imported_at_module_level(text: str) -> Iterator[str]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imported(node)


def test_no_file_has_more_than_600_lines() -> None:
    lengths = {str(file.relative_to(PACKAGE)): len(file.read_text().splitlines()) for file in FILES}

    assert {name: length for name, length in lengths.items() if length > 600} == {}


def test_no_function_has_more_than_60_lines() -> None:
    lengths = {
        f"{file.relative_to(PACKAGE)}: {node.name}": length
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := lines_of_code(node)) > 60
    }

    assert lengths == {}


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the number of lines of a function without its docstring."""
    first = function.body[0]
    is_docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if is_docstring else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def test_no_annotation_in_a_class_uses_a_name_that_the_class_binds() -> None:
    """Since Python 3.14 annotations are evaluated in the finished class, where the name differs."""
    hidden = {
        f"{file.relative_to(PACKAGE)}: {node.name}.{name.id}"
        for file in FILES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
        for annotation in annotations_of(node)
        for name in ast.walk(annotation)
        if isinstance(name, ast.Name) and name.id in names_bound_by(node)
    }

    assert hidden == set()


def annotations_of(node: ast.ClassDef) -> Iterator[ast.expr]:
    """Yield the annotations of the fields; those of methods are evaluated by no code of ours."""
    yield from (part.annotation for part in node.body if isinstance(part, ast.AnnAssign))


def names_bound_by(node: ast.ClassDef) -> set[str]:
    """Return the names of the fields and methods of a class."""
    fields = {target.id for part in node.body for target in names_assigned_by(part)}
    return fields | {part.name for part in node.body if isinstance(part, ast.FunctionDef)}


def names_assigned_by(part: ast.stmt) -> Iterator[ast.Name]:
    targets = [part.target] if isinstance(part, ast.AnnAssign) else getattr(part, "targets", [])
    yield from (target for target in targets if isinstance(target, ast.Name))


UNSAFE = {"Barrier", "Condition", "Event", "Future", "LifoQueue", "PriorityQueue", "Queue"}
UNINTERRUPTED = {
    "addons/dask/agent.py: Condition",
    "execution/scheduling/sampling.py: Condition",
}
"""Files in which only threads wait that Ctrl-C does not interrupt."""


def test_the_main_thread_waits_only_in_ways_that_ctrl_c_may_interrupt() -> None:
    """Ctrl-C may leave the lock of these classes locked; see `execution/interruptible.py`."""
    made = {
        f"{file.relative_to(PACKAGE)}: {name}"
        for file in FILES
        if file.relative_to(PACKAGE).parts[0] not in ("monitor", "cli")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call)
        if (name := ast.unparse(node.func).rpartition(".")[2]) in UNSAFE
    }

    assert made == UNINTERRUPTED
