"""Extras of this package are those of pyproject.toml."""

import tomllib
from pathlib import Path

import pytest

from pytest_orchestrator.core import extras

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_extras_are_those_that_users_can_install() -> None:
    project = tomllib.loads(PYPROJECT.read_text())["project"]
    assert {*extras.EXTRAS} == {*project["optional-dependencies"]} - {"all", "dev", "docs"}


def test_an_extra_is_installed_if_all_its_modules_can_be_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(extras, "EXTRAS", {"here": ("json",), "gone": ("json", "no_such_module")})
    assert extras.is_installed("here")
    assert not extras.is_installed("gone")
