"""The plugin's entry: imports pytest and the standard library alone until a recipe is met."""

import sys
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin import (
    claims,
    github,
    imports,
    monitoring,
    plain_reports,
    settings,
    specs,
)

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    settings.add(parser)
    monitoring.add(parser.getgroup("recipes"))


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks by which others extend recipes."""
    pluginmanager.add_hookspecs(specs)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(args: list[str]) -> None:
    """Let no path that comes after it be taken for the run to go on from."""
    end = args.index("--") if "--" in args else len(args)
    args[:end] = [
        f"{one}={settings.LATEST}" if one == settings.RESUME else one for one in args[:end]
    ]


@pytest.hookimpl(tryfirst=True, specname="pytest_configure")
def pytest_configure_first(config: pytest.Config) -> None:
    """Let ``--lf`` mean what was blocked, too, where it is asked for so."""
    if config.getoption("recipe_needs") == "snapshot":
        if config.getoption("dist", "no") != "no":
            raise pytest.UsageError(
                "--recipe-needs=snapshot makes the Context what it was before one step, and "
                "workers of pytest-xdist share it with others: add -n0"
            )
        from pytest_orchestrator.plugin import last_failed

        last_failed.widen(config)


def pytest_configure(config: pytest.Config) -> None:
    """Check the settings and make ready for reports of other processes."""
    imports.install()
    settings.check(config)
    root = str(config.rootpath)
    if root not in sys.path:
        # At the end it hides nothing, in whatever way pytest imports tests.
        sys.path.append(root)
    config.addinivalue_line(
        "markers",
        "recipe(path): run the steps of a recipe once before this test, and stop if one fails",
    )
    config.pluginmanager.register(plain_reports.Plain(config), "orchestrator-plain")
    github.join(config)
    if settings.serve_at(config) is not None and not hasattr(config, "workerinput"):
        from pytest_orchestrator.plugin import serving

        config.pluginmanager.register(serving.Serving(config), "orchestrator-serving")
    monitoring.join(config)
    is_distributed = config.getoption("dist", "no") != "no"
    if (settings.jobs(config) > 1 or is_distributed) and not hasattr(config, "workerinput"):
        from pytest_orchestrator.plugin import durations

        config.pluginmanager.register(durations.Durations(config), "orchestrator-durations")
    if is_distributed:
        from pytest_orchestrator.plugin import distribution

        distribution.join(config)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """List the scriptlets instead of running anything, where that is asked for."""
    if not config.getoption("list_steps"):
        return None
    from pytest_orchestrator.plugin import listing

    return listing.show(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the YAML files that are recipes."""
    if file_path.suffix.lower() not in claims.SUFFIXES:
        return None
    config, named = parent.config, parent.session.isinitpath(file_path)
    words = (argument.partition("::")[0] for argument in config.args)
    asked = (config.invocation_params.dir / word for word in words)
    patterns = config.getini("recipe_files")
    claim = claims.claim(file_path, config.rootpath, patterns, asked, named=named)
    if claim is None:
        return None
    if file_path.name.startswith("test") and config.pluginmanager.has_plugin("pytest-workflow"):
        claim = "may be"  # it has files of its own with such names
    from pytest_orchestrator.plugin import unrunnable

    if not unrunnable.HERE:
        return unrunnable.UnrunnableFile.from_parent(parent, path=file_path)
    from pytest_orchestrator.plugin import nodes

    return nodes.recipe_file(file_path, parent, claim)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for a recipe with a Context of its own that one as ``ctx``."""
    mark = metafunc.definition.get_closest_marker("recipe")
    if mark is None or "ctx" not in metafunc.fixturenames:
        return
    from pytest_orchestrator.plugin import needs

    run = needs.recipe_of_mark(mark, metafunc.config)
    if not isinstance(run, str) and run.recipe.context == "recipe":
        metafunc.parametrize("ctx", [run.context], indirect=True, ids=[pytest.HIDDEN_PARAM])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Name the nearest where a recipe or a step is asked for that is not there."""
    try:
        return (yield)
    except pytest.UsageError as error:
        from pytest_orchestrator.plugin import mistyped

        error.args += tuple(mistyped.hints(session.config))
        raise


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Keep recipes whole and in order, and make ready to run them."""
    if session.config.getoption("recipe_var"):
        from pytest_orchestrator.plugin import variables

        variables.check(session.config)
    met_one = "pytest_orchestrator.plugin.nodes" in sys.modules
    asking = [item for item in session.items if item.get_closest_marker("recipe")]
    if met_one or asking:
        from pytest_orchestrator.plugin import order

        order.keep_recipes_whole(session)
    if session.config.getoption("collectonly"):
        for item in asking:
            # VS Code takes who has this for one of several, and looks for the name of each.
            if "[" not in item.name and hasattr(item, "callspec"):
                del item.callspec


@pytest.fixture(scope="session")
def orchestrator_context(pytestconfig: pytest.Config) -> "Context":
    """The Context that all recipes and tests of this session share."""
    from pytest_orchestrator.plugin.state import state_of

    return state_of(pytestconfig).context


@pytest.fixture(scope="session")
def ctx(request: pytest.FixtureRequest, orchestrator_context: "Context") -> "Context":
    """The Context that all recipes and tests share; of a recipe that has its own, that one."""
    context: Context = getattr(request, "param", orchestrator_context)
    return context
