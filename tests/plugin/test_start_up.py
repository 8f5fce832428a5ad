"""Start-up: a project without recipes imports only the entry point of the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

pytestmark = pytest.mark.own_interpreters

_PRINT_IMPORTS = """
import sys


def pytest_unconfigure():
    tops = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
    rooms = {".".join(name.split(".")[:2]) for name in sys.modules}
    print()
    print("tops:", *sorted(tops))
    print("rooms:", *sorted(name for name in rooms if name.startswith("pytest_orchestrator.")))
"""


def _imported(project: Project, *args: str) -> tuple[set[str], list[str]]:
    """Return the packages that a session imported, and the subpackages of this plugin."""
    project.write("tell.py", _PRINT_IMPORTS)
    others = ("xdist", "rerunfailures", "pytest_jsonreport", "metadata")
    switched = [option for name in others for option in ("-p", f"no:{name}")]
    result = project.spawn("-p", "tell", *switched, *args)
    assert result.ret == 0
    tops, rooms = (
        line.split()[1:] for line in result.outlines if line.startswith(("tops:", "rooms:"))
    )
    return set(tops), [room.removeprefix("pytest_orchestrator.") for room in rooms]


@pytest.fixture
def plain(project: Project) -> Project:
    """A project with a test, a YAML file of another tool, and no recipe."""
    project.write("test_x.py", "def test_x(): pass\n")
    project.write("docker-compose.yaml", "services: {}\n")
    return project


def test_no_package_is_imported_without_a_recipe(plain: Project) -> None:
    without, _ = _imported(plain, "-p", "no:orchestrator")

    tops, rooms = _imported(plain)

    assert tops - without == {"pytest_orchestrator"}
    assert rooms == ["plugin"]


def test_a_recipe_imports_what_it_needs_and_no_more(plain: Project) -> None:
    plain.recipe("x", {"one": ""})

    tops, rooms = _imported(plain)

    assert {"msgspec", "yaml"} <= tops
    assert tops.isdisjoint({"jinja2", "dash", "jsonschema"})
    assert rooms == [
        "context",
        "core",
        "execution",
        "extending",
        "plugin",
        "recipe",
        "reports",
        "runs",
        "scriptlets",
    ]


def test_the_context_fixture_imports_no_yaml(plain: Project) -> None:
    plain.write("test_x.py", "def test_x(ctx):\n    ctx.set('a', 1)\n")

    tops, rooms = _imported(plain)

    assert "yaml" not in tops
    assert rooms == ["context", "core", "plugin"]
