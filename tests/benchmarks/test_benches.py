"""Comparison with systems for benches: each has its unit, and our own fails as it is printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.benches import BENCHES
from pytest_orchestrator.recipe import load

if TYPE_CHECKING:
    import pytest


def test_each_system_has_the_unit_with_the_same_value_and_limit(
    pytestconfig: pytest.Config,
) -> None:
    for bench in BENCHES:
        folder = pytestconfig.rootpath / "benchmarks/systems" / bench.name
        texts = [path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file()]
        unit = "\n".join(texts)

        assert "61.4" in unit, bench.name
        assert "50" in unit, bench.name
        assert "LONG" in unit, bench.name


def test_the_unit_as_a_recipe_switches_off_in_finally(pytestconfig: pytest.Config) -> None:
    path = pytestconfig.rootpath / "benchmarks/systems/recipe/recipes/unit.yaml"

    recipe = load(path, root=pytestconfig.rootpath)

    assert [step.name for step in recipe.final] == ["power_off"]
