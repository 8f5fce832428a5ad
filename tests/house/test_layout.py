"""The layout of the package: no circles of imports, and files and packages of a readable size."""

import ast
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pytest_orchestrator"
FILES = {
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): file
    for file in sorted(PACKAGE.rglob("*.py"))
}
Pairs = Mapping[tuple[str, str], set[str]]


def imports(node: ast.AST) -> Iterator[str]:
    """Give the modules that a file imports, also in functions, but not for annotations alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            for one in child.orelse:
                yield from imports(one)
        elif isinstance(child, ast.ImportFrom):
            whole = (f"{child.module}.{alias.name}" for alias in child.names)
            yield from (one if one in FILES else child.module or "" for one in whole)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        else:
            yield from imports(child)


@pytest.fixture(scope="module")
def of_files() -> Pairs:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, file in FILES.items():
        for other in imports(ast.parse(file.read_text())):
            if other in FILES and other != name:
                found[name, other].add(f"{name} -> {other}")
    return found


def circles(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return what imports each other, by Kahn: what is left when all ends are taken away."""
    after: dict[str, set[str]] = defaultdict(set)
    before: dict[str, set[str]] = defaultdict(set)
    for name, other in pairs:
        after[name].add(other)
        before[other].add(name)
    left = {*after, *before}
    while ends := {one for one in left if not after[one] & left or not before[one] & left}:
        left -= ends
    return [sorted(left)] if left else []


def test_no_files_import_each_other(of_files: Pairs) -> None:
    assert circles(of_files) == []


def test_no_packages_import_each_other(of_files: Pairs) -> None:
    def package(name: str) -> str:
        """Return the package of a module; a module beside packages stands for itself."""
        parts = name.split(".")
        return name if len(parts) <= 3 else ".".join(parts[:-1])

    pairs = {(package(name), package(other)) for name, other in of_files}

    assert circles(pair for pair in pairs if pair[0] != pair[1]) == []


def test_no_rooms_import_each_other(of_files: Pairs) -> None:
    names = [(f"{name}.".split(".")[1], f"{other}.".split(".")[1]) for name, other in of_files]

    assert circles({pair for pair in names if all(pair) and pair[0] != pair[1]}) == []


def test_a_circle_is_found() -> None:
    assert circles([("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]) == [["b", "c"]]


def test_no_package_has_more_than_15_modules() -> None:
    modules = Counter(file.parent for file in FILES.values() if file.name != "__init__.py")

    assert {str(folder): count for folder, count in modules.items() if count > 15} == {}


def test_files_are_of_a_size_that_is_read_at_once() -> None:
    lengths = [
        len(file.read_text().splitlines()) for file in FILES.values() if file.name != "__init__.py"
    ]
    median = statistics.median(lengths)

    assert 150 <= median <= 250, f"the median of a file is {median} lines"
