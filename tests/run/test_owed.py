"""What a killed run owes is told until some run has done it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_orchestrator.core.events import RecipeStarted
from pytest_orchestrator.run.owed import Owed, owed
from tests.run.conftest import RECIPE, Past

if TYPE_CHECKING:
    from pathlib import Path


def begun(base: Path, run: str) -> Past:
    """Begin a run of a recipe that powers off at its end."""
    past = Past(base, run)
    steps = ({"name": "on", "index": 1}, {"name": "off", "index": 2, "final": True})
    past.add(RecipeStarted(recipe=RECIPE, about={"path": RECIPE}, steps=steps))
    past.step("on")
    return past


def test_what_did_not_run_is_owed_until_a_later_run_has_run_it(tmp_path: Path) -> None:
    first, second, third = (f"2026112{day}T101502Z-7f3a" for day in (5, 6, 7))
    begun(tmp_path, first).killed()
    assert owed(tmp_path) == Owed(first, {RECIPE: ["off"]})
    begun(tmp_path, second).seal()
    assert owed(tmp_path) == Owed(first, {RECIPE: ["off"]})
    later = begun(tmp_path, third)
    later.step("off")
    later.seal()
    assert owed(tmp_path) is None
