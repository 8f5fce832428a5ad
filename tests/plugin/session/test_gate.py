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


_REQUIRES = "requires: {programs: [no-such-program]}"
_REASON = "requires: program 'no-such-program' is not on PATH"


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with a recipe that cannot run here, and a recipe and a test that need it."""
    project.recipe("_part", {"deep": ""}, head=_REQUIRES)
    project.recipe("power", {"on": ""}, {"off": ""}, head=f"{_REQUIRES}\nfixtures: [gone]")
    project.recipe("a", {"measure": ""}, {"file": ""}, head="needs: [recipes/power.yaml]")
    project.write("recipes/used.yaml", "steps: [{name: part, use: recipes/_part.yaml}]\n")
    project.recipe("free", {"other": ""})
    project.pytester.makepyfile("""
        import pytest
        @pytest.mark.recipe("recipes/power.yaml")
        def test_bench(ctx):
            assert False
    """)
    return project


@pytest.mark.counted
@pytest.mark.parametrize("more", [[], ["-n2"], ["--recipe-jobs=2"]])
def test_a_recipe_whose_requirement_is_missing_is_skipped_with_all_that_need_it(
    bench: Project, more: list[str]
) -> None:
    result = bench.run("-rs", *more)

    # Steps of `finally` run whatever blocks the other steps.
    assert result.parseoutcomes() == {"passed": 2, "skipped": 5}
    assert sorted(bench.ran) == ["file", "other"]
    lines = [line for line in result.outlines if line.startswith("SKIPPED")]
    assert sum(line.endswith(f": {_REASON}") for line in lines) == 3
    assert any("blocked by recipes/power.yaml" in line for line in lines)


@pytest.mark.counted
def test_a_missing_requirement_is_an_error_where_requirements_are_strict(bench: Project) -> None:
    result = bench.run("-o", "recipe_requires=error", "recipes/power.yaml", "recipes/free.yaml")

    assert result.parseoutcomes() == {"passed": 1, "errors": 2}
    result.stdout.fnmatch_lines([f"recipes/power.yaml:1:11: {_REASON}"])
    wrong = bench.run("-o", "recipe_requires=fail")
    assert wrong.ret == 4
    wrong.stderr.fnmatch_lines(["ERROR: ini key recipe_requires: 'fail' should be skip or error"])


def test_a_terminal_is_missing_in_a_session_without_one(project: Project) -> None:
    project.recipe("a", {"ask": ""}, head="requires: {terminal: true}")
    result = project.run("-rs")
    assert result.parseoutcomes() == {"skipped": 1}
    result.stdout.fnmatch_lines(
        ["SKIPPED*: requires: the session has no terminal at which a person can answer"]
    )
