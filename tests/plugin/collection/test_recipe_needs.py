"""`needs` of a recipe: recipes that must pass before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

pytestmark = pytest.mark.usefixtures("noted_by_shell")

jobs = pytest.mark.parametrize("jobs", ["--recipe-jobs=1", "--recipe-jobs=3"])
_POWER = "needs: [recipes/power.yaml]"


@pytest.fixture
def bench(project: Project) -> Project:
    """A project in which the first recipe needs a later one."""
    project.recipe("a", {"measure": "", "report": ""}, {"file": ""}, head=_POWER)
    project.recipe("power", {"on": "", "warm": ""}, {"idle": ""})
    return project


@jobs
def test_a_needed_recipe_runs_completely_before_its_dependent(bench: Project, jobs: str) -> None:
    result = bench.run(jobs)

    assert result.parseoutcomes() == {"passed": 6}
    assert bench.ran == ["on", "warm", "idle", "measure", "report", "file"]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_needed_recipe_runs_first_when_items_are_shuffled(bench: Project, seed: int) -> None:
    bench.recipe("b", {"other": ""}, head=_POWER)

    assert bench.shuffled(seed).parseoutcomes() == {"passed": 7}
    assert bench.ran[:3] == ["on", "warm", "idle"]


@jobs
def test_an_unselected_needed_recipe_runs_once_in_the_setup(bench: Project, jobs: str) -> None:
    bench.recipe("b", {"other": ""}, head=_POWER)

    result = bench.run(jobs, "recipes/a.yaml", "recipes/b.yaml", "--recipe-table=all")

    assert result.parseoutcomes() == {"passed": 4}
    assert bench.ran == ["on", "warm", "idle", "measure", "report", "file", "other"]
    result.stdout.fnmatch_lines(
        ["orchestrator*; also runs 2 prerequisite steps, not counted: on, warm"]
    )
    result.stdout.fnmatch_lines(["-* recipes/power.yaml: passed -*", " on *", " warm *", " idle *"])


@jobs
def test_the_unselected_steps_of_a_needed_recipe_run_too(bench: Project, jobs: str) -> None:
    result = bench.run(jobs, "recipes/power.yaml::on", "recipes/a.yaml::measure")

    assert result.parseoutcomes() == {"passed": 2}
    assert bench.ran[0] == "on"
    assert sorted(bench.ran) == ["file", "idle", "measure", "on", "warm"]


@jobs
@pytest.mark.parametrize("function", ["refuse", "boom"])
def test_all_steps_are_blocked_after_a_needed_recipe_failed(
    bench: Project, jobs: str, function: str
) -> None:
    bench.recipe("power", {"on": f"function: {function}", "free": "needs: []"}, {"idle": ""})
    bench.recipe("b", {"other": ""}, head="needs: [recipes/a.yaml]")

    reasons = bench.reasons(jobs)

    by = "skipped: blocked by recipes/power.yaml"
    assert {name: said for name, said in reasons.items() if name != "on"} == {
        "measure": by,
        "report": by,
        "other": by,
    }
    assert sorted(bench.ran) == ["file", "free", "idle", "on"]


def test_a_failed_finally_step_is_a_failure_of_the_needed_recipe(bench: Project) -> None:
    bench.recipe("power", {"on": ""}, {"idle": "function: refuse"})

    reasons = bench.reasons()

    assert reasons["measure"] == "skipped: blocked by recipes/power.yaml"


def test_an_expected_failure_in_a_needed_recipe_blocks_no_dependent(bench: Project) -> None:
    bench.recipe("power", {"on": "function: refuse, xfail: BUG-7", "warm": ""})

    assert bench.run().parseoutcomes() == {"xfailed": 1, "skipped": 1, "passed": 3}


@pytest.mark.counted
@jobs
def test_a_failure_of_an_unselected_needed_recipe_is_a_setup_error(
    bench: Project, jobs: str
) -> None:
    bench.recipe("power", {"on": "", "warm": "function: refuse"}, {"idle": ""})

    result = bench.run(jobs, "recipes/a.yaml")

    assert result.parseoutcomes() == {"errors": 1, "skipped": 1, "passed": 1}
    said = bench.shown(result, "ERROR at setup of measure").splitlines()
    assert said[0] == "needed step recipes/power.yaml::warm did not pass"
    assert bench.ran == ["on", "warm", "idle", "file"]


def test_a_finally_step_that_fails_in_a_setup_is_an_error(bench: Project) -> None:
    bench.recipe("power", {"on": ""}, {"idle": "function: refuse", "off": ""})

    result = bench.run("recipes/a.yaml::measure")

    assert result.parseoutcomes() == {"errors": 1}
    assert bench.ran == ["on", "idle", "off"]


def test_only_selected_recipes_count_with_recipe_needs_none(bench: Project) -> None:
    assert bench.run("--recipe-needs=none", "recipes/a.yaml").ret == 0
    assert bench.ran == ["measure", "report", "file"]
    bench.recipe("power", {"on": "function: refuse"})
    bench.forget()

    assert bench.reasons("--recipe-needs=none")["measure"] == (
        "skipped: blocked by recipes/power.yaml"
    )


def test_an_unselected_step_with_implicit_false_is_named_in_the_error(bench: Project) -> None:
    bench.recipe("power", {"on": "implicit: false"})

    said = bench.reasons("recipes/a.yaml")["measure"]

    assert "needs step 'on', which was not selected" in said
    assert bench.ran == ["file"]


def test_a_needed_recipe_passes_on_the_session_context_only(project: Project) -> None:
    project.write(
        "keys.py",
        """
        def write(ctx, params):
            ctx.set(params["key"], 1)
            return {"status": "ok"}


        def look(ctx, params):
            assert ("shared" in ctx, "own" in ctx) == (True, False)
            return {"status": "ok"}
        """,
    )
    keys = "type: python, module: keys, function: "
    project.recipe("one", {"shared": f"{keys}write, params: {{key: shared}}"})
    project.recipe(
        "two",
        {"own": f"{keys}write, params: {{key: own}}"},
        head="context: recipe\nneeds: [recipes/one.yaml]",
    )
    project.recipe("a", {"look": f"{keys}look"}, head="needs: [recipes/two.yaml]")

    assert project.run("recipes/a.yaml").parseoutcomes() == {"passed": 1}


@pytest.mark.parametrize("arguments", [(), ("recipes/a.yaml", "recipes/b.yaml")])
def test_two_workers_run_a_needed_recipe_once_on_the_same_worker(
    bench: Project, arguments: tuple[str, ...]
) -> None:
    bench.recipe("b", {"other": ""}, head=_POWER)
    bench.recipe("c", {"alone": ""})

    result = bench.spawn("-n", "2", *arguments)

    assert set(result.parseoutcomes()) == {"passed"}
    assert [name for name in bench.ran if name != "alone"][:3] == ["on", "warm", "idle"]
    assert bench.ran.count("on") == 1


def test_a_marked_test_has_the_recipes_that_its_recipe_needs(bench: Project) -> None:
    bench.write(
        "test_x.py",
        """
        import pytest
        from steps import note

        @pytest.mark.recipe("recipes/a.yaml")
        def test_it(ctx):
            note(ctx, {"name": "test"})
        """,
    )

    assert bench.run("test_x.py").parseoutcomes() == {"passed": 1}
    assert bench.ran == ["on", "warm", "idle", "measure", "report", "test", "file"]
    bench.forget()

    assert bench.run("test_x.py", "recipes").parseoutcomes() == {"passed": 7}
    assert bench.ran[:2] == ["on", "warm"]
    assert len(bench.ran) == 7


@pytest.mark.counted
def test_errors_in_needs_are_reported_at_their_line(project: Project) -> None:
    step = "steps: [{name: one, type: shell, cmd: x}]\n"
    project.write("recipes/power.yaml", step)
    project.write("recipes/bad.yaml", step.replace("cmd: x", "cmd: x, timeot: 3"))
    project.write("recipes/b.yaml", f"needs: [recipes/c.yaml]\n{step}")
    project.write("recipes/c.yaml", f"needs: [recipes/b.yaml]\n{step}")
    needs = "[recipes/powr.yaml, recipes/bad.yaml, recipes/a.yaml, ./recipes/b.yaml]"
    project.write("recipes/a.yaml", f"needs: {needs}\n{step}")

    result = project.run()

    assert project.shown(result, "ERROR collecting recipes/a.yaml") == (
        f"""\
