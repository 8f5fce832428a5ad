"""Selection of steps: the steps that they need run in their setup and are not counted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

pytestmark = pytest.mark.usefixtures("noted_by_shell")

_THREE = "recipes/chain.yaml::three"


@pytest.fixture
def chain(project: Project) -> Project:
    """A project with a recipe of three dependent steps and two independent ones."""
    project.recipe(
        "chain",
        {
            "one": "",
            "two": "",
            "three": "tags: [last]",
            "side": "needs: []",
            "fork": "needs: [one, side]",
        },
    )
    return project


def _fails(project: Project, name: str = "chain") -> None:
    project.recipe(name, {"one": "function: refuse", "two": "", "three": ""})


@pytest.mark.parametrize(
    "selection", [(_THREE,), ("-k", "three"), ("-m", "last"), ("--strict-markers", "-m", "last")]
)
def test_a_step_selected_alone_passes_after_its_needs(
    chain: Project, selection: tuple[str, ...]
) -> None:
    assert chain.outcomes(*selection) == {_THREE: "passed"}
    assert chain.ran == ["one", "two", "three"]


def test_only_selected_steps_are_counted(chain: Project) -> None:
    result = chain.run("-v", _THREE)

    assert result.parseoutcomes() == {"passed": 1}
    assert [line.split("  ")[0] for line in result.outlines if "PASSED" in line] == [
        f"{_THREE} PASSED"
    ]
    assert chain.items(_THREE) == [_THREE]


def test_a_needed_step_runs_once_for_all_its_dependents(chain: Project) -> None:
    chain.run("-k", "three or fork")

    assert chain.ran == ["one", "two", "three", "side", "fork"]


def test_a_selected_step_is_not_run_for_another(chain: Project) -> None:
    assert chain.run("-k", "one or three").parseoutcomes() == {"passed": 2, "deselected": 3}
    assert chain.ran == ["one", "two", "three"]


def test_a_needed_step_is_in_the_table_and_its_output_in_the_setup(project: Project) -> None:
    project.recipe(
        "x",
        {"one": "type: shell, cmd: echo from one, parse: text", "two": "", "too": "needs: [one]"},
    )

    result = project.run("-rP", "--recipe-table=all", "-k", "two or too")

    assert result.outlines.count("from one") == 1
    result.stdout.fnmatch_lines(["-* Captured stdout setup -*", "from one"], consecutive=True)
    result.stdout.fnmatch_lines([" one   passed *", " two   passed *"], consecutive=True)


def test_a_needed_step_that_fails_is_an_error_at_setup(project: Project) -> None:
    _fails(project)

    result = project.run(_THREE)

    shown = project.shown(result, "ERROR at setup of three").splitlines()
    assert shown[:3] + shown[5:6] == [
        "needed step recipes/chain.yaml::one did not pass",
        "recipes/chain.yaml:2:77: step 'one': status 'off': the bench is off",
        "",
        "E   status 'off': the bench is off",
    ]
    assert f"ERROR {_THREE} - Failed: needed step recipes/chain.yaml::one did not pass" in (
        result.outlines
    )
    assert result.parseoutcomes() == {"errors": 1}
    assert result.ret == 1
    assert project.ran == ["one"]


def test_all_dependents_of_a_failed_step_are_errors_or_blocked(project: Project) -> None:
    _fails(project)

    assert project.reasons("-k", "two or three") == {
        "two": "Failed: needed step recipes/chain.yaml::one did not pass",
        "three": "skipped: blocked by recipes/chain.yaml::two",
    }
    assert project.ran == ["one"]


def test_an_indirect_dependent_of_a_failed_step_is_blocked(project: Project) -> None:
    project.recipe("x", {"one": "", "two": "function: refuse", "three": "", "four": ""})

    assert project.reasons("-k", "two or four") == {
        "two": "status 'off': the bench is off",
        "four": "skipped: blocked by recipes/x.yaml::two",
    }


def test_a_needed_step_that_skips_itself_meets_the_need(project: Project) -> None:
    project.recipe("x", {"one": "function: pause", "two": ""})

    assert project.outcomes("recipes/x.yaml::two") == {"recipes/x.yaml::two": "passed"}


def test_a_needed_step_with_xfail_that_fails_is_an_error_of_its_dependents(
    project: Project,
) -> None:
    project.recipe("x", {"one": "function: refuse, xfail: BUG-17", "two": ""})

    assert project.outcomes("recipes/x.yaml::two") == {"recipes/x.yaml::two": "error"}


def test_a_deselected_step_is_never_run_by_another(chain: Project) -> None:
    result = chain.run("--deselect", "recipes/chain.yaml::two")

    assert chain.shown(result, "ERROR at setup of three") == (
        f"recipes/chain.yaml:3:12: {_THREE} needs step 'two', which was not selected; "
        "it was taken out by --deselect\n"
        f"    select it too: pytest recipes/chain.yaml::two {_THREE}\n"
        f"    or run without what is needed: pytest --recipe-needs=none {_THREE}\n"
    )
    assert result.parseoutcomes() == {"passed": 3, "deselected": 1, "errors": 1}
    assert result.ret == 1
    assert chain.ran == ["one", "side", "fork"]


def test_the_short_reason_of_a_deselected_need_begins_without_its_place(chain: Project) -> None:
    result = chain.run("--deselect", "recipes/chain.yaml::two", _THREE)

    reason = "needs step 'two', which was not selected; it was taken out by --deselect"
    assert f"  three  error    {reason}" in result.outlines
    assert f"ERROR {_THREE} - {reason}" in result.outlines


def test_a_deselected_indirect_need_is_named(chain: Project) -> None:
    said = chain.reasons("--deselect", "recipes/chain.yaml::one", _THREE)

    assert list(said) == ["three"]
    assert "needs step 'one', which was not selected; it was taken out" in said["three"]
    assert chain.ran == []


def test_a_step_with_implicit_false_never_runs_as_a_needed_step(project: Project) -> None:
    project.recipe("x", {"one": "", "power": "implicit: false", "two": "", "three": ""})

    refused = project.run("recipes/x.yaml::three")

    assert project.shown(refused, "ERROR at setup of three").splitlines()[0] == (
        "recipes/x.yaml:3:83: recipes/x.yaml::three needs step 'power', which was not selected; "
        "it says `implicit: false`, so it never runs just because another step needs it"
    )
    assert refused.ret == 1
    assert project.ran == []
    assert project.run("-k", "power or three").parseoutcomes() == {"passed": 2, "deselected": 2}
    assert project.ran == ["one", "power", "two", "three"]


def test_the_commands_in_the_error_message_work(chain: Project) -> None:
    said = chain.shown(
        chain.run("--deselect", "recipes/chain.yaml::two", _THREE), "ERROR at setup of three"
    )
    both, alone = [line.split("pytest ")[1].split() for line in said.splitlines()[1:]]

    assert chain.run(*both).ret == 0
    chain.forget()
    assert chain.run(*alone).ret == 0
    assert chain.ran == ["three"]


def test_last_failed_runs_the_failed_step_with_its_needs_and_what_it_blocked(
    project: Project,
) -> None:
    project.recipe("x", {"one": "", "two": "", "three": "function: refuse", "four": ""})
    project.run()
    project.forget()
    assert project.run("--lf").parseoutcomes() == {"failed": 1, "skipped": 1}
    assert project.ran == ["one", "two", "three"]

    project.recipe("x", {"one": "", "two": "", "three": "", "four": ""})
    project.forget()
    assert project.run("--lf").parseoutcomes() == {"passed": 2}
    assert project.ran == ["one", "two", "three", "four"]


def test_failed_first_moves_the_recipe_and_keeps_its_order(project: Project) -> None:
    project.recipe("a", {"a1": "", "a2": ""})
    project.recipe("b", {"b1": "", "b2": "function: refuse", "b3": "needs: []"})
    project.run()
    project.forget()

    project.run("--ff")

    assert project.ran == ["b1", "b2", "b3", "a1", "a2"]


def test_stepwise_continues_at_the_failed_step(project: Project) -> None:
    project.recipe("x", {"one": "", "two": "function: refuse", "three": "needs: [one]"})
    project.run("--sw").assert_outcomes(failed=1, passed=1)
    project.recipe("x", {"one": "", "two": "", "three": "needs: [one]"})
    project.forget()

    assert project.run("--sw").parseoutcomes() == {"passed": 2, "deselected": 1}
    assert project.ran == ["one", "two", "three"]


def test_recipe_needs_none_runs_only_the_selected_steps(chain: Project) -> None:
    assert chain.run("--recipe-needs=none", _THREE).parseoutcomes() == {"passed": 1}
    assert chain.ran == ["three"]
    chain.forget()
    assert chain.run("--recipe-needs=none", "-k", "one or three").ret == 0
    assert chain.ran == ["one", "three"]


def test_a_failed_selected_step_still_blocks_with_recipe_needs_none(project: Project) -> None:
    _fails(project)

    assert project.reasons("--recipe-needs=none", "-k", "one or two") == {
        "one": "status 'off': the bench is off",
        "two": "skipped: blocked by recipes/chain.yaml::one",
    }


def test_the_writer_of_a_missing_key_is_named_with_recipe_needs_none(project: Project) -> None:
    project.write(
        "bench.py",
        """
        def read(ctx, params):
            return {"status": "ok", "half": ctx.get("done.one") / 2}
        """,
    )
    project.recipe(
        "x",
        {
            "one": "success: {ctx_has_keys: [done.one]}",
            "read": "type: python, module: bench, function: read",
            "check": "needs: [one], success: {ctx_has_keys: [done.one]}",
        },
    )
    cure = (
        "the context has no 'done.one': step 'one' (recipes/x.yaml:2) writes it, "
        "and --recipe-needs=none did not run it"
    )

    result = project.run("--recipe-needs=none", "-k", "read or check")

    assert f"E       {cure}" in project.shown(result, "read").splitlines()
    assert f"E   {cure}" in project.shown(result, "check").splitlines()
    assert "--recipe-needs" not in project.run("recipes/x.yaml::read").stdout.str()


@pytest.mark.counted
@pytest.mark.parametrize("style", ["short", "line", "no"])
def test_the_writer_of_a_missing_key_is_named_in_every_view(project: Project, style: str) -> None:
    project.write("bench.py", "def read(ctx):\n    return {'status': 'ok', 'x': ctx['k']}\n")
    project.recipe(
        "x",
        {
            "one": f"{_SHELL}, outputs: {{k: 5}}",
            "raises": "type: python, module: bench, function: read, needs: []",
            "inline": "type: python, module: bench, function: read, needs: [], isolation: inline",
            "checks": f"{_SHELL}, needs: [], success: {{ctx_has_keys: [k]}}",
            "reads": f"{_SHELL}, needs: [], if: ctx.k > 1",
        },
    )
    options = ("--recipe-needs=none", "--deselect=recipes/x.yaml::one", f"--tb={style}")

    result = project.run(*options)
    blocks = project.blocks(*options)

    lead = "without 'one' (--recipe-needs=none): "
    for name in ("raises", "inline", "checks", "reads"):
        assert blocks[name]["step"]["reason"].startswith(lead)
        assert f"FAILED recipes/x.yaml::{name} - {lead}" in result.stdout.str()
    note = "step 'one' (recipes/x.yaml:2) writes it, and --recipe-needs=none did not run it"
    assert result.stdout.str().count(f"the context has no 'k': {note}") == (style == "short") * 4
    of_a_line = re.findall(rf"\.(?:py|yaml):\d+: {re.escape(lead)}", result.stdout.str())
    assert len(of_a_line) == (style == "line") * 4


_SHELL = "type: shell, parse: text, cmd: 'true'"


_READERS = (
    f"{_SHELL}, if: ctx.k.v > 1",
    f"{_SHELL}, args: {{X: '${{{{ ctx.k.v }}}}'}}",
    "type: shell, parse: text, cmd: 'echo ${{ ctx.k.v }}'",
    f"{_SHELL}, stdin: '${{{{ ctx.k.v }}}}'",
    f"{_SHELL}, cwd: '${{{{ ctx.k.v }}}}'",
    f"{_SHELL}, success: {{assert: [ctx.k.v > 1]}}",
    f"{_SHELL}, success: {{ctx_has_keys: [k.v]}}",
    f"{_SHELL}, outputs: {{l: '${{{{ ctx.k.v }}}}'}}",
    f"{_SHELL}, retry: {{attempts: 1, until: ctx.k.v > 1}}",
    "type: shell, parse: text, cmd: 'false', retry: {attempts: 2, abort_if: ctx.k.v > 1}",
    "type: python, module: bench, function: get, params: {x: '${{ ctx.k.v }}'}",
    "type: python, module: bench, function: get",
    "type: python, module: bench, function: pop",
    "type: python, module: bench, function: item",
    "type: python, module: bench, function: pop, isolation: inline",
)


@pytest.mark.parametrize(
    "writer",
    [
        f"{_SHELL}, outputs: {{k.v: 5}}",
        f"{_SHELL}, outputs: {{k: {{v: 5}}}}",
        "type: python, module: bench, function: put",
        f"{_SHELL}, success: {{ctx_has_keys: [k.v]}}",
    ],
)
def test_the_writer_of_a_missing_key_is_named_for_every_reader(
    project: Project, writer: str
) -> None:
    project.write(
        "bench.py",
        """
        def get(ctx, params):
            return {"status": "ok", "half": ctx.get("k.v") / 2}

        def pop(ctx, params):
            ctx.pop("k.v")

        def item(ctx, params):
            return {"status": "ok", "value": ctx["k.v"]}

        def put(ctx, params):
            ctx.set("k.v", 5)
        """,
    )
    recipes = {f"x{number:02}": reader for number, reader in enumerate(_READERS)}
    for name, reader in recipes.items():
        project.recipe(name, {"one": "", "two": writer, "three": reader, "four": ""})

    shown = project.run("--recipe-needs=none", "-k", "three").stdout.str()

    for name, reader in recipes.items():
        cure = (
            f"the context has no 'k.v': step 'two' (recipes/{name}.yaml:3) writes it, "
            "and --recipe-needs=none did not run it"
        )
        assert (reader, cure in shown) == (reader, True)


def test_a_writer_that_has_run_is_not_named(project: Project) -> None:
    project.recipe(
        "x",
        {
            "one": f"{_SHELL}, outputs: {{k: 5}}",
            "two": f"{_SHELL}, outputs: {{k: 5}}",
            "gone": "type: python, module: bench, function: gone",
            "three": f"{_SHELL}, if: ctx.k > 1",
        },
    )
    project.write(
        "bench.py", "def gone(ctx, params):\n    ctx.delete('k')\n    return {'status': 'ok'}"
    )

    said = project.run("--recipe-needs=none", "-k", "one or gone or three").stdout.str()

    assert "the context has no 'k': step 'two' (recipes/x.yaml:3) writes it" in said
    assert "step 'one' (recipes/x.yaml:2) writes it" not in said


@pytest.mark.counted
def test_the_named_writer_may_be_a_step_of_a_needed_recipe(project: Project) -> None:
    project.recipe("power", {"on": f"{_SHELL}, outputs: {{volts: 5}}"})
    project.recipe(
        "a", {"measure": f"{_SHELL}, if: ctx.volts > 1"}, head="needs: [recipes/power.yaml]"
    )

    said = project.run("--recipe-needs=none", "recipes/a.yaml").stdout.str()

    assert (
        "the context has no 'volts': step 'on' (recipes/power.yaml:2) writes it, "
        "and --recipe-needs=none did not run it"
    ) in said


def test_fixtures_of_a_needed_step_are_set_up_for_the_selected_item(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture
        def supply():
            yield 12
        """,
    )
    project.write(
        "bench.py",
        """
        def use(ctx, params, supply):
            ctx.set("volts", supply)
            return {"status": "ok"}
        """,
    )
    project.recipe(
        "x", {"one": "type: python, module: bench, function: use, fixtures: [supply]", "two": ""}
    )

    result = project.run("--setup-show", "recipes/x.yaml::two")

    result.stdout.fnmatch_lines(["*SETUP    F supply", "*x.yaml::two *", "*TEARDOWN F supply"])
    assert result.parseoutcomes() == {"passed": 1}


