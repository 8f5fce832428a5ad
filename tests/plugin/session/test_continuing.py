"""Steps that run after a failed or skipped step, sequentially and in parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

jobs = pytest.mark.parametrize("jobs", ["--recipe-jobs=1", "--recipe-jobs=3"])


def _states(project: Project, *args: str) -> dict[str, str]:
    return {name: block["step"]["state"] for name, block in project.blocks(*args).items()}


@jobs
def test_dependents_of_a_failed_step_run_if_it_has_continue_on_error(
    project: Project, jobs: str
) -> None:
    project.recipe(
        "x",
        {
            "odd": "function: refuse, continue_on_error: true",
            "next": "",
            "bad": "function: boom, needs: []",
            "never": "",
            "expected": "function: refuse, needs: [], xfail: BUG-7",
            "blocked": "",
            "both": "function: refuse, needs: [], xfail: BUG-7, continue_on_error: true",
            "free": "",
            "cold": "function: pause, needs: []",
            "warm": "",
        },
    )

    assert _states(project, jobs) == {
        "odd": "failed",
        "next": "passed",
        "bad": "failed",
        "never": "blocked",
        "expected": "xfailed",
        "blocked": "blocked",
        "both": "xfailed",
        "free": "passed",
        "cold": "skipped",
        "warm": "passed",
    }
    assert project.run(jobs).ret == 1


@jobs
def test_after_orders_a_step_behind_others_whatever_their_outcome(
    project: Project, jobs: str
) -> None:
    project.recipe(
        "x",
        {
            "report": "after: [blocked, cold]",
            "bad": "function: refuse, needs: []",
            "blocked": "needs: [bad]",
            "cold": "function: pause, needs: []",
        },
    )

    assert _states(project, jobs) == {
        "bad": "failed",
        "blocked": "blocked",
        "cold": "skipped",
        "report": "passed",
    }
    assert project.ran[-1] == "report"


@jobs
def test_a_step_with_after_runs_without_the_unselected_others(project: Project, jobs: str) -> None:
    project.recipe("x", {"one": "", "two": "", "report": "after: [two]"})

    assert project.run(jobs, "recipes/x.yaml::report").parseoutcomes() == {"passed": 1}
    assert project.ran == ["report"]


@jobs
@pytest.mark.parametrize("function", ["note", "refuse"])
def test_a_step_with_after_waits_for_a_step_that_another_selected_one_needs(
    project: Project, jobs: str, function: str
) -> None:
    project.recipe(
        "x",
        {
            "off": f"function: {function}",
            "report": "after: [off]",
            "later": "needs: [off]",
        },
    )

    result = project.run(jobs, "recipes/x.yaml::report", "recipes/x.yaml::later")

    assert project.ran[0] == "off"
    assert "report" in project.ran  # beside `later`, so before it or after
    kept = {"passed": 1, "errors": 1} if function == "refuse" else {"passed": 2}
    assert result.parseoutcomes() == kept


@jobs
def test_a_step_skipped_by_its_exit_code_does_not_block_others(project: Project, jobs: str) -> None:
    project.recipe(
        "x",
        {
            "cold": 'type: shell, parse: text, cmd: "echo no bench >&2; exit 77", '
            "skip_exit_code: [77, 80]",
            "next": "",
        },
    )

    assert project.reasons(jobs) == {"cold": "skipped: exit code 77: no bench"}
    assert project.ran == ["next"]


@jobs
def test_only_finally_runs_after_a_failure_that_stops_the_recipe(
    project: Project, jobs: str
) -> None:
    project.write(
        "expected.py",
        """
        import pytest


        def step(ctx, params):
            pytest.xfail("BUG-8")
        """,
    )
    project.recipe(
        "x",
        {
            "odd": "function: refuse, continue_on_error: true",
            "expected": "function: refuse, needs: [], xfail: BUG-7",
            "said": "type: python, module: expected, function: step, after: [expected]",
            "bad": "function: refuse, after: [odd, said]",
            "free": "after: [bad]",
            "next": "",
        },
        {"off": ""},
        head="stop_on_failure: true",
    )
    project.recipe("y", {"other": ""})

    assert project.reasons(jobs) == {
        "odd": "status 'off': the bench is off",
        "bad": "status 'off': the bench is off",
        "free": "skipped: blocked by recipes/x.yaml::bad",
        "next": "skipped: blocked by recipes/x.yaml::bad",
    }
    assert project.ran[-3:] == ["bad", "off", "other"]


@jobs
def test_a_needed_step_that_stops_the_recipe_is_one_error(project: Project, jobs: str) -> None:
    project.recipe(
        "x",
        {"bad": "function: refuse", "one": "", "two": "after: [bad]"},
        head="stop_on_failure: true",
    )

    result = project.run(jobs, "recipes/x.yaml::one", "recipes/x.yaml::two")

    assert result.parseoutcomes() == {"errors": 1, "skipped": 1}


def test_an_inline_step_that_expects_its_failure_stops_nothing(project: Project) -> None:
    project.write("expected.py", "import pytest\ndef step(ctx): pytest.xfail('BUG-8')\n")
    keys = "type: python, module: expected, function: step, isolation: inline"
    project.recipe("x", {"said": keys, "free": "needs: []"}, head="stop_on_failure: true")

    assert project.run().parseoutcomes() == {"xfailed": 1, "passed": 1}


def test_the_report_contains_the_ordering_keys_of_a_step(project: Project) -> None:
    project.recipe("x", {"one": "continue_on_error: true, idempotent: true", "two": "after: [one]"})

    blocks = project.blocks()

    actual = ("needs", "after", "continue_on_error", "idempotent")
    assert [{key: blocks[name]["step"].get(key) for key in actual} for name in ("one", "two")] == [
        {"needs": [], "after": None, "continue_on_error": True, "idempotent": True},
        {"needs": [], "after": ["one"], "continue_on_error": None, "idempotent": None},
    ]


def test_a_failed_needed_step_with_continue_on_error_is_no_error_of_dependents(
    project: Project,
) -> None:
    project.recipe("x", {"odd": "function: refuse, continue_on_error: true", "next": ""})

    result = project.run("recipes/x.yaml::next")

    assert result.parseoutcomes() == {"passed": 1}
    result.stdout.fnmatch_lines(["recipes/x.yaml  failed *", "  odd *failed*"])


def test_a_default_timeout_is_shown_at_its_line(project: Project) -> None:
    project.recipe(
        "x",
        {"slow": "type: shell, cmd: sleep 60"},
        {"off": "type: shell, cmd: test $A = 1, timeout: 1m"},
        head="defaults: {timeout: 300ms, parse: text, args: {A: 1}}",
    )

    result = project.run()

    said = "timeout: still running after 0.3 s; its whole process tree was ended"
    assert project.shown(result, "slow").splitlines()[:5] == [
        f"recipes/x.yaml:1:21: step 'slow': {said}",
        "",
        "   1 | defaults: {timeout: 300ms, parse: text, args: {A: 1}}",
        "     |                     ^^^^^",
        f"E   {said}",
    ]
    assert result.parseoutcomes() == {"failed": 1, "passed": 1}


CUT_OFF = """
steps:
  - {name: slow, type: shell, parse: text, cmd: sleep 60, xfail: BUG-7}
  - {name: bad, type: shell, parse: text, cmd: exit 1, needs: []}
