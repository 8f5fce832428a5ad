"""Start-up: a project without recipes imports only the entry point of the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.runs import lookup

if TYPE_CHECKING:
    from pathlib import Path

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
    ours = [name for name in sys.modules if name.startswith("pytest_orchestrator.")]
    found = {name: type(sys.modules[name].__spec__.loader).__name__ for name in ours}
    print("rewritten:", *(name for name in ours if found[name] == "AssertionRewritingHook"))
    if "pytest_orchestrator.plugin.activation" not in sys.modules:
        print("unused:", *sorted(name for name in sys.modules if "orchestrator.plugin." in name))
    print("journal:", *sorted(name for name in sys.modules if "plugin.journal." in name))
"""


_OTHERS = ("xdist", "xdist.looponfail", "rerunfailures", "pytest_jsonreport", "metadata")


def _imported(project: Project, *args: str) -> tuple[set[str], list[str]]:
    """Return the packages that a session imported, and the subpackages of this plugin."""
    project.write("tell.py", _PRINT_IMPORTS)
    switched = [option for name in _OTHERS for option in ("-p", f"no:{name}")]
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


# The tests switch the page off in all sessions, and a setting activates the plugin.
_DEFAULT = ("-o", "recipe_html=true")


def test_a_session_without_a_recipe_loads_only_hooks_and_declarations(plain: Project) -> None:
    plain.write("tell.py", _PRINT_IMPORTS)
    result = plain.spawn("-p", "tell", *_DEFAULT)

    loaded = next(line for line in result.outlines if line.startswith("unused:")).split()[1:]
    assert [name.removeprefix("pytest_orchestrator.plugin.") for name in loaded] == [
        *("collection", "collection.file_matching"),  # for the YAML file
        *("hooks", "hookspecs", "options", "options.declared", "package_finder"),
    ]
    assert "rewritten: pytest_orchestrator.plugin" in result.outlines  # found before the finder

    more = next(
        line
        for line in plain.spawn("-p", "tell", "--lf", *_DEFAULT).outlines
        if line.startswith("unused:")
    )
    added = ["registered", "reporting", "reporting.last_failed"]
    assert {f"pytest_orchestrator.plugin.{name}" for name in added} == {*more.split()[1:]} - {
        *loaded
    }


def test_a_file_of_the_project_is_complete_after_the_interpreter_has_ended(
    project: Project,
) -> None:
    # A module that pytest has loaded holds pytest's configuration. An import finder of such a
    # module would hold it until the interpreter can no longer write what is in a buffer.
    project.write(
        "conftest.py",
        """
        class Log:
            def __init__(self, config):
                self.config = config
                self.file = open("log.txt", "w")
                self.file.write("measured")

        def pytest_configure(config):
            config.log = Log(config)
        """,
    )
    project.recipe("x", {"a": ""})
    others = (*_OTHERS, "anyio", "hypothesispytest", "platformdirs", "randomly")
    result = project.spawn(*(option for name in others for option in ("-p", f"no:{name}")))

    result.assert_outcomes(passed=1)
    assert (project.path / "log.txt").read_text() == "measured"


@pytest.mark.parametrize(
    ("setting", "is_active"),
    [
        ("recipe_keep_runs = 20", False),
        ("recipe_keep_runs = 5", True),
        ("recipe_html = false", True),
        ("recipe_files = x.yaml", True),
        ("recipe_resources = scope=2", True),
    ],
)
def test_a_setting_with_another_value_activates_the_plugin(
    plain: Project, setting: str, is_active: bool
) -> None:
    plain.ini(setting)
    plain.write(
        "conftest.py",
        """
        def pytest_sessionfinish(session):
            active = session.config.pluginmanager.has_plugin("orchestrator-plain")
            print(f"\\nactive: {active}")
        """,
    )
    options = () if "html" in setting else _DEFAULT

    assert f"active: {is_active}" in plain.run(*options).outlines


