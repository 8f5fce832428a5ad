"""Header line below "collected" about recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_orchestrator import __version__

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


def test_the_header_names_prerequisite_steps_that_are_not_counted(project: Project) -> None:
    project.recipe("a", {"one": "", "two": "", "three": ""})

    assert _header(project, "-k", "three") == [
        f"{_NAME}: 1 recipe, 1 step; also runs 2 prerequisite steps, not counted: one, two"
    ]
    assert _header(project, "-k", "three", "--recipe-needs=none") == [f"{_NAME}: 1 recipe, 1 step"]


def test_the_header_counts_files_that_are_no_recipes(project: Project) -> None:
    project.recipe("a", {"one": ""})
    project.write("recipes/values.yaml", "a: 1")
    project.write("recipes/more.yaml", "a: 1")

    assert _header(project) == [f"{_NAME}: 1 recipe, 1 step; 2 YAML files without steps ignored"]


def test_a_session_without_yaml_files_has_no_header_line(project: Project) -> None:
    project.write("test_x.py", "def test_x(): pass")

    assert _header(project) == []
