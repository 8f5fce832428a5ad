"""`pytest-orchestrator run`."""

import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Project

LOG = "pytest_orchestrator.plugin.runner_log"


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the list of commands that would have replaced this process."""
    commands: list[list[str]] = []

    def execv(_: str, command: list[str]) -> int:
        commands.append(command[1:])
        return 3

    monkeypatch.setattr(os, "execv", execv)
    return commands


@pytest.mark.parametrize(
    ("words", "passed_on"),
    [
        (["--recipe", "recipes/a.yaml"], []),
        (
            ["-n", "2", "--recipe=recipes/a.yaml", "-rf", "-k", "a b"],
            ["-n", "2", "-rf", "-k", "a b"],
        ),
        (["recipes", "--recipe-jobs", "2", "-vx"], ["recipes", "--recipe-jobs", "2", "-vx"]),
        (["--version"], ["--version"]),
    ],
)
def test_other_arguments_are_passed_to_pytest_unchanged(
    words: list[str], passed_on: list[str], project: Project, executed: list[list[str]]
) -> None:
    project.write("recipes/a.yaml")
    named = ["recipes/a.yaml"] if any("recipes/a" in word for word in words) else []
    assert project.call("run", *words).code == 3
    assert executed == [["-m", "pytest", "-p", LOG, *named, *passed_on]]


def test_recipe_is_found_in_the_working_directory_and_below_the_rootdir(
    project: Project, executed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.write("recipes/poll.yaml")
    monkeypatch.chdir(path.parent)
    project.call("run", "--recipe", "poll.yaml", "--recipe", "recipes/poll.yaml")
    assert executed[0][-2:] == ["poll.yaml", str(path)]
    done = project.call("run", "--recipe", "pol.yaml")
    assert done.code == 2
    assert done.err.endswith("there is no pol.yaml (did you mean 'poll.yaml'?)\n")


def test_exit_code_of_pytest_is_returned_where_exec_is_missing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "call", lambda command: 5 if command[3:4] == ["-p"] else 0)
    assert project.call("run", "-q").code == 5
