"""Resumed runs: steps that passed in the earlier run are restored and do not run again."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.runs.compare.history import History
from pytest_orchestrator.runs.compare.trends import trends
from pytest_orchestrator.runs.index.past_runs import earlier as earlier_runs
from pytest_orchestrator.runs.index.past_runs import read_all
from pytest_orchestrator.runs.journal.writer import Journal
from pytest_orchestrator.runs.lookup import find_run, load_record, run_folders
from pytest_orchestrator.runs.statistics.units import counted
from tests.runs.recorded import restore_project

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.plugin.conftest import Project

    Cut = Callable[..., str]

STEPS = dict.fromkeys(("one", "two", "three", "four"), "")
FINAL = {"off": ""}


def runs(project: Project) -> Path:
    return project.path / ".orchestrator" / "runs"


def last(project: Project) -> Any:
    return load_record(find_run(runs(project)))


@pytest.fixture
def cut_run(project: Project) -> Cut:
    """Run everything; then truncate the journal to an event of a step."""

    def cut_run(step: str, *args: str, event: str = "step_started") -> str:
        project.run(*args)
        folder = find_run(runs(project))
        path = folder / "journal.jsonl"
        lines = path.read_bytes().splitlines(keepends=True)
        summary = [json.loads(line) for line in lines]
        end = next(
            each["n"] for each in summary if (each["event"], each.get("step")) == (event, step)
        )
        path.write_bytes(b"".join(lines[:end]))
        project.forget()
        return folder.name

    return cut_run


def header(result: pytest.RunResult) -> list[str]:
    """Return the lines below the header line that counts recipes."""
    lines = result.outlines
    start = next(at for at, line in enumerate(lines) if line.startswith("orchestrator "))
    actual = []
    for line in lines[start + 1 :]:
        if not line.startswith("    "):
            break
        actual.append(line.strip())
    return actual


def test_passed_steps_are_restored_and_the_others_run(project: Project, cut_run: Cut) -> None:
    project.recipe("x", STEPS, FINAL)
    project.write("test_first.py", "def test_first(ctx): ctx.increment('tests')")
    project.ini("recipe_keep_runs = 1")
    run = cut_run("three", event="step_finished")
    result = project.run(
        "--recipe-resume", "-rs", "-v", "--json-report", "--json-report-file=r.json"
    )

    assert header(result) == [f"resumed from run {run}: 3 of 4 steps restored"]
    assert project.ran == ["four", "off"]
    assert result.parseoutcomes() == {"passed": 3, "skipped": 3}
    message = f"SKIPPED [3] recipes/x.yaml: restored from run {run}: passed there"
    assert message in result.outlines
    table = "\n".join(result.outlines)
    assert re.search(r"recipes/x.yaml: passed -+\n.*\n one +restored +- +- +- +done.one", table)
    block = json.loads((project.path / "r.json").read_text())["tests"][0]["metadata"]
    assert block["orchestrator"]["step"]["state"] == "restored"
    assert block["orchestrator"]["run"]["resumed_from"] == run
    assert "time" not in block["orchestrator"]
    record = last(project)
    assert record.started.resumed_from == run
    assert [step.state for step in record.steps] == ["restored"] * 3 + ["passed"] * 2
    wanted = {f"done.{name}": True for name in (*STEPS, *FINAL)} | {"tests": 1}
    assert record.changes.values() == wanted
    assert [one.by for one in record.changes.history("done.one")] == ["recipes/x.yaml::one"]
    assert [path.name for path in run_folders(runs(project))] == [record.id, run]


_REFUSAL = """\
recipes/x.yaml:4:12: step 'three' cannot be restored from run {run}: \
it was interrupted and is not marked `idempotent: true`
    let it run again: pytest --recipe-resume --recipe-rerun=recipes/x.yaml::three
    or say in the recipe that it always may: idempotent: true
