"""What the line below "collected" says of recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_orchestrator import __version__

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_NAME = f"orchestrator {__version__}"


def _told(project: Project, *args: str) -> list[str]:
    return [line for line in project.run(*args).outlines if line.startswith("orchestrator ")]


def test_recipes_and_steps_are_counted(project: Project) -> None:
    project.recipe("a", {"one": "", "two": ""}, {"off": ""})
    assert _told(project) == [f"{_NAME}: 1 recipe, 3 steps"]

    project.recipe("b", {"one": ""})
    assert _told(project, "--collect-only") == [f"{_NAME}: 2 recipes, 4 steps"]
    assert _told(project, "-q") == []


def test_steps_that_run_uncounted_are_told(project: Project) -> None:
    project.recipe("a", {"one": "", "two": "", "three": ""})

    assert _told(project, "-k", "three") == [
        f"{_NAME}: 1 recipe, 1 step; 2 needed steps run in setups, uncounted"
    ]
    assert _told(project, "-k", "three", "--recipe-needs=none") == [f"{_NAME}: 1 recipe, 1 step"]


def test_files_that_are_no_recipes_are_counted(project: Project) -> None:
    project.recipe("a", {"one": ""})
    project.write("recipes/values.yaml", "a: 1")
    project.write("recipes/more.yaml", "a: 1")

    assert _told(project) == [f"{_NAME}: 1 recipe, 1 step; 2 YAML files without steps passed by"]


def test_a_session_without_any_of_these_says_nothing(project: Project) -> None:
    project.write("test_x.py", "def test_x(): pass")

    assert _told(project) == []
