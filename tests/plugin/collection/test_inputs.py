"""Inputs in a session: conversion for each recipe, wrong and missing values, reports, secrets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

SHOW = """
inputs:
  serial: {KEYS}
steps:
  - name: show
    type: shell
    parse: text
    cmd: [echo, "${{ vars.serial }}", "${{ vars.serial is string }}"]
"""


def printed(project: Project, recipe: str, step: str = "show") -> str:
    logs = project.path / ".orchestrator/runs/latest/logs"
    return (logs / recipe / f"{step}.1.stdout").read_text().strip()


@pytest.mark.parametrize("more", [[], ["-n2"]])
def test_each_recipe_converts_a_value_for_itself(project: Project, more: list[str]) -> None:
    project.write("recipes/a.yaml", SHOW.replace("KEYS", "pattern: '[0-9]{5}'"))
    project.write("recipes/b.yaml", SHOW.replace("KEYS", "type: integer"))
    project.write("recipes/c.yaml", SHOW.replace("KEYS", "default: none given"))
    project.write(
        "recipes/d.yaml", "vars: {serial: x}" + SHOW.replace("inputs:\n  serial: {KEYS}\n", "")
    )
    project.run("--recipe-var", "serial=12345", *more).assert_outcomes(passed=4)
    assert [printed(project, name) for name in "abcd"] == [
        "12345 true",
        "12345 false",
        "12345 true",
        "12345 false",
    ]


def test_a_value_with_leading_zeros_stays_text_in_the_report(project: Project) -> None:
    project.write("recipes/a.yaml", SHOW.replace("KEYS", ""))
    project.run("--recipe-var", "serial=00123", "--json-report").assert_outcomes(passed=1)
    report = json.loads((project.path / ".report.json").read_text())
    block = report["tests"][0]["metadata"]["orchestrator"]
    assert block["recipe"]["vars"] == {"serial": {"value": "00123", "origin": "--recipe-var"}}


@pytest.mark.parametrize("more", [[], ["-n2"]])
def test_wrong_and_missing_values_are_collection_errors_of_their_recipe(
    project: Project, more: list[str]
) -> None:
    keys = "type: number, max: 30, unit: V"
    project.write("recipes/wrong.yaml", SHOW.replace("KEYS", keys))
    project.write("recipes/good.yaml", SHOW.replace("KEYS", ""))
    project.write("recipes/gone.yaml", SHOW.replace("serial", "volts").replace("KEYS", keys))
    result = project.run("--recipe-var", "serial=31 V", "--continue-on-collection-errors", *more)
    result.assert_outcomes(passed=1, errors=2)
    lines = [line for line in result.outlines if line.startswith("recipes/")]
    assert {
        (
            "recipes/wrong.yaml:2:3: input 'serial' is '31 V', should be at most 30 V "
            "(it comes from --recipe-var)"
        ),
        (
            "recipes/gone.yaml:2:3: no value is given for input 'volts', a number, at most 30 V "
            "(--recipe-var volts=..., or --recipe-ask to be asked)"
        ),
    } <= set(lines)


def test_a_missing_value_blocks_collect_only_if_a_matrix_reads_it(project: Project) -> None:
    project.write("recipes/plain.yaml", SHOW.replace("KEYS", ""))
    project.write(
        "recipes/cells.yaml",
        "matrix: {g: ['${{ vars.n }}', 2]}\nvars: {n: '${{ vars.first }}', t: '${{ vars.serial }}'}"
        + SHOW.replace("  serial: {KEYS}", "  first: {type: integer}\n  serial: {}"),
    )
    project.write(
        "recipes/step.yaml",
        "inputs: {n: {type: integer}}\nsteps:\n"
        "- {name: s, type: shell, cmd: x, matrix: {c: '${{ range(vars.n) | list }}'}}",
    )
    result = project.run("--collect-only", "-q")
    assert [line for line in result.outlines if "::" in line] == ["recipes/plain.yaml::show"]
    result.stdout.fnmatch_lines(
        ["recipes/cells.yaml:4:3: no value is given for input 'first', a whole number (*)"]
    )
    result.stdout.fnmatch_lines(
        ["recipes/step.yaml:1:10: no value is given for input 'n', a whole number (*)"]
    )
    result = project.run("--collect-only", "-q", "--recipe-var", "first=1", "recipes/cells.yaml")
    assert [line for line in result.outlines if "::" in line] == [
        "recipes/cells.yaml::show[g:1]",
        "recipes/cells.yaml::show[g:2]",
    ]


@pytest.mark.counted
def test_a_name_that_no_recipe_has_is_a_usage_error(project: Project) -> None:
    project.write("recipes/a.yaml", SHOW.replace("KEYS", "default: x"))
    result = project.run("--recipe-var", "seral=1")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["ERROR: --recipe-var: no collected recipe has a var 'seral' (did you mean 'serial'?)"]
    )
    # The name of a package is no missing file.
    project.write("pkg/__init__.py", "")
    project.write("pkg/test_a.py", "def test_a(): pass")
    words = ("--pyargs", "pkg.test_a", "recipes", "--recipe-var", "seral=1")
    project.run(*words).stderr.fnmatch_lines(
        ["ERROR: --recipe-var: no collected recipe has a var 'seral' (did you mean 'serial'?)"]
    )


@pytest.mark.counted
def test_a_secret_input_is_masked_everywhere(project: Project) -> None:
    project.write("recipes/a.yaml", SHOW.replace("KEYS", "secret: true, pattern: '[a-z0-9-]+'"))
    project.write("recipes/b.yaml", SHOW.replace("KEYS", "secret: true, pattern: '[0-9]+'"))
    project.write("vars.env", "serial=swordfish-7\n")
    result = project.run(
        *("--recipe-vars-file=vars.env", "-rA", "--continue-on-collection-errors", "--json-report")
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["recipes/b.yaml:2:3: input 'serial' is [*][*][*], should match *"])
    files = [path for path in project.path.rglob("*") if path.is_file()]
    found = [path.name for path in files if b"swordfish" in path.read_bytes()]
    assert found == ["vars.env"]
    assert "swordfish" not in result.stdout.str()
    assert printed(project, "a") == "*** true"


def test_inputs_of_a_used_file_are_given_by_with(project: Project) -> None:
    project.write("recipes/_part.yaml", SHOW.replace("KEYS", "type: integer, max: 3"))
    project.write(
        "recipes/x.yaml",
        """
        vars: {n: 2}
        steps:
          - {name: a, use: recipes/_part.yaml, with: {serial: 1}}
          - {name: b, use: recipes/_part.yaml, with: {serial: "${{ vars.n }}"}}
          - {name: c, use: recipes/_part.yaml, with: {serial: "${{ vars.n + 2 }}"}, needs: []}
        """,
    )
    result = project.run()
    result.assert_outcomes(passed=2, failed=1)
    assert [printed(project, "x", f"{name}.show") for name in "ab"] == ["1 false", "2 false"]
    result.stdout.fnmatch_lines(
        ["E   in step 'c' that uses recipes/_part.yaml: input 'serial' is 4, should be at most 3"]
    )


def test_a_resumed_run_repeats_steps_whose_input_has_changed(project: Project) -> None:
    other = '\n  - {name: other, type: shell, parse: text, cmd: "true", needs: []}\n'
    project.write("recipes/a.yaml", SHOW.replace("KEYS", "default: SN1") + other.lstrip("\n"))
    project.run().assert_outcomes(passed=2)
    project.run("--recipe-resume").assert_outcomes(skipped=2)
    project.run("--recipe-resume", "--recipe-var", "serial=SN2").assert_outcomes(
        passed=1, skipped=1
    )
