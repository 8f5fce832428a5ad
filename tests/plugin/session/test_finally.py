"""Finally steps of a recipe run once, at its end, whatever the outcomes of its other steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

pytestmark = pytest.mark.usefixtures("noted_by_shell")


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with a recipe whose second step fails, and another recipe after it."""
    project.recipe(
        "bench", {"one": "", "two": "function: refuse", "three": ""}, {"off": "", "cool": ""}
    )
    project.recipe("next", {"four": ""}, {"dark": ""})
    return project


@pytest.fixture
def failing(project: Project) -> Project:
    """A project with a recipe whose first finally step fails."""
    project.recipe("bench", {"one": "", "two": ""}, {"off": "function: refuse", "cool": ""})
    return project


def test_finally_steps_run_after_a_failure(bench: Project) -> None:
    assert bench.outcomes("recipes/bench.yaml") == {
        "recipes/bench.yaml::one": "passed",
        "recipes/bench.yaml::two": "failed",
        "recipes/bench.yaml::three": "skipped",
        "recipes/bench.yaml::off": "passed",
        "recipes/bench.yaml::cool": "passed",
    }
    assert bench.ran == ["one", "two", "off", "cool"]


@pytest.mark.parametrize("option", ["-x", "--maxfail=1", "--exitfirst"])
def test_finally_steps_run_if_the_session_stops_at_a_failure(bench: Project, option: str) -> None:
    result = bench.run(option)

    assert bench.ran == ["one", "two", "off", "cool"]
    assert " 1 failed, 3 passed, 3 not run in " in result.outlines[-1]
    assert result.ret == 1


def test_finally_steps_run_if_stepwise_stops(bench: Project) -> None:
    bench.run("--sw")

    assert bench.ran == ["one", "two", "off", "cool"]


@pytest.mark.parametrize(
    "selection", [("-k", "one"), ("recipes/bench.yaml::one",), ("-k", "one", "-x")]
)
def test_unselected_finally_steps_run_and_are_not_counted(
    bench: Project, selection: tuple[str, ...]
) -> None:
    result = bench.run("--recipe-table=all", *selection)

    assert bench.ran == ["one", "off", "cool"]
    assert result.parseoutcomes()["passed"] == 1
    result.stdout.fnmatch_lines([" one *", " off   passed *", " cool  passed *"], consecutive=True)


def test_unselected_finally_steps_run_together_with_selected_ones(bench: Project) -> None:
    bench.run("-k", "one or off")

    assert bench.ran == ["one", "off", "cool"]


def test_a_finally_step_that_another_needs_runs_once(project: Project) -> None:
    project.recipe("x", {"one": ""}, {"off": "", "cool": "needs: [off]"})

    project.run("-k", "one or cool")

    assert project.ran == ["one", "off", "cool"]


def test_a_finally_step_selected_alone_runs_with_the_others(bench: Project) -> None:
    assert bench.run("recipes/bench.yaml::off").parseoutcomes() == {"passed": 1}
    assert bench.ran == ["off", "cool"]


def test_no_finally_step_runs_of_a_recipe_that_did_not_start(bench: Project) -> None:
    bench.run("-x", "recipes/bench.yaml", "recipes/next.yaml")

    assert "dark" not in bench.ran


def test_the_recipe_after_one_whose_only_selected_step_is_refused_runs(project: Project) -> None:
    project.recipe("x", {"a": "", "b": ""}, {"off": ""})
    project.recipe("y", {"c": ""})
    refused = ("--deselect", "recipes/x.yaml::a", "recipes/x.yaml::b", "recipes/y.yaml")

    assert project.outcomes(*refused) == {
        "recipes/x.yaml::b": "error",
        "recipes/y.yaml::c": "passed",
    }
    assert project.ran == ["c"]


def test_finally_steps_run_once_after_reruns(bench: Project) -> None:
    result = bench.run("--reruns", "2", "recipes/bench.yaml")

    assert bench.ran == ["one", "two", "two", "two", "off", "cool"]
    assert result.parseoutcomes() == {"failed": 1, "passed": 3, "skipped": 1, "rerun": 2}


def test_finally_steps_run_once_after_reruns_of_the_only_selected_step(bench: Project) -> None:
    bench.run("--reruns", "2", "recipes/bench.yaml::two")

    assert bench.ran == ["one", "two", "two", "two", "off", "cool"]


def test_a_failed_finally_step_is_a_failure_and_the_others_still_run(failing: Project) -> None:
    result = failing.run()

    assert result.parseoutcomes() == {"failed": 1, "passed": 3}
    assert failing.ran == ["one", "two", "off", "cool"]