"""


def test_the_command_that_lets_a_step_run_again_is_quoted_and_has_the_vars(
    project: Project, cut_run: Cut
) -> None:
    project.recipe("x", {"one": ""}, head="inputs: {sn: {}}\nmatrix: {v: [3.3]}")
    given = "--recipe-var=sn=A 19"
    cut_run("one", given)

    assert (
        "let it run again: pytest --recipe-resume '--recipe-var=sn=A 19' "
        "'--recipe-rerun=recipes/x.yaml::one[v:3.3]'"
    ) in project.run("--recipe-resume", given).stdout.str()


def test_the_command_for_pending_finally_steps_has_the_vars_of_the_run(
    project: Project, cut_run: Cut
) -> None:
    project.write("more.yaml", "volts: 5")
    project.recipe(
        "x",
        {"one": ""},
        FINAL,
        head="inputs: {sn: {required: true}, pin: {secret: true}, volts: {type: number}}",
    )
    run = cut_run(
        "one",
        "--recipe-var=sn=A 19",
        "--recipe-var=pin=topsecret",
        "--recipe-vars-file=more.yaml",
        event="step_finished",
    )
    project.recipe("other", {"two": ""})
    command = f"pytest --recipe-resume={run} --recipe-vars-file=more.yaml"
    command += " '--recipe-var=sn=A 19' recipes/x.yaml"

    assert header(project.run("recipes/other.yaml")) == [
        f"run {run} was ended before `finally` of recipes/x.yaml (off) had run: {command}"
    ]
    project.forget()
    resumed = project.run(*shlex.split(command)[1:], "--recipe-var=pin=topsecret")
    assert resumed.parseoutcomes() == {"passed": 1, "skipped": 1}
    assert project.ran == ["off"]


def test_an_interrupted_step_runs_again_only_after_confirmation(
    project: Project, cut_run: Cut
) -> None:
    project.recipe("x", STEPS, FINAL)
    first = cut_run("three")
    result = project.run("--recipe-resume")

    assert _REFUSAL.format(run=first) in result.stdout.str()
    assert result.parseoutcomes() == {"errors": 1, "skipped": 3, "passed": 1}
    assert project.ran == ["off"]
    second = find_run(runs(project)).name
    again = project.run("--recipe-resume")  # not confirmed yet
    assert _REFUSAL.format(run=second) in again.stdout.str()
    project.forget()
    third = find_run(runs(project)).name
    result = project.run("--recipe-resume", "--recipe-rerun=three", "-rs")
    assert header(result) == [
        f"resumed from run {third}: 2 of 4 steps restored",
        "runs again: three (--recipe-rerun asks for it)",
        "`finally` of recipes/x.yaml (off) has run since: whatever it switched off is still off",
    ]
    assert f"restored from run {first}: passed there" in result.stdout.str()
    assert (result.ret, project.ran) == (0, ["three", "four", "off"])


def test_an_interrupted_finally_step_does_not_count_as_run(
    project: Project,
) -> None:
    project.write("ending.py", "def run(ctx, params): raise KeyboardInterrupt\n")
    inline = "type: python, module: ending, function: run, isolation: inline"
    project.recipe("x", {"one": "", "two": "function: boom"}, {"off": inline})
    project.spawn()

    assert [step.state for step in last(project).steps] == ["passed", "failed", "interrupted"]
    actual = header(project.run("--recipe-resume", "--collect-only"))
    assert [line for line in actual if "`finally`" in line] == []
    assert "1 of 2 steps restored" in actual[0]


def test_an_interrupted_idempotent_step_and_a_changed_step_run_again(
    project: Project, cut_run: Cut
) -> None:
    shutil.copy(project.path / "steps.py", project.path / "others.py")
    other = "type: python, module: others, function: note, params: {name: changed}"
    steps = {"one": "", "changed": other, "after": "", "free": "needs: [one]", "cut": ""}
    steps |= {"cut": "needs: [free], idempotent: true"}
    project.recipe("x", steps)
    cut_run("cut")
    with (project.path / "others.py").open("a") as file:
        file.write("# it does something else\n")
    result = project.run("--recipe-resume")

    again = "changed (others.py was changed), after (it comes after changed), cut"
    assert header(result)[1:] == [f"runs again: {again} (it was interrupted)"]
    assert project.ran == ["changed", "after", "cut"]
    assert result.ret == 0


def test_services_and_failed_steps_run_again(project: Project) -> None:
    steps = {
        "serve": "type: shell, cmd: sleep 60, background: true",
        "one": "",
        "two": "function: refuse",
        "three": "",
    }
    project.recipe("x", steps)
    project.run()
    project.forget()
    project.recipe("x", steps | {"two": ""})
    result = project.run(
        "--recipe-resume", "recipes"
    )  # the path is not taken for the name of a run

    assert header(result)[1:] == ["runs again: serve (a service), two (it failed there)"]
    assert project.ran == ["two", "three"]
    assert result.ret == 0


def test_a_changed_var_makes_the_steps_that_use_it_run_again(project: Project) -> None:
    head = "vars: {gain: 1, other: 1}"
    steps = {
        "one": "",
        "two": 'type: shell, cmd: "echo ${{ vars.gain }}", parse: text, needs: []',
        "three": "function: refuse",
    }
    project.recipe("x", steps, head=head)
    project.run("--recipe-var=gain=2")
    result = project.run("--recipe-resume", "--recipe-var=gain=3", "--recipe-var=other=3")

    assert header(result)[1] == (
        "runs again: two (vars.gain has another value), three (it failed there)"
    )


def test_results_and_own_contexts_of_recipes_are_restored(project: Project, cut_run: Cut) -> None:
    project.write(
        "own.py",
        """
        def count(ctx, params):
            ctx.increment("count", params.get("by", 1))
            return {"status": "ok", "serial": "A17"}


        def told(ctx, params):
            assert (ctx.get("count"), params["serial"]) == (3, "A17")
            return {"status": "ok"}
        """,
    )
    project.recipe(
        "x",
        {
            "one": "type: python, module: own, function: count",
            "two": "type: python, module: own, function: count, params: {by: 2}",
            "three": "type: python, module: own, function: told, "
            'params: {serial: "${{ steps.one.result.serial }}"}, '
            "if: \"steps.two.outcome == 'passed'\", idempotent: true",
        },
        head="context: recipe",
    )
    cut_run("three")
    result = project.run("--recipe-resume")

    assert result.parseoutcomes() == {"passed": 1, "skipped": 2}
    assert last(project).changes.values("recipes/x.yaml") == {"count": 3}
    assert last(project).changes.values() == {}


def test_steps_that_wrote_secrets_run_again_or_need_confirmation(project: Project) -> None:
    steps = {
        "login": "type: python, module: own, function: login, idempotent: true",
        "pin": "type: python, module: own, function: pin, needs: []",
        "use": "type: python, module: own, function: use, needs: [login]",
        "fail": "function: refuse",
    }
    project.write(
        "own.py",
        """
        from pathlib import Path

        def login(ctx, params):
            ctx.set("session.token", "qwertz-1234")
            Path("ran.txt").open("a").write("login\\n")
            return {"status": "ok"}

        def pin(ctx, params):
            ctx.set("pin", "asdfgh-1234")
            return {"status": "ok"}

        def use(ctx, params):
            assert ctx.get("session.token") == "qwertz-1234"
            return {"status": "ok"}
        """,
    )
    project.recipe("x", steps, head="secrets: [ctx.session.token, ctx.pin]")
    project.run()
    project.forget()
    result = project.run("--recipe-resume")

    why = (
        "what it wrote to 'pin' is secret and in no journal, and the step is not marked "
        "`idempotent: true`"
    )
    assert header(result)[1:] == [
        "runs again: login (what it wrote to 'session.token' is secret), fail (it failed there)",
        f"needs confirmation to run again: pin ({why})",
    ]
    assert "login" in project.ran


def test_only_selected_steps_are_resumed(project: Project, cut_run: Cut) -> None:
    project.recipe("x", STEPS | {"side": "needs: []"}, FINAL)
    cut_run("three", event="step_finished")

    assert project.outcomes("--recipe-resume", "-k", "four") == {"recipes/x.yaml::four": "passed"}
    assert project.ran == ["four", "off"]  # the steps that it needs are restored
    project.forget()
    result = project.run("--recipe-resume", "--recipe-jobs=2")
    assert result.parseoutcomes() == {"passed": 2, "skipped": 4}
    assert project.ran == ["side", "off"]


@pytest.mark.parametrize(
    "selection",
    [
        ["recipes/b.yaml"],
        ["recipes/b.yaml::b2"],
        ["-k", "b1 or b2"],
        ["-m", "late"],
        ["--deselect", "recipes/a.yaml", "--deselect", "recipes/z.yaml"],
        ["recipes/b.yaml", "-n1"],
        ["-k", "b1 or b2", "-n1"],
    ],
)
def test_only_selected_recipes_and_their_needs_are_restored(
    project: Project, cut_run: Cut, selection: list[str]
) -> None:
    project.recipe("_need", {"n": ""})
    project.recipe("a", {"a1": "", "a2": ""})
    steps = {"b1": "tags: [late]", "b2": "tags: [late]"}
    project.recipe("b", steps, head="needs: [recipes/_need.yaml]")
    project.recipe("z", {"z1": ""})
    project.ini("markers = late")
    cut_run("b1", event="step_finished")

    assert project.run("--recipe-resume", *selection).ret == 0
    assert project.ran == ["b2"]
    assert set(last(project).recipes) == {"recipes/_need.yaml", "recipes/b.yaml"}
    assert {*last(project).changes.values()} == {"done.n", "done.b1", "done.b2"}


def test_recipes_that_a_resumed_run_left_out_are_resumed_later(
    project: Project, cut_run: Cut
) -> None:
    project.write(
        "own.py",
        """
        from pathlib import Path

        def note(ctx, name):
            with Path("ran.txt").open("a") as file:
                file.write(name + "\\n")
            ctx.append("order", name)

        def pin(ctx, params):
            note(ctx, "pin")
            ctx.set("pin", "asdfgh-1234")
            return {"status": "ok"}

        def step(ctx, name):
            note(ctx, name)
            return {"status": "ok"}
        """,
    )
    keys = "type: python, module: own, function: step, params: {{name: {0}}}"
    pin = {"pin": "type: python, module: own, function: pin", "a2": keys.format("a2")}
    project.recipe("a", pin, head="secrets: [ctx.pin]")
    project.recipe("b", {name: keys.format(name) for name in ("b1", "b2", "b3")})
    project.recipe("c", {name: keys.format(name) for name in ("c1", "c2")})
    run = cut_run("b2")
    for _ in range(2):
        assert project.run("--recipe-resume", "recipes/c.yaml").ret == 0
    assert last(project).changes.values() == {"order": ["c1", "c2"]}
    project.forget()
    result = project.run("--recipe-resume", "recipes/a.yaml", "recipes/b.yaml")

    asks = "needs confirmation to run again"
    why = "it was interrupted and is not marked `idempotent: true`"
    secret = "what it wrote to 'pin' is secret and in no journal, and the step is not marked"
    assert header(result)[1:] == [
        "runs again: recipes/a.yaml::a2 (it comes after pin)",
        f"{asks}: recipes/a.yaml::pin ({secret} `idempotent: true`), recipes/b.yaml::b2 ({why})",
    ]
    assert project.ran == []
    again = ("--recipe-rerun=b2", "--recipe-rerun=pin")
    assert project.run("--recipe-resume", *again).ret == 0
    assert project.ran == ["pin", "a2", "b2", "b3"]
    assert last(project).changes.values()["order"] == ["b1", "c1", "c2", *project.ran]
    block = last(project).recipes["recipes/b.yaml"].steps["b1"].block
    assert block.run.resumed_from == run


def test_a_recipe_of_which_all_steps_were_restored_is_no_run(project: Project) -> None:
    steps = {
        "serve": "type: shell, cmd: sleep 60, background: true",
        "a": "type: shell, cmd: echo 3, parse: text, measurements: {v: {value: stdout | float}}",
    }
    project.recipe("x", steps, FINAL, head="test_meta: {dut: A17}")
    project.run()
    first = find_run(runs(project)).name
    project.run("--recipe-resume")
    project.run("--recipe-resume", "--recipe-rerun=a")

    states = [
        [step.state for step in load_record(folder).steps]
        for folder in reversed(run_folders(runs(project)))
    ]
    again = find_run(runs(project)).name
    assert states == [["passed"] * 3, ["passed", "restored", "passed"], ["passed"] * 3]
    known = [*read_all(runs(project))]
    assert [len(run.recipes) for run in known] == [1, 0, 1]
    counts = counted(known)
    assert ([one.run.id for one in counts.runs], counts.left_out) == ([first, again], {})
    assert [len(one.points) for one in trends(known, "v")] == [2]
    folder = run_folders(runs(project))[0]
    figures = History(runs(project), folder.name).figures("recipes/x.yaml", "serve", 9)
    assert len(figures["seconds"]) == 1
    assert [run.id for run, _ in earlier_runs(last(project), folder)["recipes/x.yaml"]] == [first]


def test_xdist_workers_resume_like_one_session(project: Project, cut_run: Cut) -> None:
    project.recipe("x", STEPS, FINAL)
    project.recipe("y", {"alone": ""})
    run = cut_run("three", event="step_finished")
    result = project.run("--recipe-resume", "-n2")

    message = f"orchestrator: resumed from run {run}: 4 of 5 steps restored"
    assert message in result.outlines or message.replace("4 of 5", "3 of 5") in result.outlines
    assert "restored" in result.stdout.str()
    assert sorted({"alone": 0, **dict.fromkeys(project.ran)}) == ["alone", "four", "off"]
    assert project.ran.count("off") == 1
    values = last(project).changes.values()
    assert values == {f"done.{name}": True for name in (*STEPS, *FINAL, "alone")}
    assert {step.state for step in last(project).steps} == {"restored", "passed"}


@pytest.mark.counted
def test_linked_recipes_are_resumed_together_on_any_worker(
    project: Project, cut_run: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write(
        "order.py",
        """
        import os
        from pathlib import Path

        def note(ctx, params):
            ctx.append("order", params["name"])
            with Path("ran.txt").open("a") as file:
                file.write(params["name"] + "\\n")
            if params["name"] == os.environ.get("DIES"):
                os._exit(1)
            return {"status": "ok"}
        """,
    )
    step = "type: python, module: order, function: note, params"
    gain = {name: f'{step}: {{name: "{name}${{{{ matrix.gain }}}}"}}' for name in ("k", "l")}
    project.recipe("a", {"a": f"{step}: {{name: a}}"})
    project.recipe("_part", {"in": f"{step}: {{name: in}}"})
    project.recipe("b", gain, head="needs: [recipes/a.yaml]\nmatrix: {gain: [1, 2]}")
    steps = {
        "serve": "type: shell, cmd: sleep 60, background: true",
        "dies": f"{step}: {{name: dies}}, isolation: inline",
        "end": f"{step}: {{name: end}}, needs: [part]",
    }
    path = project.recipe("c", steps, head="needs: [recipes/b.yaml]\ncontext: recipe")
    text = (project.path / path).read_text()
    used = "  - {name: part, use: recipes/_part.yaml}\n  - {name: dies"
    project.write(path, text.replace("  - {name: dies", used))
    run = cut_run("l")
    with monkeypatch.context() as here:
        here.setenv("DIES", "dies")
        result = project.run("--recipe-resume", "--recipe-rerun=recipes/b.yaml::l[gain:1]", "-n1")

    message = f"orchestrator: resumed from run {run}: 2 of 9 steps restored"
    assert message in result.outlines
    assert project.ran == ["l1", "k2", "l2", "in", "dies", "end"]
    wanted = {"": ["a"], "b.yaml[gain:1]": ["a", "k1", "l1"], "b.yaml[gain:2]": ["a", "k2", "l2"]}
    assert orders(project) == wanted | {"c.yaml": ["a", "in", "dies", "end"]}
    project.forget()
    # The worker died while the step ran, so the step needs confirmation.
    assert project.run("--recipe-resume", "--recipe-jobs=4").ret == 1
    again = "--recipe-rerun=recipes/c.yaml::dies"
    result = project.run("--recipe-resume", again, "--recipe-jobs=4")
    assert (result.ret, project.ran) == (0, ["dies"])
    assert orders(project) == wanted | {"c.yaml": ["a", "in", "end", "dies"]}


def orders(project: Project) -> dict[str, Any]:
    """Return the order of the writes in each Context."""
    changes = last(project).changes
    return {key.removeprefix("recipes/"): changes.values(key)["order"] for key in changes.scopes}


def test_a_run_killed_at_its_beginning_does_not_hide_the_run_before(
    project: Project, cut_run: Cut
) -> None:
    project.recipe("x", STEPS)
    first = cut_run("two", event="step_finished")
    project.run("--recipe-resume")
    path = find_run(runs(project)) / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
    project.forget()
    result = project.run("--recipe-resume")

    assert header(result) == [f"resumed from run {first}: 2 of 4 steps restored"]
    assert project.ran == ["three", "four"]


def test_a_run_that_cannot_be_resumed_is_a_usage_error(project: Project, cut_run: Cut) -> None:
    project.recipe("x", STEPS)

    def usage_error(*args: str) -> str:
        result = project.run(*args)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        return result.stderr.str().strip().removeprefix("ERROR: ")

    assert usage_error("--recipe-resume") == (
        f"--recipe-resume: there is no run in {runs(project)}; pytest makes one"
    )
    assert (
        usage_error("--recipe-rerun=one") == "--recipe-rerun says nothing without --recipe-resume"
    )
    run = cut_run("three")
    assert usage_error("--recipe-resume", "--recipe-rerun=thre") == (
        "--recipe-rerun: no selected recipe has a step 'thre' (did you mean 'three'?)"
    )
    assert usage_error(f"--recipe-resume={run[:-1]}x") == (
        f"--recipe-resume: no run '{run[:-1]}x' (did you mean '{run}'?)"
    )
    path = runs(project) / run / "journal.jsonl"
    path.rename(path.with_suffix(".old"))
    journal = Journal(path)
    assert usage_error("--recipe-resume") == (
        f"--recipe-resume: run {run} is still running; end it, or wait until it has ended"
    )
    journal.close()
    assert usage_error("--recipe-resume") == (
        f"--recipe-resume: run {run} was ended before anything was written to its journal"
    )
    lines = path.with_suffix(".old").read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b"one", b"two")
    path.write_bytes(b"".join(lines))
    assert usage_error("--recipe-resume") == (
        f"--recipe-resume: run {run} has a journal that was modified: line 4: it, or the "
        "hash of the line before it, was changed"
    )
    assert len(run_folders(runs(project))) == 1


@pytest.mark.counted
def test_a_run_of_an_earlier_version_is_resumed(project: Project) -> None:
    run = restore_project(project.path).name
    project.write("good", "")
    result = project.run("--recipe-resume")

    assert header(result)[0] == f"resumed from run {run}: 1 of 3 steps restored"
    steps = last(project).recipes["recipes/bench.yaml"].steps
    assert {name: step.state for name, step in steps.items()} == {
        "ramp": "restored",
        "judge": "passed",
        "report": "passed",
        "off": "passed",
    }
    assert last(project).changes.values() == {"supply.volts": 3.3}
    assert (find_run(runs(project)) / "logs/bench/report.1.stdout").read_text() == "3.3\n"


def test_pending_finally_steps_of_a_killed_run_are_reported_and_run(project: Project) -> None:
    project.write(
        "kills.py",
        """
        import os
        import signal
        import time

        def kill(ctx, params):
            os.kill(int(os.environ["PYTEST_XDIST_TESTRUNUID"]), signal.SIGKILL)
            time.sleep(60)
        """,
    )
    project.write(
        "conftest.py", "import os\nos.environ['PYTEST_XDIST_TESTRUNUID'] = str(os.getpid())"
    )
    project.recipe("x", {"one": "", "kill": "type: python, module: kills, function: kill"}, FINAL)
    project.spawn()
    run = find_run(runs(project)).name
    project.recipe("other", {"two": ""})
    pending = f"run {run} was ended before `finally` of recipes/x.yaml (off) had run: "
    pending += f"pytest --recipe-resume={run} recipes/x.yaml"

    assert header(project.run("recipes/other.yaml")) == [pending]
    project.forget()
    result = project.run(f"--recipe-resume={run}", "recipes/x.yaml")
    assert header(result)[0] == f"resumed from run {run}: 1 of 2 steps restored"
    assert project.ran == ["off"]
    assert header(project.run("recipes/other.yaml")) == []


@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_pending_finally_steps_of_an_unselected_recipe_stay_pending(
    project: Project, cut_run: Cut, quiet: list[str]
) -> None:
    project.recipe("x", {"one": ""}, FINAL)
    project.recipe("y z", {"two": "", "three": ""}, {"out": ""}, head="matrix: {n: [1, 2]}")
    project.recipe("w", {"four": "", "five": ""}, FINAL)
    first = cut_run("one", event="step_finished")
    project.run("--recipe-resume", "recipes/w.yaml")  # it resumes none of the others
    pending = f"run {first} was ended before `finally` of recipes/x.yaml (off) had run: "
    pending += f"pytest --recipe-resume={first} recipes/x.yaml"
    for _ in range(2):
        result = project.run("--recipe-resume", "recipes/w.yaml", *quiet)
        lines = [line.strip() for line in result.outlines]
        assert [line for line in lines if line.endswith(pending)]

    second = cut_run("three", "recipes/y z.yaml", event="step_finished")
    command = f"pytest --recipe-resume={second}"
    both = "recipes/y z.yaml[n:1] (out)"
    assert header(project.run("recipes/w.yaml")) == [
        f"run {second} was ended before `finally` of {both} had run: {command} 'recipes/y z.yaml'",
        pending,
    ]
    project.forget()
    assert project.run(f"--recipe-resume={first}", "recipes/x.yaml", "-n1").ret == 0
    assert project.run(f"--recipe-resume={second}", "recipes/y z.yaml").ret == 0
    assert project.ran == ["off", "out", "two", "three", "out"]
    assert header(project.run("recipes/w.yaml")) == []


def test_a_finally_step_interrupted_by_ctrl_c_is_pending(project: Project) -> None:
    project.write(
        "kills.py",
        """
        import os
        import signal
        import time

        def stop(ctx, params):
            if not os.path.exists("stopped"):
                open("stopped", "w").close()
                os.kill(int(os.environ["PYTEST_XDIST_TESTRUNUID"]), signal.SIGINT)
                time.sleep(60)
            return {"status": "ok"}
        """,
    )
    project.write(
        "conftest.py", "import os\nos.environ['PYTEST_XDIST_TESTRUNUID'] = str(os.getpid())"
    )
    off = {"off": "type: python, module: kills, function: stop", "cool": ""}
    project.recipe("x", {"one": ""}, off)
    assert project.spawn().ret == pytest.ExitCode.INTERRUPTED
    run = find_run(runs(project)).name
    project.recipe("other", {"two": ""})
    pending = f"run {run} was ended before `finally` of recipes/x.yaml (off) had run: "
    pending += f"pytest --recipe-resume={run} recipes/x.yaml"

    assert header(project.run("recipes/other.yaml")) == [pending]
    result = project.run(f"--recipe-resume={run}", "recipes/x.yaml")
    assert header(result)[0] == f"resumed from run {run}: 1 of 1 steps restored"
    assert header(project.run("recipes/other.yaml")) == []


def test_a_resumed_recipe_whose_if_is_false_now_is_skipped(project: Project, cut_run: Cut) -> None:
    head = "vars: {full: true}\nif: vars.full"
    project.recipe("x", {"one": "", "two": ""}, FINAL, head=head)
    reason = "(if of the recipe: vars.full)"
    project.run()
    run = find_run(runs(project)).name
    project.forget()
    result = project.run("--recipe-resume", "--recipe-var=full=false")
    assert header(result) == [
        f"resumed from run {run}: 0 of 2 steps restored",
        f"skipped now: one {reason}, two {reason}",
    ]
    assert (result.parseoutcomes(), project.ran) == ({"skipped": 3}, [])
    assert last(project).changes.values() == {}

    cut_run("two")  # `finally` is still due
    result = project.run("--recipe-resume", "--recipe-var=full=false")
    assert header(result)[1] == f"skipped now: one {reason}, two {reason}"
    assert (result.parseoutcomes(), project.ran) == ({"skipped": 2, "passed": 1}, ["off"])
