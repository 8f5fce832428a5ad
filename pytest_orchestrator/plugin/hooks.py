"""Entry point of the plugin: pytest's hooks, check of settings, import finder.

Until pytest finds a recipe, only pytest, the standard library and this subpackage are imported.
"""

import sys
from collections.abc import Generator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin import hookspecs, monitor_process
from pytest_orchestrator.plugin.collection import file_matching
from pytest_orchestrator.plugin.options import runner, settings, variables
from pytest_orchestrator.plugin.options.settings import (
    jobs,
    keep_runs,
    max_artifact,
    max_log,
    serve_at,
    shell,
    size_limit,
    timeout,
    timeout_factor,
)
from pytest_orchestrator.plugin.options.values import list_of
from pytest_orchestrator.plugin.reporting import github
from pytest_orchestrator.plugin.results import blocks
from pytest_orchestrator.plugin.session_state import FACTORIES, SessionState

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.execution.run_config import RunConfig
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.plugin.journal.recorder import JournalRecorder
    from pytest_orchestrator.plugin.journal.resume import ResumedSession
    from pytest_orchestrator.plugin.journal.step_hooks import StepHooks
    from pytest_orchestrator.recipe import Recipe


class _Factories:
    """Factory of the parts of a session, whose modules are imported at the first use."""

    def run_config(self, state: SessionState) -> "RunConfig":
        """Return the settings of all runs of the session."""
        from pytest_orchestrator.plugin.session.run_factory import session_config

        return session_config(state)

    def step_hooks(self, config: pytest.Config) -> "StepHooks | None":
        """Return the caller of the step hooks; None if no plugin implements a step hook."""
        from pytest_orchestrator.plugin.journal.step_hooks import StepHooks, has_step_hooks

        return StepHooks(config) if has_step_hooks(config) else None

    def recorder(self, state: SessionState) -> "JournalRecorder":
        """Return the journal recorder."""
        from pytest_orchestrator.plugin.journal.recorder import JournalRecorder

        return JournalRecorder(state.config, state)

    def resumed(self, config: pytest.Config) -> "ResumedSession | None":
        """Return the earlier run that this session resumes; None if it resumes no run."""
        from pytest_orchestrator.plugin.journal.resume import resumed_session

        return resumed_session(config)

    def run(self, state: SessionState, recipe: "Recipe") -> "RecipeRun":
        """Return a new run of a recipe."""
        from pytest_orchestrator.plugin.session.run_factory import new_run

        return new_run(state, recipe)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and ini keys."""
    settings.add_options(parser)
    monitor_process.add_monitor_option(parser.getgroup("recipes"))


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks of this plugin for other plugins."""
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(args: list[str]) -> None:
    """Add the default value to a bare ``--recipe-resume``, so a path after it is not its value."""
    end = args.index("--") if "--" in args else len(args)
    args[:end] = [
        f"{one}={settings.LATEST}" if one == settings.RESUME else one for one in args[:end]
    ]


@pytest.hookimpl(tryfirst=True, specname="pytest_configure")
def pytest_configure_first(config: pytest.Config) -> None:
    """Install the factory of session parts.

    With ``--recipe-needs=snapshot``, also make ``--lf`` select blocked steps.
    """
    config.stash[FACTORIES] = _Factories()
    if config.getoption("recipe_needs") == "snapshot":
        if config.getoption("dist", "no") != "no":
            raise pytest.UsageError(
                "--recipe-needs=snapshot makes the Context what it was before one step, and "
                "workers of pytest-xdist share it with others: add -n0"
            )
        from pytest_orchestrator.plugin.reporting import last_failed

        last_failed.widen(config)


def pytest_configure(config: pytest.Config) -> None:
    """Check the settings; register the plugins that work without recipes."""
    install_finder()
    check_settings(config)
    root = str(config.rootpath)
    if root not in sys.path:
        # Appended, so that it hides no other module in any import mode of pytest.
        sys.path.append(root)
    config.addinivalue_line(
        "markers",
        "recipe(path): run the steps of a recipe once before this test, and stop if one fails",
    )
    config.pluginmanager.register(blocks.PlainReports(config), "orchestrator-plain")
    github.join(config)
    if settings.serve_at(config) is not None and not hasattr(config, "workerinput"):
        from pytest_orchestrator.plugin import context_access

        config.pluginmanager.register(
            context_access.SessionContextServer(config), "orchestrator-serving"
        )
    monitor_process.start_monitor(config)
    is_distributed = config.getoption("dist", "no") != "no"
    if (settings.jobs(config) > 1 or is_distributed) and not hasattr(config, "workerinput"):
        from pytest_orchestrator.plugin.journal import baseline

        config.pluginmanager.register(baseline.StepDurations(config), "orchestrator-durations")
    if is_distributed:
        from pytest_orchestrator.plugin.xdist import controller

        controller.join(config)


