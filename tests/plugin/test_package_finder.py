"""Import finder of the package."""

from __future__ import annotations

import os
import py_compile
from importlib.machinery import PathFinder, SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import pytest_orchestrator
from pytest_orchestrator.plugin.package_finder import PackageFinder

if TYPE_CHECKING:
    from types import CodeType

_ROOT = str(Path(pytest_orchestrator.__file__).parent)


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("pytest_orchestrator.instrument", _ROOT),
        ("pytest_orchestrator.execution", _ROOT),
        ("pytest_orchestrator.execution.steps", f"{_ROOT}/execution"),
    ],
)
def test_the_finder_returns_the_spec_that_pythons_own_finder_returns(
    name: str, folder: str
) -> None:
    found, expected = PackageFinder.find_spec(name, [folder]), PathFinder.find_spec(name, [folder])

    assert found is not None
    assert expected is not None
    assert (found.name, found.origin) == (expected.name, expected.origin)
    assert (found.cached, found.parent) == (expected.cached, expected.parent)
    assert found.submodule_search_locations == expected.submodule_search_locations
    assert found.has_location


@pytest.mark.parametrize("name", ["json", "pytest_orchestrator.no_such_module"])
def test_the_finder_finds_no_other_module(name: str) -> None:
    assert PackageFinder.find_spec(name, [_ROOT]) is None


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Return the path of a module whose bytecode file is that of its source."""
    path = tmp_path / "module.py"
    path.write_text("value = 1\n")
    py_compile.compile(str(path), doraise=True)
    return path


def loaded(path: Path) -> tuple[Any, str]:
    """Return the value that a module sets, and the path in its code."""
    spec = PackageFinder.find_spec(f"pytest_orchestrator.{path.stem}", [str(path.parent)])
    assert spec is not None
    code: CodeType = spec.loader.get_code(spec.name)  # type: ignore[union-attr]
    names: dict[str, Any] = {}
    exec(code, names)
    return names["value"], code.co_filename


def compiled(path: Path) -> Path:
    return next(path.parent.glob("__pycache__/*.pyc"))


def test_a_module_is_read_from_its_bytecode_file_alone(
    module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SourceFileLoader, "get_code", None)

    assert loaded(module) == (1, str(module))


def changed(path: Path) -> None:
    path.write_text("value = 1 + 1\n")


def changed_to_the_same_size(path: Path) -> None:
    path.write_text("value = 2\n")
    os.utime(path, (1e9, 1e9))


def changed_but_for_its_stamp(path: Path) -> None:
    before = path.stat()
    path.write_text("value = 2\n")
    os.utime(path, (before.st_atime, before.st_mtime))


def of_another_version(path: Path) -> None:
    compiled(path).write_bytes(b"\0\0\r\n" + compiled(path).read_bytes()[4:])
    changed_but_for_its_stamp(path)


def empty(path: Path) -> None:
    compiled(path).write_bytes(b"")
    changed_but_for_its_stamp(path)


def missing(path: Path) -> None:
    compiled(path).unlink()
    changed_but_for_its_stamp(path)


def checked_by_its_hash(path: Path) -> None:
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    py_compile.compile(str(path), invalidation_mode=mode)
    changed_but_for_its_stamp(path)


@pytest.mark.parametrize(
    "damage",
    [
        changed,
        changed_to_the_same_size,
        of_another_version,
        empty,
        missing,
        checked_by_its_hash,
    ],
)
def test_a_bytecode_file_that_is_not_of_the_present_source_is_not_used(
    module: Path, damage: Any
) -> None:
    damage(module)

    assert loaded(module) == (2, str(module))


def test_code_has_its_present_path_after_its_folder_was_moved(module: Path) -> None:
    moved = module.parent.rename(module.parent.with_name("moved")) / module.name

    assert loaded(moved) == (1, str(moved))
