"""Import finder of the package."""

from __future__ import annotations

from importlib.machinery import PathFinder
from pathlib import Path

import pytest

import pytest_orchestrator
from pytest_orchestrator.plugin import PackageFinder

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
    assert found == expected
    assert (found.cached, found.parent) == (expected.cached, expected.parent)
    assert found.has_location


@pytest.mark.parametrize("name", ["json", "pytest_orchestrator.no_such_module"])
def test_the_finder_finds_no_other_module(name: str) -> None:
    assert PackageFinder.find_spec(name, [_ROOT]) is None