recipes/a.yaml:1:9: the recipe needs 'recipes/powr.yaml', which is not there \
(did you mean 'recipes/power.yaml'?)

   1 | needs: {needs}
     |         ^^^^^^^^^^^^^^^^^
recipes/a.yaml:1:28: the recipe needs 'recipes/bad.yaml', which is no good recipe \
(1:42 unknown key 'timeot' (did you mean 'timeout'?))

   1 | needs: {needs}
     |                            ^^^^^^^^^^^^^^^^
recipes/a.yaml:1:46: the recipe needs itself

   1 | needs: {needs}
     |                                              ^^^^^^^^^^^^^^
recipes/a.yaml:1:62: the recipe needs './recipes/b.yaml', which is no good recipe \
(1:9 recipes need each other in a circle: recipes/b.yaml -> recipes/c.yaml -> recipes/b.yaml)

   1 | needs: {needs}
     |                                                              ^^^^^^^^^^^^^^^^
4 problems
"""
    )
    circle = "recipes need each other in a circle"
    assert [line for line in result.outlines if line.startswith(f"recipes/c.yaml:1:9: {circle}")]
    assert project.ran == []


def test_needs_are_a_list_of_paths(project: Project) -> None:
    project.recipe("a", {"one": ""}, head="needs: recipes/power.yaml")

    project.run().stdout.fnmatch_lines(
        ["recipes/a.yaml:1:8: 'needs' is text, should be a list (write [[]recipes/power.yaml])"]
    )
