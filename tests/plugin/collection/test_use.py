"""Steps of a used file are separate items, with their own vars and names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

PART = """
vars: {volts: 5, half: "${{ vars.volts / 2 }}"}
required: [channel]
defaults: {parse: text}
steps:
  - name: set
    type: shell
    cmd: [echo, "${{ vars.volts }}", "${{ vars.half }}", "${{ vars.channel }}"]
    outputs: {"psu.volts": "${{ vars.volts }}"}
  - name: check
    type: shell
    cmd: "true"
    success: {assert: ["steps.set.outcome == 'passed'", vars.volts == ctx.psu.volts]}
finally:
  - {name: "off", type: shell, cmd: "echo off ${{ vars.channel }}"}
"""
MAIN = """
vars: {high: 12}
steps:
  - {name: low, use: recipes/_psu.yaml, with: {channel: 1}}
  - {name: high, use: recipes/_psu.yaml, with: {channel: "${{ steps['low.set'].exit_code }}",
     volts: "${{ vars.high }}"}}
  - {name: none, use: recipes/_psu.yaml, if: vars.high < 3, with: {channel: 3}}
finally:
  - {name: all_off, type: shell, cmd: echo all, parse: text}
"""


@pytest.fixture
def used(project: Project) -> Project:
    project.write("recipes/_psu.yaml", PART)
    project.write("recipes/m.yaml", MAIN)
    return project


def printed(project: Project, step: str, recipe: str = "m") -> str:
    logs = project.path / ".orchestrator/runs/latest/logs" / recipe
    return (logs / f"{step}.1.stdout").read_text().strip()


@pytest.mark.parametrize("options", [[], ["--recipe-jobs", "3"], ["-n", "1"]])
def test_used_steps_run_with_the_vars_of_their_use(used: Project, options: list[str]) -> None:
    used.run(*options).assert_outcomes(passed=7, skipped=3)

    actual = {step: printed(used, step) for step in ("low.set", "high.set", "low.off", "high.off")}
    assert actual == {
        "low.set": "5 2.5 1",
        "high.set": "12 6.0 0",
        "low.off": "off 1",
        "high.off": "off 0",
    }


def test_used_steps_are_items_in_order(used: Project) -> None:
    names = [item.partition("::")[2] for item in used.items()]
    assert names == [
        *(f"{use}.{step}" for use in ("low", "high", "none") for step in ("set", "check")),
        *(f"{use}.off" for use in ("low", "high", "none")),
        "all_off",
    ]


def test_a_used_step_selected_alone_runs_after_its_needs(used: Project) -> None:
    used.run("recipes/m.yaml::high.check").assert_outcomes(passed=1)
    assert printed(used, "high.set") == "12 6.0 0"


_LOW = ["low.set", "low.check", "low.off"]


def _ran(project: Project, *args: str) -> list[str]:
    return [item.partition("::")[2] for item in project.items(*args)]


def test_a_use_is_selected_with_all_of_its_steps(used: Project) -> None:
    assert _ran(used, "recipes/m.yaml::low") == _LOW
    assert _ran(used, f"{used.path}/recipes/m.yaml::low") == _LOW
    assert _ran(used, "recipes/m.yaml::low", "recipes/m.yaml::high.set") == [
        *("low.set", "low.check", "high.set", "low.off")
    ]
    assert _ran(used, "recipes/m.yaml::all_off") == ["all_off"]
    used.run("recipes/m.yaml::low").assert_outcomes(passed=3)
    used.run("-n1", "recipes/m.yaml::low").assert_outcomes(passed=3)


@pytest.mark.counted
def test_a_use_is_deselected_with_all_of_its_steps(used: Project) -> None:
    names = _ran(used, "--deselect", "recipes/m.yaml::low")

    assert names == [
        "high.set",
        "high.check",
        "none.set",
        "none.check",
        "high.off",
        "none.off",
        "all_off",
    ]


def test_a_use_is_not_deselected_by_a_prefix_of_its_name(project: Project) -> None:
    project.write("recipes/_part.yaml", "steps: [{name: a, type: shell, cmd: x}]")
    uses = "{name: ch1, use: recipes/_part.yaml}, {name: ch10, use: recipes/_part.yaml}"
    project.write("recipes/m.yaml", f"steps: [{uses}]")

    assert _ran(project, "--deselect", "recipes/m.yaml::ch1") == ["ch10.a"]
    assert _ran(project, "recipes/m.yaml::ch1") == ["ch1.a"]


def test_a_use_within_a_use_and_one_of_a_cell_are_selected(project: Project) -> None:
    project.write("recipes/_part.yaml", "steps: [{name: a, type: shell, cmd: x}]")
    inner = "{name: in, use: recipes/_part.yaml}, {name: b, type: shell, cmd: x}"
    project.write("recipes/_mid.yaml", f"steps: [{inner}]")
    project.write(
        "recipes/m.yaml",
        "matrix: {g: [1, 2.5]}\nsteps: [{name: out, use: recipes/_mid.yaml}]\n",
    )

    assert _ran(project, "recipes/m.yaml::out[g:2.5]") == ["out.in.a[g:2.5]", "out.b[g:2.5]"]
    assert _ran(project, "recipes/m.yaml::out.in") == ["out.in.a[g:1]", "out.in.a[g:2.5]"]
    assert _ran(project, "recipes/m.yaml::out") == [
        *("out.in.a[g:1]", "out.b[g:1]", "out.in.a[g:2.5]", "out.b[g:2.5]")
    ]
    deselected = _ran(project, "--deselect", "recipes/m.yaml::out[g:1]")
    assert deselected == ["out.in.a[g:2.5]", "out.b[g:2.5]"]


@pytest.mark.parametrize("asked", ["lwo", "lo"])
def test_the_error_for_a_mistyped_use_suggests_the_nearest(used: Project, asked: str) -> None:
    result = used.run(f"recipes/m.yaml::{asked}")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    said = f"ERROR: recipes/m.yaml has no step '{asked}' (did you mean 'low'?)"
    assert said in result.errlines


def test_the_line_of_an_item_is_that_of_its_use_in_the_recipe(used: Project) -> None:
    used.write("recipes/outer.yaml", "steps:\n\n  - {name: o, use: recipes/m.yaml}\n")
    items = used.pytester.inline_run("--collect-only", "-q", "recipes/outer.yaml", "recipes/m.yaml")
    session = next(call.session for call in items.getcalls("pytest_collection_finish"))

    found = {item.nodeid: (item.reportinfo()[0], item.location[:2]) for item in session.items}

    assert found["recipes/m.yaml::low.set"] == (
        used.path / "recipes/m.yaml",
        ("recipes/m.yaml", 2),
    )
    assert found["recipes/m.yaml::high.off"][1] == ("recipes/m.yaml", 3)
    assert found["recipes/m.yaml::all_off"][1] == ("recipes/m.yaml", 7)
    assert found["recipes/outer.yaml::o.low.set"][1] == ("recipes/outer.yaml", 2)
    assert all(item.reportinfo()[0] == item.path for item in session.items)


@pytest.mark.parametrize(
    "value", [3, 2.5, [1, [2]], {"a": {"b": False}}, False, "false", "007", "a\nb", None]
)
def test_values_pass_into_a_used_file_unchanged(project: Project, value: Any) -> None:
    project.write(
        "recipes/_part.yaml",
        """
        required: [value]
        steps:
          - name: keep
            type: python
            module: keep
            function: keep
            params: {value: "${{ vars.value }}"}
        """,
    )
    project.write(
        "keep.py",
        f"""
        def keep(ctx, params):
            assert params["value"] == {value!r}
            assert type(params["value"]) is type({value!r})
            return {{"status": "ok", "value": params["value"]}}

        def give(ctx, params):
            return {{"status": "ok", "value": {value!r}}}
        """,
    )
    project.write(
        "recipes/m.yaml",
        """
        steps:
          - {name: give, type: python, module: keep, function: give,
             outputs: {"m.value": "${{ result.value }}"}}
          - {name: part, use: recipes/_part.yaml, with: {value: "${{ ctx.m.value }}"}}
        """,
    )
    project.run().assert_outcomes(passed=2)


def test_a_failure_is_reported_at_the_line_of_the_used_file(used: Project) -> None:
    used.write("recipes/_psu.yaml", PART.replace("vars.volts == ctx", "vars.volts == 1 + ctx"))
    result = used.run("recipes/m.yaml::low.check")

    result.stdout.fnmatch_lines(
        [
            "recipes/_psu.yaml:12:*: a check failed after step 'low.check'",
            "rerun      pytest recipes/m.yaml::low.check",
            "FAILED recipes/m.yaml::low.check - assert: *",
        ]
    )


def test_a_missing_value_is_reported_with_the_line_of_the_use(used: Project) -> None:
    used.write("recipes/m.yaml", MAIN.replace("{channel: 1}", "{channel: '${{ ctx.nope }}'}"))
    reasons = used.reasons("-k", "low.set")

    assert reasons == {
        "low.set": "in step 'low' that uses recipes/_psu.yaml: `ctx.nope`: the context has no key "
        "'nope'; it has none at all"
    }


def test_secrets_declared_by_a_used_file_are_masked(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH_PIN", "4711")
    project.write(
        "recipes/_part.yaml",
        """
        vars: {word: none}
        secrets: [env.BENCH_PIN, vars.word, ctx.session.key]
        steps:
          - name: open
            type: shell
            cmd: echo "pin $BENCH_PIN, word ${{ vars.word }}, key aa-$((6 * 7))"
            parse: text
            outputs: {session.key: {from: stdout, regex: 'key (\\S+)'}}
            success: {assert: [exit_code == 1]}
        """,
    )
    project.write("recipes/outer.yaml", "steps: [{name: inner, use: recipes/_mid.yaml}]")
    project.write(
        "recipes/_mid.yaml",
        "steps: [{name: part, use: recipes/_part.yaml, with: {word: 'hush-${{ 1 + 1 }}'}}]",
    )
    shown = project.run().stdout.str()

    assert "pin ***, word ***, key ***" in shown
    assert "4711" not in shown
    assert "hush-2" not in shown
    assert printed(project, "inner.part.open", "outer") == "pin ***, word ***, key ***"