def test_a_file_that_fails_before_the_first_recipe_is_in_the_record_of_the_run(
    project: Project,
) -> None:
    project.write("a/test_broken.py", "import missing_module\n")
    recipe = project.recipe("x", {"one": "type: shell, cmd: 'true', parse: text"})

    result = project.run(*_DEFAULT, "--continue-on-collection-errors", "a", recipe)

    result.assert_outcomes(passed=1, errors=1)
    (record,) = (lookup.load_record(path) for path in _runs(project))
    assert [file.path for file in record.uncollected] == ["a/test_broken.py"]


def _runs(project: Project) -> list[Path]:
    return [one for one in (project.path / ".orchestrator/runs").iterdir() if not one.is_symlink()]


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


def test_a_list_of_the_steps_imports_no_recorder_of_a_journal(plain: Project) -> None:
    plain.recipe("x", {"one": ""})
    plain.write("tell.py", _PRINT_IMPORTS)

    result = plain.spawn("-p", "tell", "--collect-only", "-q")

    assert "recipes/x.yaml::one" in result.outlines
    assert "journal:" in [line.strip() for line in result.outlines]


_UNUSED_BY_SHELL_STEPS = (
    *("jinja2", "jsonschema", "psutil", "dotenv", "httpx", "distributed"),
    *("asyncio", "encodings.idna", "fractions", "getpass", "http", "logging.handlers", "pickle"),
    *("socketserver", "statistics", "tracemalloc"),
    "pytest_orchestrator.addons",
    "pytest_orchestrator.context.rpc.server",
    "pytest_orchestrator.addons",
    "pytest_orchestrator.execution.remote",
    "pytest_orchestrator.execution.steps.custom",
    "pytest_orchestrator.execution.steps.python_inline",
    "pytest_orchestrator.execution.steps.python_process",
    "pytest_orchestrator.plugin.journal.baseline",
    "pytest_orchestrator.plugin.journal.snapshots",
    "pytest_orchestrator.plugin.questions.session",
    "pytest_orchestrator.plugin.reporting.github",
    "pytest_orchestrator.recipe.editor_schema",
    "pytest_orchestrator.recipe.expressions.sandbox",
    "pytest_orchestrator.recipe.loader.criteria",
    "pytest_orchestrator.recipe.loader.inputs",
    "pytest_orchestrator.recipe.fields.nested",
    "pytest_orchestrator.reports.block_schema",
    "pytest_orchestrator.runs.resume.restore",
    "pytest_orchestrator.scriptlets",
)
"""Modules that a session of two shell steps does not import, and their submodules."""


def test_two_shell_steps_with_their_page_import_only_what_they_use(project: Project) -> None:
    keys = "type: shell, cmd: 'true', parse: text"
    recipe = project.recipe("x", {"one": keys, "two": keys})
    project.write(
        "tell.py",
        """
        import atexit
        import pdb  # each session of pytest does, and on Python 3.14 it imports asyncio
        import sys
        from pathlib import Path

        before = set(sys.modules)

        def write():
            Path("modules.txt").write_text("\\n".join(sorted(set(sys.modules) - before)))

        atexit.register(write)
        """,
    )
    switched = [option for name in _OTHERS for option in ("-p", f"no:{name}")]

    result = project.spawn("-p", "tell", *switched, *_DEFAULT, recipe)

    result.assert_outcomes(passed=2)
    assert [*project.path.glob(".orchestrator/runs/*/report.html")]
    imported = (project.path / "modules.txt").read_text().split()
    unused = tuple(f"{name}." for name in _UNUSED_BY_SHELL_STEPS)
    assert [name for name in imported if f"{name}.".startswith(unused)] == []


def test_the_context_fixture_imports_no_yaml(plain: Project) -> None:
    plain.write("test_x.py", "def test_x(ctx):\n    ctx.set('a', 1)\n")

    tops, rooms = _imported(plain)

    assert "yaml" not in tops
    assert rooms == ["context", "core", "plugin"]
