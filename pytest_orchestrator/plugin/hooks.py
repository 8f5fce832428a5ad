"""Entry point of the plugin: pytest's hooks. PYTEST_DONT_REWRITE.

pytest loads this module in every session of every project, and most sessions have no recipe. So it
imports only pytest and the tables of options, and `activation` is imported at the first use of the
plugin. pytest is not to rewrite the asserts of this module, which takes longer than to load it.
"""

import os
import sys
from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin.options import declared

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.instrument import Instrument

_USES_METADATA = ("json_report", "metadata", "metadata_from_json_file")
_UNCOLLECTED: "pytest.StashKey[list[pytest.CollectReport]]" = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    declared.add_options(parser)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks of this plugin for other plugins."""
    from pytest_orchestrator.plugin import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Import the modules of a run if the arguments may name recipes; complete bare options.

    A bare option gets its default value, so that a path after it is not its value.
    """
    words = early_config.known_args_namespace.file_or_dir or early_config.getini("testpaths")
    if any("recipe" in word or ".y" in word for word in words) or os.path.isdir("recipes"):
        from pytest_orchestrator.plugin.session import early

        early.prepare(early_config)
    if any(one.startswith((*declared.REMOVED,)) for one in args):
        from pytest_orchestrator.plugin.options import follow_ups

        follow_ups.refuse_removed(args)
    if not declared.BARE.keys().isdisjoint(args):
        end = args.index("--") if "--" in args else len(args)
        args[:end] = [
            f"{one}={declared.BARE[one]}" if one in declared.BARE else one for one in args[:end]
        ]


@pytest.hookimpl(tryfirst=True, specname="pytest_configure")
def pytest_configure_first(config: pytest.Config) -> None:
    """Make ``--lf`` select blocked steps."""
    if config.getoption("lf", False):
        from pytest_orchestrator.plugin.reporting import last_failed

        last_failed.widen(config)


def pytest_configure(config: pytest.Config) -> None:
    """Activate the plugin if a setting, another plugin or xdist uses it."""
    root = str(config.rootpath)
    if root not in sys.path:
        # Appended, so that it hides no other module in any import mode of pytest.
        sys.path.append(root)
    config.addinivalue_line(
        "markers",
        "recipe(path, matrix={...}): run the steps of a recipe, or of one cell of its matrix, once "
        "before this test, and stop if one fails",
    )
    config.stash[_UNCOLLECTED] = []
    if (
        config.getoption("dist", "no") != "no"  # the workers collect the recipes
        or config.hook.pytest_recipe_step_types.get_hookimpls()
        or config.hook.pytest_recipe_criteria.get_hookimpls()
        or not declared.are_default(config)
    ):
        activate(config)


_ACTIVE = pytest.StashKey[bool]()


def activate(config: pytest.Config) -> None:
    """Activate the plugin in a session, once.

    Raises:
        pytest.UsageError: A setting is wrong.
    """
    if _ACTIVE not in config.stash:
        config.stash[_ACTIVE] = True
        from pytest_orchestrator.plugin import activation

        activation.activate(config, config.stash[_UNCOLLECTED])