def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """Print the scriptlets and return an exit status if ``--list-steps`` is set, else None."""
    if not config.getoption("list_steps"):
        return None

    return show_scriptlets(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Return a collector for a YAML file that is a recipe, else None."""
    if file_path.suffix.lower() not in file_matching.SUFFIXES:
        return None
    config, named = parent.config, parent.session.isinitpath(file_path)
    names = (argument.partition("::")[0] for argument in config.args)
    asked = (config.invocation_params.dir / name for name in names)
    patterns = config.getini("recipe_files")
    claim = file_matching.claim(file_path, config.rootpath, patterns, asked, named=named)
    if claim is None:
        return None
    if file_path.name.startswith("test") and config.pluginmanager.has_plugin("pytest-workflow"):
        claim = "may be"  # pytest-workflow has files with such names too
    from pytest_orchestrator.plugin.collection import unsupported

    if not unsupported.HERE:
        return unsupported.UnrunnableFile.from_parent(parent, path=file_path)
    from pytest_orchestrator.plugin.collection import nodes

    return nodes.recipe_file(file_path, parent, claim)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Set ``ctx`` of a test to the Context of its marker's recipe, if the recipe has its own."""
    mark = metafunc.definition.get_closest_marker("recipe")
    if mark is None or "ctx" not in metafunc.fixturenames:
        return
    from pytest_orchestrator.plugin.collection import needs

    run = needs.recipe_of_mark(mark, metafunc.config)
    if not isinstance(run, str) and run.recipe.context == "recipe":
        metafunc.parametrize("ctx", [run.context], indirect=True, ids=[pytest.HIDDEN_PARAM])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Replace ``use`` entries in arguments by their steps; add hints for mistyped arguments."""
    deselected = session.config.getoption("deselect", None) or ()
    if any(".y" in word and "::" in word for word in (*session.config.args, *deselected)):
        from pytest_orchestrator.plugin.collection import hints

        hints.expand_uses(session.config)
    try:
        return (yield)
    except pytest.UsageError as error:
        from pytest_orchestrator.plugin.collection import hints

        error.args += tuple(hints.mistyped_hints(session.config))
        raise


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Order the items so that each recipe's steps are together; prepare the session."""
    if session.config.getoption("recipe_var"):
        from pytest_orchestrator.plugin.collection import hints

        hints.check_vars(session.config)
    if session.config.getoption("recipe_answer") or session.config.getoption("recipe_answers"):
        from pytest_orchestrator.plugin.questions.session import check_answers

        check_answers(session.config)
    has_recipes = "pytest_orchestrator.plugin.collection.nodes" in sys.modules
    marked = [item for item in session.items if item.get_closest_marker("recipe")]
    if has_recipes or marked:
        from pytest_orchestrator.plugin.session import start

        start.keep_recipes_whole(session)
    if session.config.getoption("collectonly"):
        for item in marked:
            # VS Code takes an item with `callspec` for a parametrized one with brackets.
            if "[" not in item.name and hasattr(item, "callspec"):
                del item.callspec


@pytest.fixture(scope="session")
def orchestrator_context(pytestconfig: pytest.Config) -> "Context":
    """The Context that all recipes and tests of this session share."""
    from pytest_orchestrator.plugin.session_state import state_of

    return state_of(pytestconfig).context


@pytest.fixture(scope="session")
def ctx(request: pytest.FixtureRequest, orchestrator_context: "Context") -> "Context":
    """The Context of the session, or the own Context of the recipe that the test requests."""
    context: Context = getattr(request, "param", orchestrator_context)
    return context


_OURS = "pytest_orchestrator."


class PackageFinder:
    """Import finder that finds this package by Python's own path finder."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of this package; None for any other module."""
        return PathFinder.find_spec(name, path, target) if name.startswith(_OURS) else None


def install_finder() -> None:
    """Put `PackageFinder` ahead of pytest's assertion rewriter, once per process."""
    if PackageFinder not in sys.meta_path:
        sys.meta_path.insert(0, PackageFinder)


def show_scriptlets(config: pytest.Config) -> int:
    """Print the list of scriptlets.

    Returns:
        The exit status of pytest: 0, or 1 if a file cannot be read.
    """
    from pytest_orchestrator.plugin.collection.file_matching import claimed
    from pytest_orchestrator.plugin.extensions import with_types
    from pytest_orchestrator.plugin.session_state import state_of
    from pytest_orchestrator.recipe.parsing.source import looks_like_recipe
    from pytest_orchestrator.scriptlets.discovery import discover
    from pytest_orchestrator.scriptlets.listing import as_text

    root = config.rootpath
    candidates = claimed(
        [root],
        root,
        config.getini("recipe_files"),
        [root / name for name in config.getini("testpaths")],
    )
    paths = [path for path, claim in candidates if claim == "must be" or looks_like_recipe(path)]
    extensions = state_of(config).extensions
    scriptlets = discover(root, paths, list(map(Path, config.getini("pythonpath"))))
    inventory = with_types(scriptlets, extensions)
    encoding = sys.stdout.encoding or "utf-8"  # it may not encode every file name
    text = as_text(inventory).encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(f"{text}\n")
    return 1 if inventory.has_error else 0


def check_settings(config: pytest.Config) -> None:
    """Read every setting, so that an invalid setting is an error before the collection.

    Raises:
        pytest.UsageError: A setting is wrong.
    """
    settings.check_booleans(config)
    for key in ("recipe_files", "recipe_secret_names"):
        list_of(config, key)
    if config.hook.pytest_recipe_step_types.get_hookimpls() or (
        config.hook.pytest_recipe_criteria.get_hookimpls()
    ):
        from pytest_orchestrator.plugin.session_state import state_of

        _ = state_of(config).extensions
    size_limit(config)
    shell(config)
    timeout(config)
    keep_runs(config)
    if config.getoption("recipe_var") or config.getoption("recipe_vars_file"):
        from pytest_orchestrator.plugin.session_state import state_of

        _ = state_of(config).var_values
    if config.getoption("recipe_answer") or config.getoption("recipe_answers"):
        from pytest_orchestrator.plugin.questions.session import given_answers

        given_answers(config)
    serve_at(config)
    max_log(config)
    max_artifact(config)
    variables.resource_counts(config)
    runner.check(config)
    jobs(config)
    settings.junit_place(config)
    settings.requirements_are_strict(config)
    if config.getoption("recipe_resume") or config.getoption("recipe_rerun"):
        from pytest_orchestrator.plugin.session_state import state_of

        _ = state_of(config).resumed
    timeout_factor(config)
    settings.compare_last(config)
    settings.compare_factor(config)