def test_a_failed_unselected_finally_step_is_an_error(failing: Project) -> None:
    result = failing.run("recipes/bench.yaml::one")

    assert failing.shown(result, "ERROR at teardown of off").splitlines()[0] == (
        "recipes/bench.yaml:5:77: step 'off': status 'off': the bench is off"
    )
    assert "ERROR recipes/bench.yaml::off - status 'off': the bench is off" in result.outlines
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    assert result.ret == 1
    assert failing.ran == ["one", "off", "cool"]


def test_reports_contain_failed_unselected_finally_steps(failing: Project) -> None:
    failing.run("--junitxml=junit.xml", "--json-report", "-k", "one")

    junit = (failing.path / "junit.xml").read_text()
    assert 'name="off"' in junit
    assert "the bench is off" in junit
    assert "the bench is off" in (failing.path / ".report.json").read_text()


def test_finally_steps_share_the_fixtures_of_the_last_step(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        from pathlib import Path

        import pytest

        def note(word):
            with Path("ran.txt").open("a") as file:
                file.write(word + "\\n")

        @pytest.fixture(scope="module")
        def supply():
            note("up")
            yield
            note("down")
        """,
    )
    project.recipe("x", {"one": "", "two": ""}, {"off": ""}, head="fixtures: [supply]")
    project.recipe("y", {"three": ""})

    project.run()
    assert project.ran == ["up", "one", "two", "off", "down", "three"]
    project.forget()
    project.run("-k", "one or three")
    assert project.ran == ["up", "one", "off", "down", "three"]


def test_finally_steps_have_their_fixtures_if_the_session_stops(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(scope="session")
        def supply():
            return 12
        """,
    )
    project.write(
        "bench.py",
        """
        from steps import note

        def off(ctx, params, supply):
            return note(ctx, {"name": f"off-{supply}"})
        """,
    )
    project.recipe(
        "x",
        {"one": "function: refuse"},
        {"off": "type: python, module: bench, function: off, fixtures: [supply]"},
    )

    assert project.run("-x").parseoutcomes() == {"failed": 1, "passed": 1}
    assert project.ran == ["one", "off-12"]


def test_finally_steps_run_if_a_fixture_of_a_step_fails(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def supply():
            raise OSError("no supply")
        """,
    )
    project.recipe("x", {"one": "", "two": "fixtures: [supply]", "three": ""}, {"off": ""})

    assert project.reasons() == {
        "two": "OSError: no supply",
        "three": "skipped: blocked by recipes/x.yaml::two",
    }
    assert project.ran == ["one", "off"]


@pytest.mark.parametrize("way", ["pytest.exit('enough')", "raise KeyboardInterrupt"])
def test_finally_steps_run_if_a_test_ends_the_session(project: Project, way: str) -> None:
    project.recipe("x", {"one": ""}, {"off": ""})
    project.write("test_a.py", f"import pytest\ndef test_a():\n    {way}\n")

    result = project.spawn("-k", "one or test_a")

    assert result.ret == 2
    assert project.ran == ["one", "off"]


def test_finally_steps_run_if_a_step_ends_the_session(project: Project) -> None:
    project.write(
        "bench.py",
        """
        import pytest

        def leave(ctx, params):
            pytest.exit("enough")
        """,
    )
    project.recipe(
        "x", {"one": "", "leave": "type: python, module: bench, function: leave"}, {"off": ""}
    )

    result = project.spawn("-rf")

    result.stdout.fnmatch_lines(["INTERRUPTED *::leave - interrupted after *.* s: enough"])
    assert result.ret == 2
    assert project.ran == ["one", "off"]


def test_a_step_is_reported_once_if_its_teardown_ends_the_session(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def supply():
            yield
            pytest.exit("enough")
        """,
    )
    note = "function: note"
    project.recipe("x", {"one": "fixtures: [supply]", "two": note}, {"off": note})

    result = project.spawn()

    assert " 2 passed, 1 not run in " in result.outlines[-1]
    assert result.ret == 2
    assert project.ran == ["one", "off"]


def test_collect_only_runs_no_finally_step(bench: Project) -> None:
    bench.run("--collect-only")

    assert bench.ran == []


def test_an_unselected_finally_step_runs_before_a_later_selected_one(project: Project) -> None:
    project.recipe("x", {"one": ""}, {"off": "", "cool": ""})

    project.run("recipes/x.yaml::one", "recipes/x.yaml::cool").assert_outcomes(passed=2)

    assert project.ran == ["one", "off", "cool"]


def test_a_needed_and_deselected_finally_step_runs(project: Project) -> None:
    project.recipe("x", {"one": ""}, {"off": "", "cool": "needs: [off]"})

    result = project.run("recipes/x.yaml", "--deselect", "recipes/x.yaml::off")

    result.assert_outcomes(passed=2, deselected=1)
    assert project.ran == ["one", "off", "cool"]