@pytest.hookimpl(wrapper=True)
def pytest_report_header(
    config: pytest.Config,
) -> Generator[None, list[str | list[str]], list[str | list[str]]]:
    """Leave out the line of pytest-metadata, unless the project uses what it shows.

    pytest-json-report, which this plugin needs for JSON reports only, installs pytest-metadata.
    """
    lines = yield
    if any(config.getoption(name, None) for name in _USES_METADATA):
        return lines
    hook = getattr(config.hook, "pytest_metadata", None)  # missing with `-p no:metadata`
    if config.pluginmanager.has_plugin("html") or (hook is not None and hook.get_hookimpls()):
        return lines
    return [line for line in lines if not str(line).startswith("metadata: {")]


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Print the scriptlets and return an exit status if ``--list-steps`` is set, else None."""
    if not config.getoption("list_steps"):
        return None
    from pytest_orchestrator.plugin import activation

    return activation.show_scriptlets(config)


def pytest_collect_file(file_path: "Path", parent: pytest.Collector) -> pytest.Collector | None:
    """Return a collector for a YAML file that is a recipe, else None."""
    if file_path.suffix.lower() not in (".yaml", ".yml"):
        return None
    from pytest_orchestrator.plugin.collection import file_matching

    config, named = parent.config, parent.session.isinitpath(file_path)
    here, root = config.invocation_params.dir, config.rootpath
    asked = file_matching.asked_folders(tuple(config.args), here, root)
    patterns = config.getini("recipe_files")
    claim = file_matching.claim(file_path, root, patterns, asked, named=named)
    if claim is None:
        return None
    if file_path.name.startswith("test") and config.pluginmanager.has_plugin("pytest-workflow"):
        claim = "may be"  # pytest-workflow has files with such names too
    from pytest_orchestrator.core.files import gc_paused, gc_paused_for_imports

    is_first = "pytest_orchestrator.plugin.collection.nodes" not in sys.modules
    with gc_paused_for_imports() if is_first else gc_paused():
        activate(config)
        from pytest_orchestrator.plugin.collection import unsupported

        if not unsupported.HERE:
            return unsupported.UnrunnableFile.from_parent(parent, path=file_path)
        from pytest_orchestrator.core.msgspec_import import import_msgspec

        import_msgspec()
        from pytest_orchestrator.plugin.collection import nodes

        return nodes.recipe_file(file_path, parent, claim)


def pytest_exception_interact(node: pytest.Collector | pytest.Item, report: object) -> None:
    """Keep the report of a file that cannot be collected before the plugin is active."""
    config = node.config
    if isinstance(report, pytest.CollectReport) and _ACTIVE not in config.stash:
        config.stash[_UNCOLLECTED].append(report)


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Replace ``use`` entries in arguments by their steps; add hints for mistyped arguments."""
    deselected = session.config.getoption("deselect", None) or ()
    if any(".y" in word and "::" in word for word in (*session.config.args, *deselected)):
        activate(session.config)
        from pytest_orchestrator.plugin.collection import hints

        hints.expand_uses(session.config)
    try:
        return (yield)
    except pytest.UsageError as error:
        activate(session.config)
        from pytest_orchestrator.plugin.collection import hints

        error.args += tuple(hints.mistyped_hints(session.config))
        raise
    finally:
        if expressions := sys.modules.get("pytest_orchestrator.recipe.expressions.expression"):
            expressions.end_collection()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Order the items so that each recipe's steps are together; prepare the session."""
    if any(map(session.config.getoption, ("recipe_var", "recipe_answer", "recipe_answers"))):
        from pytest_orchestrator.plugin import activation

        activation.check_given(session.config)
    is_loaded = "pytest_orchestrator.plugin.collection.nodes" in sys.modules
    has_recipes = is_loaded and _ACTIVE in session.config.stash
    marked = [item for item in session.items if item.get_closest_marker("recipe")]
    has_steps = False
    if has_recipes or marked:
        activate(session.config)
        from pytest_orchestrator.core.files import gc_paused_for_imports

        with gc_paused_for_imports():
            from pytest_orchestrator.plugin.session import start

            try:
                has_steps = start.keep_recipes_whole(session)
            except pytest.UsageError as error:
                if not hasattr(session.config, "workerinput"):
                    raise
                start.refuse_in_worker(session, error)
    if session.config.getoption("recipe_break"):
        from pytest_orchestrator.plugin.questions import breaks

        breaks.check_steps(session.config)
    runs = session.config.rootpath / str(session.config.getini("recipe_run_dir"))
    if not has_steps and runs.is_dir():
        from pytest_orchestrator.runs.journal.debt_marks import may_have_debts

        if may_have_debts(runs):
            from pytest_orchestrator.plugin.instruments import owed

            owed.say_later(session.config)


def pytest_terminal_summary(terminalreporter: Any, exitstatus: int, config: pytest.Config) -> None:
    """Name files that look like recipes and are none, if no test was collected."""
    if exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        from pytest_orchestrator.plugin.collection import hints

        for line in hints.not_claimed_in(config):
            terminalreporter.write_line(f"orchestrator: {line}")


@pytest.fixture(scope="session")
def orchestrator_context(pytestconfig: pytest.Config) -> "Context":
    """The Context that all recipes and tests of this session share."""
    activate(pytestconfig)
    from pytest_orchestrator.plugin.session_state import state_of

    return state_of(pytestconfig).context


@pytest.fixture(scope="session")
def ctx(pytestconfig: pytest.Config, orchestrator_context: "Context") -> "Context":
    """The Context of the session, or the own Context of the recipe that the test requests."""
    from pytest_orchestrator.plugin.session_state import state_of

    own = state_of(pytestconfig).own_context
    return orchestrator_context if own is None else own


@pytest.fixture(scope="module")
def _instruments_of_module(request: pytest.FixtureRequest) -> "Iterator[None]":
    """End the use of instruments by the tests of a module after the last of them."""
    yield
    from pytest_orchestrator.plugin.instruments.bench import bench_plugin

    plugin = bench_plugin(request.config)
    if plugin is not None:
        plugin.release(request.node.nodeid)


@pytest.fixture
def instrument(
    request: pytest.FixtureRequest,
    pytestconfig: pytest.Config,
    _instruments_of_module: None,
) -> "Callable[[str], Instrument]":
    """Function that returns the handle of an instrument of the station: `instrument("psu")`."""
    activate(pytestconfig)
    from pytest_orchestrator.plugin.instruments import bench, owed
    from pytest_orchestrator.plugin.session import journal
    from pytest_orchestrator.plugin.session_state import state_of

    def begin(session: pytest.Session) -> None:
        journal.begin(session, state_of(pytestconfig))
        owed.send_owed(pytestconfig)

    return bench.opener_for(request, begin)
