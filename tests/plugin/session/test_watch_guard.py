"""Recipes that `pytest-orchestrator watch` leaves out of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_orchestrator.plugin.options.values import WATCH_VARIABLE

if TYPE_CHECKING:
    import pytest

    from tests.plugin.conftest import Project

GUARD = "pytest_orchestrator.plugin.session.watch_guard"
NEEDING = "watch leaves recipes/needing.yaml"


def test_watch_leaves_out_recipes_with_hardware_that_are_not_allowed(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(WATCH_VARIABLE, '["recipes/allowed.yaml"]')
    project.recipe("plain", {"one": ""})
    project.recipe("locked", {"two": "locks: [psu]"})
    project.recipe("allowed", {"three": "locks: [psu]"})
    project.recipe("needing", {"four": ""}, head="needs: [recipes/locked.yaml]")
    project.recipe("fixed", {"five": "fixtures: [bench]"})
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def bench(instrument):
            return instrument("psu")
        """,
    )

    project.write("test_hand.py", "def test_hand(): pass\n")

    result = project.run("-p", GUARD, "recipes", "test_hand.py")

    result.assert_outcomes(passed=2, deselected=4)
    assert project.ran == ["three", "one"]
    left_out = [line.partition(": ")[2] for line in result.outlines if "watch leaves" in line]
    assert left_out == [
        "step 'five' has fixture 'instrument', so watch leaves it out (--allow recipes/fixed.yaml)",
        "step 'two' has locks, so watch leaves it out (--allow recipes/locked.yaml)",
        f"step 'two' has locks, so {NEEDING} out (--allow recipes/locked.yaml)",
    ]
