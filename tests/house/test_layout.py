"""Layout of the package: no import cycles, and files and packages of a readable size."""

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


def imports(node: ast.AST, *, annotations: bool = False) -> Iterator[str]:
    """Yield the modules that a file imports, in functions too.

    Args:
        node: The syntax tree of the file.
        annotations: Yield also the modules that are imported for annotations only.
    """
    for child in ast.iter_child_nodes(node):
        is_typing = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if isinstance(child, ast.If) and is_typing and not annotations:
            for one in child.orelse:
                yield from imports(one)
        elif isinstance(child, ast.ImportFrom):
            whole = (f"{child.module}.{alias.name}" for alias in child.names)
            yield from (one if one in FILES else child.module or "" for one in whole)
        elif isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        else:
            yield from imports(child, annotations=annotations)


@pytest.fixture(scope="module")
def of_files() -> Pairs:
    edges: dict[tuple[str, str], set[str]] = defaultdict(set)
    for name, file in FILES.items():
        for other in imports(ast.parse(file.read_text())):
            if other in FILES and other != name:
                edges[name, other].add(f"{name} -> {other}")
    return edges


def cycles(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Return the modules of import cycles: those that remain when all ends are removed (Kahn)."""
    after: dict[str, set[str]] = defaultdict(set)
    before: dict[str, set[str]] = defaultdict(set)
    for name, other in pairs:
        after[name].add(other)
        before[other].add(name)
    left = {*after, *before}
    while ends := {one for one in left if not after[one] & left or not before[one] & left}:
        left -= ends
    return [sorted(left)] if left else []


def test_no_files_import_each_other_in_a_cycle(of_files: Pairs) -> None:
    assert cycles(of_files) == []


def test_no_files_but_of_the_plugin_import_each_other_in_a_cycle_even_for_annotations() -> None:
    files = {name: file for name, file in FILES.items() if ".plugin." not in name}
    pairs = {
        (name, other)
        for name, file in files.items()
        for other in imports(ast.parse(file.read_text()), annotations=True)
        if other in files and other != name
    }

    assert len(pairs) > len(files)
    assert cycles(pairs) == []


def test_no_packages_import_each_other_in_a_cycle(of_files: Pairs) -> None:
    def package(name: str) -> str:
        """Return the package of a module; a module beside packages is its own package."""
        parts = name.split(".")
        return name if len(parts) <= 3 else ".".join(parts[:-1])

    pairs = {(package(name), package(other)) for name, other in of_files}

    assert cycles(pair for pair in pairs if pair[0] != pair[1]) == []


def test_no_top_level_packages_import_each_other_in_a_cycle(of_files: Pairs) -> None:
    names = [(f"{name}.".split(".")[1], f"{other}.".split(".")[1]) for name, other in of_files]

    assert cycles({pair for pair in names if all(pair) and pair[0] != pair[1]}) == []


def test_an_import_cycle_is_detected() -> None:
    assert cycles([("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]) == [["b", "c"]]


def test_no_package_has_more_than_15_modules() -> None:
    modules = Counter(file.parent for file in FILES.values() if file.name != "__init__.py")

    assert {str(folder): count for folder, count in modules.items() if count > 15} == {}


def test_the_median_length_of_files_is_150_to_250_lines() -> None:
    lengths = [
        len(file.read_text().splitlines()) for file in FILES.values() if file.name != "__init__.py"
    ]
    median = statistics.median(lengths)

    assert 150 <= median <= 250, f"the median of a file is {median} lines"
