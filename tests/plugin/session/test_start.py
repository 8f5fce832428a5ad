"""Start of a session: what the garbage collector searches during the run."""

import pytest

from tests.plugin.conftest import Project

pytestmark = (
    pytest.mark.own_interpreters
)  # the server that tests are forked from has frozen objects

_NOTES = """
import atexit
import gc


def note(when):
    with open("frozen.txt", "a") as file:
        print(when, gc.get_freeze_count() > 1_000, file=file)


def pytest_runtest_logfinish():
    note("item")


atexit.register(note, "end")
"""


def frozen(project: Project, *args: str) -> list[str]:
    project.recipe("x", {"a": ""})
    project.write("test_own.py", "def test(): pass\n")
    assert project.spawn(*args).ret == 0
    return (project.path / "frozen.txt").read_text().splitlines()


def test_a_run_of_recipes_searches_no_garbage_among_modules_and_items(project: Project) -> None:
    project.write("conftest.py", _NOTES)
    assert frozen(project, "recipes") == ["item True", "end False"]


def test_a_session_with_tests_of_the_user_searches_all_objects(project: Project) -> None:
    project.write("conftest.py", _NOTES)
    assert frozen(project) == ["item False", "item False", "end False"]


def test_objects_that_the_user_has_frozen_stay_frozen(project: Project) -> None:
    project.write("conftest.py", f"{_NOTES}gc.freeze()\n")
    assert frozen(project, "recipes") == ["item True", "end True"]