"""


@jobs
def test_xfail_does_not_excuse_a_step_that_its_recipe_has_cut_off(
    project: Project, jobs: str
) -> None:
    sampling = "sampling: {t: {cmd: echo 99, every: 50ms, high: 5, abort: true, from: slow}}"
    project.write("aborted.yaml", sampling + CUT_OFF)
    project.write("timed.yaml", "timeout: 500ms" + CUT_OFF)
    lone = CUT_OFF.replace("exit 1, needs: []", "exit 1, needs: [], xfail: BUG-8")
    project.write("own.yaml", lone.replace("sleep 60, ", "sleep 60, timeout: 100ms, "))

    result = project.run("timed.yaml", jobs)
    kind = "timeout of the recipe: its 0.5 s are over; still running after *"
    result.stdout.fnmatch_lines([f"FAILED timed.yaml::slow - {kind}"])
    counts = result.parseoutcomes()
    assert (counts["failed"], "xfailed" in counts, int(result.ret)) == (
        (1, False, 1) if jobs.endswith("1") else (2, False, 1)
    )
    result = project.run("aborted.yaml", jobs)
    result.stdout.fnmatch_lines(["INTERRUPTED aborted.yaml::slow - interrupted after *: *::t: *"])
    assert "xfailed" not in result.parseoutcomes()
    assert project.run("own.yaml", jobs).parseoutcomes() == {"xfailed": 2}
