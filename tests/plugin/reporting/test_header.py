"""Header line below "collected": recipes, steps, prerequisite steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator import __version__
from pytest_orchestrator.plugin.reporting.header import listed

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_NAME = f"orchestrator {__version__}"


def _header(project: Project, *args: str) -> list[str]:
    return [line for line in project.run(*args).outlines if line.startswith("orchestrator ")]


def test_the_header_counts_recipes_and_steps(project: Project) -> None:
    project.recipe("a", {"one": "", "two": ""}, {"off": ""})
    assert _header(project) == [f"{_NAME}: 1 recipe, 3 steps"]

    project.recipe("b", {"one": ""})
    assert _header(project, "--collect-only") == [f"{_NAME}: 2 recipes, 4 steps"]
    assert _header(project, "-q") == []


def test_the_cells_of_a_matrix_are_one_recipe_in_the_header(project: Project) -> None:
    project.recipe("a", {"one": ""}, head="matrix: {load: [20, 40]}")
    assert _header(project, "--collect-only") == [f"{_NAME}: 1 recipe, 2 steps"]


@pytest.mark.parametrize(
    ("steps", "most", "text"),
    [
        (["one", "two"], 3, "one, two"),
        (["one", "two", "three"], 3, "one, two, three"),
        (["one", "two", "three", "four"], 3, "one, two, three and 1 more"),
        ([f"s{number}" for number in range(1, 2001)], 2, "s1, s2 and 1,998 more"),
        (["set", "on", "set", "set", "off", "off"], 2, "set (3 times), on and 2 more"),
    ],
)
def test_a_long_list_of_prerequisite_steps_is_cut_with_the_number_of_the_others(
    steps: list[str], most: int, text: str
) -> None:
    assert listed(steps, most) == text


def test_the_header_names_prerequisite_steps_that_are_not_counted(project: Project) -> None:
    project.by_shell = True
    project.recipe("power", {"on": ""})
    names = ["one", "two", "three", "four", "five"]
    project.write(
        "recipes/a.yaml",
        "needs: [recipes/power.yaml]\nsteps:\n"
        + "".join(
            f"  - {{name: {name}, type: shell, cmd: 'true', parse: text}}\n" for name in names
        ),
    )
    own, counts = "-k=a.yaml and two", f"{_NAME}: 1 recipe, 1 step; also runs"

    assert _header(project, own) == [f"{counts} 2 prerequisite steps, not counted: on, one"]
    assert _header(project, "recipes/a.yaml::two", "-n2") == _header(project, own)
    assert _header(project, "-k=five", "--collect-only") == [
        f"{counts} 5 prerequisite steps, not counted: on, one, two and 2 more"
    ]
    assert _header(project, "-k=five", "--collect-only", "-v") == [
        f"{counts} 5 prerequisite steps, not counted: on, one, two, three, four"
    ]
    assert _header(project, "-k=five", "--deselect=recipes/a.yaml::one") == [
        f"{_NAME}: 1 recipe, 1 step"
    ]
    assert _header(project, own, "--recipe-needs=none") == [f"{_NAME}: 1 recipe, 1 step"]


def test_collect_only_with_q_lists_prerequisite_steps_in_brackets(project: Project) -> None:
    project.recipe("a", {"one": "", "two": "", "three": ""})
    project.recipe("b", {"four": "matrix: {volt: [3, 5]}", "five": "needs: ['four[volt:5]']"})
    listing = ("--collect-only", "-q", "recipes/a.yaml::three", "recipes/b.yaml::five")

    lines = project.run(*listing).outlines
    assert lines[: lines.index("")] == [
        "[recipes/a.yaml::one]",
        "[recipes/a.yaml::two]",
        "[recipes/b.yaml::four[volt:5]]",
        "recipes/a.yaml::three",
        "recipes/b.yaml::five",
    ]
    assert "[" not in project.run(*listing, "-q").outlines[0]
    project.write(
        "recipes/c.yaml",
        "needs: [recipes/a.yaml]\nsteps: [{name: six, type: shell, cmd: 'true', parse: text}]\n",
    )
    half = project.run("--collect-only", "-q", "recipes/a.yaml::two", "recipes/c.yaml").outlines
    assert half[: half.index("")] == [
        "[recipes/a.yaml::one]",
        "[recipes/a.yaml::three]",
        "recipes/a.yaml::two",
        "recipes/c.yaml::six",
    ]


def test_collect_only_of_a_distributed_session_reports_no_step_as_not_run(
    project: Project,
) -> None:
    project.recipe("a", {"one": "", "two": ""})

    result = project.run("--collect-only", "-n2", "-k=two")

    assert "not run" not in result.stdout.str()
    assert not list(project.path.glob(".orchestrator/runs/2*"))


def test_the_header_counts_files_that_are_no_recipes(project: Project) -> None:
    project.recipe("a", {"one": ""})
    project.write("recipes/values.yaml", "a: 1")
    project.write("recipes/more.yaml", "a: 1")

    assert _header(project) == [f"{_NAME}: 1 recipe, 1 step; 2 YAML files without steps ignored"]


def test_a_session_without_yaml_files_has_no_header_line(project: Project) -> None:
    project.write("test_x.py", "def test_x(): pass")

    assert _header(project) == []
