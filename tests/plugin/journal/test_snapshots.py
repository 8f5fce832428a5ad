"""`--recipe-needs=snapshot`: a step runs on a restored Context instead of after its needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.runs.lookup import find_run, load_record
from tests.plugin.journal.test_resume import header, runs

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

ASK = ("--recipe-needs=snapshot", "-rs")
COUNT = "type: python, module: counts, function: count"


@pytest.fixture
def bench(project: Project) -> Project:
    """Five steps; the second has its own scriptlet, and the fourth fails once."""
    project.write(
        "counts.py",
        """
        from pathlib import Path

        def count(ctx, params):
            ctx.append("order", params["name"])
            with Path("ran.txt").open("a") as file:
                file.write(params["name"] + "\\n")
            if Path("broken").exists() and params["name"] == "four":
                return {"status": "off", "reason": "the bench is off"}
            return {"status": "ok", "name": params["name"]}
        """,
    )
    (project.path / "other.py").write_bytes((project.path / "counts.py").read_bytes())
    steps = {name: f"{COUNT}, params: {{name: {name}}}" for name in ("one", "two", "three")}
    steps["two"] = steps["two"].replace("counts", "other")
    steps["four"] = f"{COUNT}, params: {{name: four}}, if: \"steps.three.result.name == 'three'\""
    steps["five"] = f"{COUNT}, params: {{name: five}}"
    project.recipe("x", steps, {"off": f"{COUNT}, params: {{name: off}}"})
    (project.path / "broken").touch()
    project.run()
    (project.path / "broken").unlink()
    project.forget()
    return project


def test_last_failed_runs_failed_and_blocked_steps_and_nothing_else(bench: Project) -> None:
    run = find_run(runs(bench)).name
    result = bench.run("--lf", *ASK)

    assert header(result) == [f"restored from run {run}: one, two, three"]
    assert bench.ran == ["four", "five", "off"]
    assert result.parseoutcomes() == {"passed": 2}
    assert (find_run(runs(bench)) / "sources" / "recipes" / "x.yaml").is_file()
    record = load_record(find_run(runs(bench)))
    order = ["one", "two", "three", "four", "five", "off"]
    assert record.changes.values() == {"order": order}
    assert [one.who for one in record.changes.history("order")] == order
    states = ["restored", "restored", "restored", "passed", "passed", "passed"]
    assert [step.state for step in record.steps] == states
    bench.forget()  # a run with restored steps can be resumed too
    assert bench.run("recipes/x.yaml::five", *ASK).ret == 0
    assert load_record(find_run(runs(bench))).changes.values() == {
        "order": [*order[:4], "five", "off"]
    }
    assert bench.ran == ["five", "off"]


def test_a_failed_step_that_was_corrected_in_its_recipe_runs_alone(bench: Project) -> None:
    run = find_run(runs(bench)).name
    recipe = bench.path / "recipes" / "x.yaml"
    recipe.write_text(recipe.read_text().replace("name: four}", "name: FOUR}"))

    result = bench.run("--lf", *ASK)

    assert header(result) == [f"restored from run {run}: one, two, three"]
    assert bench.ran == ["FOUR", "five", "off"]
    assert result.ret == 0
    values = load_record(find_run(runs(bench))).changes.values()
    assert values == {"order": ["one", "two", "three", "FOUR", "five", "off"]}


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("name: side}", "name: more}", ["one"]),  # another step of that name
        ("name: side,", "name: other,", ["one"]),  # no longer in the recipe
        ("name: side}", "name: side}, tags: [x]", ["side", "one"]),
    ],
)
def test_changes_of_other_steps_are_restored_if_they_would_do_the_same_now(
    bench: Project, old: str, new: str, kept: list[str]
) -> None:
    steps = {
        name: f"{COUNT}, params: {{name: {name}}}{needs}"
        for name, needs in {"side": "", "one": ", needs: []", "two": ""}.items()
    }
    path = bench.path / bench.recipe("y", steps)
    bench.run("recipes/y.yaml")
    path.write_text(path.read_text().replace(old, new))

    assert bench.run("recipes/y.yaml::two", *ASK).ret == 0
    assert load_record(find_run(runs(bench))).changes.values() == {"order": [*kept, "two"]}


def test_a_step_that_comes_after_a_changed_one_is_not_restored(bench: Project) -> None:
    steps = {
        name: f"{COUNT}, params: {{name: {name}}}, needs: {needs}"
        for name, needs in {"side": "[]", "one": "[], after: [side]", "two": "[one]"}.items()
    }
    path = bench.path / bench.recipe("y", steps)
    bench.run("recipes/y.yaml")
    path.write_text(path.read_text().replace("name: side}", "name: more}"))

    output = bench.run("recipes/y.yaml::two", *ASK).stdout.str()

    assert "'one', which it needs, would not do the same now: it comes after side" in output


_REFUSED = """\
recipes/x.yaml:5:12: the Context before step 'four' cannot be restored: run {run}: {why}
    run what it needs: pytest --recipe-needs=run recipes/x.yaml::four
