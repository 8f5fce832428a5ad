"""Hand-written tests that request a recipe by a marker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_STEPS = ["one", "two", "off"]


def _tests(project: Project, *recipes: str, body: str = "assert ctx.get('done.two')") -> None:
    """Write a test for each recipe: test_0, test_1 and so on."""
    lines = ["import pytest"]
    for number, recipe in enumerate(recipes):
        lines += [f"@pytest.mark.recipe({recipe})", f"def test_{number}(ctx):", f"    {body}"]
    project.write("test_x.py", "\n".join(lines) + "\n")


@pytest.fixture
def marked(project: Project) -> Project:
    """A project with a recipe and two tests that request it."""
    project.recipe("x", {"one": "", "two": ""}, {"off": ""})
    _tests(project, "'recipes/x.yaml'", "'recipes/x.yaml'")
    return project


@pytest.mark.parametrize(
    "arguments",
    [
        ("test_x.py",),
        ("test_x.py::test_1",),
        ("-k", "test_0"),
        ("test_x.py", "recipes"),
        ("recipes", "test_x.py"),
        ("recipes/x.yaml::one", "test_x.py"),
        ("test_x.py", "recipes/x.yaml::off"),
        ("test_x.py::test_0", "recipes", "test_x.py::test_1"),
        ("--strict-markers", "-x", "test_x.py"),
    ],
)
def test_steps_run_once_and_a_marked_test_reads_their_writes(
    marked: Project, arguments: tuple[str, ...]
) -> None:
    result = marked.run(*arguments)

    assert result.ret == 0
    assert set(result.parseoutcomes()) <= {"passed", "deselected"}
    assert marked.ran == _STEPS


def test_only_the_marked_test_is_counted(marked: Project) -> None:
    result = marked.run("test_x.py::test_1", "--recipe-table=all")

    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["-* recipes/x.yaml: passed -*", "*", " one *", " two *", " off *"])


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_marked_tests_may_be_shuffled_among_the_steps(marked: Project, seed: int) -> None:
    result = marked.shuffled(seed)

    assert result.parseoutcomes() == {"passed": 5}
    assert marked.ran == _STEPS


def test_two_workers_run_the_steps_once(marked: Project) -> None:
    result = marked.spawn("-n", "2")

    assert result.parseoutcomes() == {"passed": 5}
    assert marked.ran == _STEPS


def test_two_workers_run_the_steps_once_for_tests_without_selected_steps(marked: Project) -> None:
    result = marked.spawn("-n", "2", "test_x.py")

    assert result.parseoutcomes() == {"passed": 2}
    assert marked.ran == _STEPS


def test_a_class_and_a_module_may_have_the_marker(marked: Project) -> None:
    marked.write(
        "test_x.py",
        """
        import unittest

        import pytest

        pytestmark = pytest.mark.recipe("recipes/x.yaml")

        class TestThem:
            @pytest.mark.parametrize("number", [1, 2])
            def test_it(self, number, ctx):
                assert ctx.get("done.two")

        class TestOld(unittest.TestCase):
            def test_it(self):
                pass
        """,
    )

    assert marked.run("test_x.py").parseoutcomes() == {"passed": 3}
    assert marked.ran == _STEPS


def test_a_failed_step_is_an_error_of_every_marked_test(project: Project) -> None:
    project.recipe("x", {"one": "function: refuse", "two": ""}, {"off": ""})
    _tests(project, "'recipes/x.yaml'", "'recipes/x.yaml'")

    result = project.run("test_x.py")

    said = "Failed: needed step recipes/x.yaml::one did not pass"
    assert [line for line in result.outlines if line.startswith("ERROR")] == [
        f"ERROR test_x.py::test_0 - {said}",
        f"ERROR test_x.py::test_1 - {said}",
    ]
    assert project.ran == ["one", "off"]
    assert result.ret == 1


def test_a_failed_finally_step_is_an_error_of_its_own(project: Project) -> None:
    project.recipe("x", {"one": "", "two": ""}, {"off": "function: refuse"})
    _tests(project, "'recipes/x.yaml'")

    result = project.run("test_x.py")

    assert "ERROR recipes/x.yaml::off - status 'off': the bench is off" in result.outlines
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    assert result.ret == 1


def test_finally_steps_run_after_the_last_marked_test(marked: Project) -> None:
    marked.write(
        "test_x.py",
        """
        import pytest
        from steps import note

        @pytest.mark.recipe("recipes/x.yaml")
        def test_0(ctx):
            note(ctx, {"name": "test_0"})

        @pytest.mark.recipe("recipes/x.yaml")
        def test_1(ctx):
            note(ctx, {"name": "test_1"})
        """,
    )

    marked.run("test_x.py")
    assert marked.ran == ["one", "two", "test_0", "test_1", "off"]
    marked.forget()
    marked.run("recipes/x.yaml::one", "test_x.py")
    assert marked.ran == ["one", "two", "test_0", "test_1", "off"]


def test_an_unselected_step_with_implicit_false_is_named_in_the_error(project: Project) -> None:
    project.recipe("x", {"one": "", "two": "implicit: false"})
    _tests(project, "'recipes/x.yaml'")

    result = project.run("test_x.py")

    reason = (
        "needs step 'two', which was not selected; "
        "it says `implicit: false`, so it never runs just because another step needs it"
    )
    assert project.shown(result, "ERROR at setup of test_0") == (
        f"recipes/x.yaml:3:93: test_x.py::test_0 {reason}\n"
        "    select it too: pytest recipes/x.yaml::two test_x.py::test_0\n"
        "    or run without what is needed: pytest --recipe-needs=none test_x.py::test_0\n"
    )
    assert f"ERROR test_x.py::test_0 - {reason}" in result.outlines
    assert project.ran == []
    assert project.run().ret == 0


@pytest.mark.counted
def test_a_marker_without_a_usable_recipe_is_an_error_with_the_reason(project: Project) -> None:
    project.recipe("cdu_poll", {"one": ""})
    project.write("recipes/bad.yaml", "steps: [{name: one, type: shell, cmd: 'true', parse: no}]")
    _tests(project, "'recipes/cdu_pol.yaml'", "'recipes/bad.yaml'", "", "1", "'a.yaml', gain=1")

    result = project.run("test_x.py")

    near = "recipes/cdu_pol.yaml (did you mean 'recipes/cdu_poll.yaml'?)"
    usage = (
        "write @pytest.mark.recipe('recipes/name.yaml'): one path, relative to the rootdir, "
        "and matrix={'name': value} where it has a matrix"
    )
    assert [
        project.shown(result, f"ERROR at setup of test_{number}").splitlines()[0]
        for number in range(5)
    ] == [
        f"the recipe of this test is not there: {near}",
        "the recipe of this test is not usable",
        usage,
        usage,
        usage,
    ]
    assert "recipes/bad.yaml:1:54:" in project.shown(result, "ERROR at setup of test_1")
    result.stdout.no_fnmatch_line("*Traceback*")
    assert result.parseoutcomes() == {"errors": 5}


def test_a_marker_that_means_no_single_cell_is_an_error_with_the_cure(project: Project) -> None:
    project.recipe("x", {"one": ""}, head="matrix: {volts: [3.3, 5.0]}")
    path = "'recipes/x.yaml'"
    _tests(project, f"{path}, matrix={{'volts': '3.3'}}", path, f"{path}, matrix={{'volts': 4}}")

    result = project.run("test_x.py")

    cells = "of recipes/x.yaml; its cells are volts:3.3, volts:5.0"
    assert [project.shown(result, f"ERROR at setup of test_{number}") for number in range(3)] == [
        (
            f"matrix={{'volts': '3.3'}} of this test means no cell {cells} "
            "(write matrix={'volts': 3.3})\n"
        ),
        f"matrix={{}} of this test means 2 cells {cells} (write matrix={{'volts': 3.3}})\n",
        f"matrix={{'volts': 4}} of this test means no cell {cells}\n",
    ]


def test_the_recipe_of_a_marked_test_runs_with_recipe_needs_none(marked: Project) -> None:
    assert marked.run("--recipe-needs=none", "test_x.py").ret == 0
    assert marked.ran == _STEPS


def test_collecting_marked_tests_runs_nothing(marked: Project) -> None:
    assert marked.items("test_x.py") == ["test_x.py::test_0", "test_x.py::test_1"]
    assert marked.ran == []


_TWO = """
import pytest


