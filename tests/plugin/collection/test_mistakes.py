"""Collection errors of invalid recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_THREE = """
name: psu
steps:
  - name: flash
    type: python
    modul: steps
    function: note
  - name: release
    type: shell
    cmd: "true"
    needs: [flush]
    timeout: [3]
"""
_SAID = """\
recipes/bad.yaml:5:5: unknown key 'modul' in python step 'flash' (did you mean 'module'?)

   3 |   - name: flash
   4 |     type: python
   5 |     modul: steps
     |     ^^^^^
recipes/bad.yaml:10:13: step 'release' needs 'flush', which is no step of this recipe \
(did you mean 'flash'?)

   8 |     type: shell
   9 |     cmd: "true"
  10 |     needs: [flush]
     |             ^^^^^
recipes/bad.yaml:11:14: 'timeout' in shell step 'release' is a list, should be a number or text

   9 |     cmd: "true"
  10 |     needs: [flush]
  11 |     timeout: [3]
     |              ^^^
3 problems
"""
_SUMMARY = "ERROR recipes/bad.yaml - 5:5 unknown key 'modul' (did you mean 'module'?), and 2 more"


@pytest.fixture
def broken(project: Project) -> Project:
    """A project with a recipe that has three mistakes, and a valid one."""
    project.write("recipes/bad.yaml", _THREE)
    project.recipe("good", {"one": ""})
    return project


@pytest.mark.parametrize("style", ["auto", "short", "long", "native"])
def test_three_mistakes_are_three_messages_and_exit_two(broken: Project, style: str) -> None:
    result = broken.run(f"--tb={style}")

    assert broken.shown(result, "ERROR collecting recipes/bad.yaml") == _SAID
    assert _SUMMARY in result.outlines
    assert result.ret == 2
    assert broken.ran == []


def test_the_short_summary_contains_only_the_first_mistake(broken: Project) -> None:
    result = broken.run("--tb=no")

    assert _SUMMARY in result.outlines
    assert "3 problems" not in result.outlines


def test_recipes_without_errors_run_with_continue_on_collection_errors(broken: Project) -> None:
    result = broken.run("--continue-on-collection-errors")

    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    assert broken.shown(result, "ERROR collecting recipes/bad.yaml") == _SAID
    assert broken.ran == ["one"]
    assert result.ret == 1


def test_two_workers_report_a_recipe_error_once(broken: Project) -> None:
    result = broken.spawn("-n", "2")

    assert broken.shown(result, "ERROR collecting recipes/bad.yaml") == _SAID
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}


def _bad_files() -> dict[str, bytes]:
    step = "- {name: a, type: shell, cmd: 'true'"
    twice = [f"x-{n}: &{n} [{', '.join(9 * [f'*{n - 1}'])}]" for n in range(1, 9)]
    texts = {
        "alias_bomb": "\n".join(["x-0: &0 [1]", *twice, "steps: *8"]),
        "circle": f"steps:\n{step}, needs: [b]}}\n{step.replace('name: a', 'name: b')}}}\n",
        "deep": "steps: " + "[" * 1000 + "]" * 1000,
        "empty": "",
        "key_twice": f"steps:\n{step}}}\nname: a\nname: b\n",
        "large": "#" * 10_000_000,
        "no_steps": "name: x\n",
        "step_twice": f"steps:\n{step}}}\n{step}}}\n",
        "tabs": "steps:\n\t- name: a\n",
    }
    return {name: text.encode() for name, text in texts.items()} | {"utf8": b"name: \xff\n"}


def test_every_kind_of_bad_file_is_reported_and_does_not_affect_others(project: Project) -> None:
    for name, raw in _bad_files().items():
        project.write(f"recipes/{name}.yaml", "").write_bytes(raw)
    project.recipe("good", {"one": ""})
    bom = project.recipe("bom", {"two": ""})
    (project.path / bom).write_bytes(b"\xef\xbb\xbf" + (project.path / bom).read_bytes())

    result = project.run("recipes", "--continue-on-collection-errors")

    many = "the file has more than 250,000 nodes, aliases followed"
    circle = "steps need each other in a circle: a -> b -> a"
    hint = "'b' needs the step before it, 'a', unless it says needs: []"
    large = "the file has 10,000,000 bytes, above the limit of 1,048,576"
    assert [line for line in result.outlines if line.startswith("ERROR")] == [
        f"ERROR recipes/alias_bomb.yaml - 7:6 {many}",
        f"ERROR recipes/circle.yaml - 2:46 {circle} ({hint})",
        "ERROR recipes/deep.yaml - 1:1007 more than 100 levels of nesting",
        "ERROR recipes/empty.yaml - 1:1 the file is empty (a recipe has a list of 'steps')",
        "ERROR recipes/key_twice.yaml - 4:1 the key 'name' is given twice, in lines 3 and 4",
        f"ERROR recipes/large.yaml - 1:1 {large} (the ini key recipe_max_size sets it)",
        "ERROR recipes/no_steps.yaml - 1:1 missing 'steps' (a recipe has a list of 'steps')",
        "ERROR recipes/step_twice.yaml - 3:10 two steps are called 'a', in lines 2 and 3",
        "ERROR recipes/tabs.yaml - 2:1 a tab cannot indent YAML (use spaces)",
        "ERROR recipes/utf8.yaml - 1:7 byte 0xFF is not UTF-8 (save it as UTF-8)",
    ]
    assert project.ran == ["two", "one"]
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*.py:*")


@pytest.mark.counted
def test_the_nearest_name_is_suggested_for_a_missing_recipe_or_step(project: Project) -> None:
    project.recipe("psu", {"flash": ""})
    project.recipe("sweep", {"measure": ""}, head="matrix: {gain: [1, 10]}")
    bad = project.write("recipes/bad.yaml", "steps: 1\n")
    asked = {
        "recipes/pus.yaml": "there is no recipes/pus.yaml (did you mean 'recipes/psu.yaml'?)",
        "recipes/psu.yaml::flahs": "recipes/psu.yaml has no step 'flahs' (did you mean 'flash'?)",
        "recipes/sweep.yaml::measure[gain:2]": "recipes/sweep.yaml has no step 'measure[gain:2]' "
        "(did you mean 'measure[gain:1]'?)",
    }
    for argument, text in asked.items():
        result = project.run(argument)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert f"ERROR: {text}" in result.errlines
    bad_one = project.run(f"{bad}::flash")
    assert "did you mean" not in bad_one.stderr.str()


@pytest.mark.parametrize(
    ("names", "there"),
    [
        (["flash"], "only 'flash'"),
        (["flash", "measure"], "flash, measure"),
        ([f"s{number}" for number in range(20)], "s0, s1, s2, s3, s4, s5, s6, s7 and 12 more"),
    ],
)
def test_the_steps_of_a_recipe_are_listed_for_an_unknown_one(
    names: list[str], there: str, project: Project
) -> None:
    project.recipe("psu", dict.fromkeys(names, ""))

    result = project.run("recipes/psu.yaml::nope")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: recipes/psu.yaml has no step 'nope'; there is {there}" in result.errlines


@pytest.mark.counted
def test_a_shell_variable_with_a_dot_is_a_warning_at_collection(project: Project) -> None:
    project.recipe("x", {"a": "type: shell, parse: text, cmd: 'true $vars.volts'"})
    done = project.run("--collect-only")
    text = "'$vars.volts' is no expression (write ${{ vars.volts }}; for the shell's ${vars}.volts)"
    assert done.ret == 0
    assert f"recipes/x.yaml:2: PytestCollectionWarning: {text}" in done.stdout.str()

    done = project.run("--collect-only", "-W", "error")
    assert done.ret == 2
    assert "recipes/x.yaml:2:" in done.stdout.str()
    assert text in done.stdout.str()
    assert "Traceback" not in done.stdout.str()
