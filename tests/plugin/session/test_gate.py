"""Recipes that are skipped as a whole by their `if`, in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

pytestmark = pytest.mark.usefixtures("noted_by_shell")


@pytest.mark.parametrize("more", [["--recipe-jobs=3"], ["-n2"], []])
def test_a_recipe_with_a_false_if_is_skipped_before_its_fixtures(
    project: Project, more: list[str]
) -> None:
    project.pytester.makeconftest("""
        import pytest
        @pytest.fixture
        def bench():
            raise RuntimeError("the bench is switched on")
    """)
    project.recipe("power", {"on": ""}, {"off": ""}, head="if: false\nfixtures: [bench]")
    project.recipe("a", {"measure": ""}, {"file": ""}, head="needs: [recipes/power.yaml]")
    project.pytester.makepyfile("""
        import pytest
        @pytest.mark.recipe("recipes/power.yaml")
        def test_bench(ctx):
            assert True
    """)

    result = project.run("-rs", *more)

    assert result.parseoutcomes() == {"passed": 3, "skipped": 2}
    assert project.ran == ["measure", "file"]
    result.stdout.fnmatch_lines_random(
        [f"SKIPPED [[]1] recipes/power.yaml:{line}: if of the recipe: false" for line in (4, 6)]
    )
