"""`pytest-orchestrator run`."""

import os
import subprocess
import sys

import pytest

from tests.cli.conftest import Project

LOG = "pytest_orchestrator.plugin.runner_log"


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that this process would have become."""
    found: list[list[str]] = []

    def execv(_: str, command: list[str]) -> int:
        found.append(command[1:])
        return 3

    monkeypatch.setattr(os, "execv", execv)
    return found


@pytest.mark.parametrize(
    ("words", "given"),
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
def test_all_that_is_no_recipe_goes_to_pytest_as_it_is(
    words: list[str], given: list[str], project: Project, executed: list[list[str]]
) -> None:
    project.write("recipes/a.yaml")
    named = ["recipes/a.yaml"] if any("recipes/a" in word for word in words) else []
    assert project.call("run", *words).code == 3
    assert executed == [["-m", "pytest", "-p", LOG, *named, *given]]


def test_a_recipe_is_looked_for_here_and_below_the_rootdir(
    project: Project, executed: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = project.write("recipes/poll.yaml")
    monkeypatch.chdir(path.parent)
    project.call("run", "--recipe", "poll.yaml", "--recipe", "recipes/poll.yaml")
    assert executed[0][-2:] == ["poll.yaml", str(path)]
    told = project.call("run", "--recipe", "pol.yaml")
    assert told.code == 2
    assert told.err.endswith("there is no pol.yaml (did you mean 'poll.yaml'?)\n")


def test_where_a_process_cannot_become_another_the_exit_is_handed_on(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(subprocess, "call", lambda command: 5 if command[3:4] == ["-p"] else 0)
    assert project.call("run", "-q").code == 5