def test_invalid_values_of_recipe_needs_are_usage_errors(chain: Project) -> None:
    result = chain.run("--recipe-needs=some")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*argument --recipe-needs: invalid choice: 'some'*"])


def test_a_needed_step_that_raises_is_explained_with_the_users_frames(project: Project) -> None:
    project.write(
        "bench.py",
        """
        def raises(ctx, params):
            assert [1, 2] == [1, 3], "the bench is off"
        """,
    )
    project.recipe("x", {"off": "type: python, module: bench, function: raises", "on": ""})

    result = project.run("recipes/x.yaml::on")

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "needed step recipes/x.yaml::off did not pass",
            "E   AssertionError: the bench is off",
            ">       assert [[]1, 2] == [[]1, 3], *",
            "E         At index 1 diff: 2 != 3",
            "bench.py:2: AssertionError",
        ]
    )


@pytest.mark.parametrize("mode", ["prepend", "append", "importlib"])
def test_hand_written_tests_import_scriptlets_from_the_rootdir(project: Project, mode: str) -> None:
    project.write("scriptlets/python/steps/psu.py", "LIMIT = 24\n")
    project.write(
        "tests/test_psu.py",
        """
        from scriptlets.python.steps.psu import LIMIT

        def test_limit():
            assert LIMIT == 24
        """,
    )

    project.spawn(f"--import-mode={mode}", "tests").assert_outcomes(passed=1)