"""


@pytest.mark.counted
def test_a_context_that_no_run_can_restore_exactly_is_refused(bench: Project) -> None:
    run = find_run(runs(bench)).name
    recipe, scriptlet = bench.path / "recipes" / "x.yaml", bench.path / "other.py"
    with scriptlet.open("a") as file:
        file.write("# it does something else\n")
    result = bench.run("--lf", *ASK)
    why = "'two', which it needs, would not do the same now: other.py was changed"
    assert _REFUSED.format(run=run, why=why) in result.stdout.str()
    assert result.parseoutcomes() == {"errors": 1, "skipped": 1}
    assert bench.ran == []

    text = recipe.read_text()
    recipe.write_text(text.replace("name: one}", "name: one, gain: 2}"))
    output = bench.run("recipes/x.yaml::four", *ASK).stdout.str()
    why = "'one', which it needs, would not do the same now: the recipe says something else of it"
    assert _REFUSED.format(run=run, why=why) in output
    bench.recipe("y", {"one": "", "two": "", "three": ""})
    output = bench.run("recipes/y.yaml::three", *ASK).stdout.str()
    assert f"no run in {runs(bench)} had it after 'one' and 'two'" in output


@pytest.mark.counted
def test_values_that_this_session_wrote_are_not_replaced(project: Project) -> None:
    project.recipe("y", dict.fromkeys(("one", "two", "three", "four"), ""))
    project.write("test_first.py", "def test_first(ctx): ctx.set('done.one', 'mine')")
    project.run("recipes/y.yaml")
    project.forget()
    args = ("test_first.py", "recipes/y.yaml::two", "recipes/y.yaml::four", "--recipe-jobs=2")
    result = project.run(*args, *ASK)

    assert "one step at a time: the Context is restored before step 'two'" in result.stdout.str()
    assert (result.ret, project.ran) == (0, ["two", "four"])
    values = load_record(find_run(runs(project))).changes.values()
    assert values == {"done.one": "mine", "done.two": True, "done.three": True, "done.four": True}


def test_services_run_and_own_contexts_are_restored(project: Project) -> None:
    project.recipe("base", {"zero": ""})
    steps = {"serve": "type: shell, cmd: sleep 60, background: true, outputs: {served: 1}"}
    steps |= {"one": "outputs: {done.zero: 2}", "two": ""}
    project.recipe("x", steps, head="needs: [recipes/base.yaml]\ncontext: recipe")
    project.run("recipes/x.yaml")
    run = find_run(runs(project)).name
    project.forget()
    result = project.run("recipes/x.yaml::two", *ASK)

    assert header(result) == [f"restored from run {run}: zero, one"]
    assert (result.ret, project.ran) == (0, ["two"])
    record = load_record(find_run(runs(project)))
    states = {step.name: step.state for step in record.steps}
    assert states == {"zero": "restored", "serve": "passed", "one": "restored", "two": "passed"}
    done = {"done.zero": 2, "done.one": True, "done.two": True, "served": 1}
    assert record.changes.values("recipes/x.yaml") == done
    assert record.changes.values() == {"done.zero": True}
    assert [one.who for one in record.changes.history("served", "recipes/x.yaml")] == ["serve"]
    result = project.run("recipes/x.yaml::two", "-n2", *ASK)
    assert "workers of pytest-xdist share it with others: add -n0" in result.stderr.str()
