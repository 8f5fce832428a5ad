"""Import of the modules of a run before conftest files, and what of them stays frozen."""

import pytest

from tests.plugin.conftest import Project

pytestmark = pytest.mark.own_interpreters

_NOTES = """
import atexit
import gc
import sys

OWN = [[]]
BEFORE = {name for name in sys.modules if name.startswith("pytest_orchestrator")}


def note():
    later = {name for name in sys.modules if name.startswith("pytest_orchestrator")} - BEFORE
    frozen = gc.get_freeze_count() > 1_000
    searched = any(one is OWN for one in gc.get_objects())
    with open("notes.txt", "a") as file:
        print(f"frozen {frozen}, own searched {searched}, later {sorted(later)}", file=file)


def pytest_unconfigure():
    note()
"""
_SHELL = "type: shell, cmd: 'true', parse: text"
_DEFAULT = ("-o", "recipe_html=true", "-p", "no:xdist")


def noted(project: Project, *args: str, notes: str = _NOTES) -> str:
    project.write("conftest.py", notes)
    assert project.spawn(*args).ret == 0
    return (project.path / "notes.txt").read_text().strip()


@pytest.mark.parametrize("named", ["recipes", "recipes/x.yaml", "recipes/x.yaml::a", "."])
def test_all_modules_of_a_run_and_its_page_are_imported_before_conftests(
    project: Project, named: str
) -> None:
    project.recipe("x", {"a": _SHELL, "b": _SHELL})

    assert noted(project, *_DEFAULT, named) == "frozen True, own searched True, later []"


def test_without_the_page_its_modules_are_not_imported(project: Project) -> None:
    project.recipe("x", {"a": _SHELL})
    notes = _NOTES.replace("- BEFORE", "& {'pytest_orchestrator.reports.views'}")

    assert noted(project, "recipes", notes=notes).endswith("later []")


def test_testpaths_that_name_recipes_count(project: Project) -> None:
    project.recipe("x", {"a": _SHELL})
    (project.path / "recipes").rename(project.path / "bench.recipes")
    (project.path / "bench").mkdir()
    (project.path / "bench.recipes").rename(project.path / "bench/recipes")
    project.ini("testpaths = bench/recipes")

    assert noted(project).startswith("frozen True")


@pytest.mark.parametrize("args", [("test_own.py",), ("tests",), ("--collect-only", "recipes")])
def test_other_sessions_import_nothing_early(project: Project, args: tuple[str, ...]) -> None:
    project.recipe("x", {"a": _SHELL})
    project.write("test_own.py", "def test(): pass\n")
    project.write("tests/test_more.py", "def test(): pass\n")
    notes = _NOTES + "\n\nassert 'pytest_orchestrator.recipe' not in sys.modules\n"

    assert noted(project, *args, notes=notes).startswith("frozen False")


_AT_IMPORT = (
    _NOTES + "\n\nnote()\n"
)  # a small session freezes its modules and items at a first step


def test_a_program_that_calls_pytest_keeps_its_objects_searched(project: Project) -> None:
    project.recipe("x", {"a": _SHELL})
    project.write("conftest.py", _AT_IMPORT)
    project.write("program.py", "import pytest\n\npytest.main(['recipes'])\n")

    assert project.pytester.runpython(project.path / "program.py").ret == 0
    assert (project.path / "notes.txt").read_text().startswith("frozen False")


def test_a_plugin_of_the_command_line_keeps_its_objects_searched(project: Project) -> None:
    project.recipe("x", {"a": _SHELL})
    project.write("own.py", "")

    assert noted(project, "-p", "own", "recipes", notes=_AT_IMPORT).startswith("frozen False")


_FINALISED = """
import os


class Own:
    def __init__(self):
        self.own = self

    def __del__(self, tell=os.write):
        tell(2, b"own object finalised\\n")


def pytest_configure(config):
    config.own = Own()
"""


def test_objects_of_the_user_on_the_configuration_are_finalised_at_the_end(
    project: Project,
) -> None:
    project.recipe("x", {"a": _SHELL})
    project.write("conftest.py", _FINALISED)

    assert "own object finalised" in project.spawn("recipes").errlines