@pytest.mark.recipe("recipes/a.yaml")
class TestBench:
    @pytest.mark.recipe("recipes/b.yaml")
    @pytest.mark.recipe("recipes/c.yaml")
    def test_all(self, ctx, orchestrator_context):
        with open("ran.txt", "a") as file:
            file.write("test\\n")
        assert ctx.get("done.c1") and ctx.get("done.a1")
        assert [key for key in orchestrator_context.keys()] == ["done.a1", "done.b1"]
"""


@pytest.fixture
def several(project: Project) -> Project:
    """A project with a test that requests three recipes; the nearest has its own Context."""
    for name, head in (("a", ""), ("b", ""), ("c", "context: recipe")):
        project.recipe(name, {f"{name}1": ""}, {f"{name}2": ""}, head=head)
    project.write("test_x.py", _TWO)
    return project


@pytest.mark.parametrize("options", [[], ["--recipe-jobs", "2"], ["-n", "2"]])
def test_all_recipes_of_a_test_run_and_that_of_the_nearest_marker_is_last(
    several: Project, options: list[str]
) -> None:
    several.run("test_x.py", *options).assert_outcomes(passed=1)

    assert several.ran == ["a1", "b1", "c1", "test", "c2", "b2", "a2"]


def test_all_recipes_of_a_test_run_on_the_worker_of_the_test(several: Project) -> None:
    result = several.run("-n", "3", "-p", "no:randomly", "test_x.py", "recipes")

    result.assert_outcomes(passed=7)
    assert sorted(several.ran) == ["a1", "a2", "b1", "b2", "c1", "c2", "test"]


def test_the_header_counts_the_steps_of_all_recipes_of_a_test(several: Project) -> None:
    assert "also runs 3 prerequisite steps, not counted: a1, b1, c1" in "\n".join(
        several.run("test_x.py").outlines[:12]
    )


@pytest.mark.parametrize("failing", ["a", "b", "c"])
def test_one_failed_recipe_of_several_is_an_error_of_the_test(
    several: Project, failing: str
) -> None:
    several.recipe(failing, {f"{failing}1": "function: refuse"}, {f"{failing}2": ""})

    result = several.run("test_x.py")

    said = f"Failed: needed step recipes/{failing}.yaml::{failing}1 did not pass"
    assert [line for line in result.outlines if line.startswith("ERROR")] == [
        f"ERROR test_x.py::TestBench::test_all - {said}"
    ]
    ran = [f"{name}1" for name in "abc" if name <= failing]
    assert several.ran == [*ran, *(f"{name[0]}2" for name in reversed(ran))]


def test_a_missing_recipe_among_several_is_named(several: Project) -> None:
    several.write("test_x.py", _TWO.replace("recipes/b.yaml", "recipes/bb.yaml"))

    result = several.run("test_x.py")

    assert "the recipe of this test is not there: recipes/bb.yaml" in several.shown(
        result, "ERROR at setup of TestBench.test_all"
    )
    assert several.ran == []
