"""Start of a session: what the garbage collector searches during the run."""

import pytest

from pytest_orchestrator.plugin.session import start
from tests.plugin.conftest import Project

pytestmark = (
    pytest.mark.own_interpreters
)  # the server that tests are forked from has frozen objects

_NOTES = """
import atexit
import gc

OWN = [[]]


def note(when):
    with open("searched.txt", "a") as file:
        print(when, any(one is OWN for one in gc.get_objects()), file=file)


def pytest_runtest_logfinish():
    note("item")


atexit.register(note, "end")
"""


def searched(project: Project, *args: str) -> list[str]:
    """Return when an object of the conftest file was among those that are searched."""
    project.recipe("x", {"a": ""})
    project.write("test_own.py", "def test(): pass\n")
    assert project.spawn(*args).ret == 0
    return (project.path / "searched.txt").read_text().splitlines()


@pytest.mark.parametrize("many", [1, 2])
def test_a_run_of_many_steps_searches_no_garbage_among_items(project: Project, many: int) -> None:
    small = f"import {start.__name__} as start\n\nstart._MANY = {many}\n"
    project.write("conftest.py", _NOTES + small)

    assert searched(project, "recipes") == [f"item {many > 1}", "end True"]


def test_a_run_whose_modules_are_not_frozen_leaves_them_out(project: Project) -> None:
    project.write("conftest.py", _NOTES)
    project.write("own.py", "")  # a plugin of the user, so nothing is frozen before conftest files

    assert searched(project, "-p", "own", "recipes") == ["item False", "end True"]


def test_a_session_with_tests_of_the_user_searches_all_objects(project: Project) -> None:
    project.write("conftest.py", _NOTES)
    assert searched(project) == ["item True", "item True", "end True"]


@pytest.mark.parametrize("many", [1, 1_000])
def test_objects_that_the_user_has_frozen_stay_frozen(project: Project, many: int) -> None:
    small = f"import {start.__name__} as start\n\nstart._MANY = {many}\ngc.freeze()\n"
    project.write("conftest.py", _NOTES + small)

    assert searched(project, "recipes") == ["item False", "end False"]
