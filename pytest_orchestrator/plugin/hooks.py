"""Entry point of the plugin: pytest's hooks, settings check, import finder.

It imports pytest and the standard library alone until a recipe is met.
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
    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.plugin.journal.recorder import JournalRecorder
    from pytest_orchestrator.plugin.journal.resume import ResumedSession
    from pytest_orchestrator.plugin.journal.step_hooks import StepHooks
    from pytest_orchestrator.recipe import Recipe


class _Factories:
    """Makes what a session has when it is first asked for."""

    def environment(self, config: pytest.Config) -> "Environment":
        """Return what all steps of the session are given."""
        from pytest_orchestrator.plugin.session.run_factory import session_environment

        return session_environment(config)

    def follower(self, config: pytest.Config) -> "StepHooks | None":
        """Return what calls the hooks for steps; None where no plugin has such a hook."""
        from pytest_orchestrator.plugin.journal.step_hooks import StepHooks, has_step_hooks

        return StepHooks(config) if has_step_hooks(config) else None

    def recorder(self, state: SessionState) -> "JournalRecorder":
        """Return the recorder of the journal."""
        from pytest_orchestrator.plugin.journal.recorder import JournalRecorder

        return JournalRecorder(state.config, state)

    def resumed(self, config: pytest.Config) -> "ResumedSession | None":
        """Return the earlier run that this session resumes; None where it resumes none."""
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
    """Declare the hooks by which others extend recipes."""
    pluginmanager.add_hookspecs(hookspecs)


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
    """Check the settings and make ready for reports of other processes."""
    install_finder()
    check_settings(config)
    root = str(config.rootpath)
    if root not in sys.path:
        # At the end it hides nothing, in whatever way pytest imports tests.
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
    """List the scriptlets instead of running anything, where that is asked for."""
    if not config.getoption("list_steps"):
        return None

    return show_scriptlets(config)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Take the YAML files that are recipes."""
    if file_path.suffix.lower() not in file_matching.SUFFIXES:
        return None
    config, named = parent.config, parent.session.isinitpath(file_path)
    words = (argument.partition("::")[0] for argument in config.args)
    asked = (config.invocation_params.dir / word for word in words)
    patterns = config.getini("recipe_files")
    claim = file_matching.claim(file_path, config.rootpath, patterns, asked, named=named)
    if claim is None:
        return None
    if file_path.name.startswith("test") and config.pluginmanager.has_plugin("pytest-workflow"):
        claim = "may be"  # it has files of its own with such names
    from pytest_orchestrator.plugin.collection import unsupported

    if not unsupported.HERE:
        return unsupported.UnrunnableFile.from_parent(parent, path=file_path)
    from pytest_orchestrator.plugin.collection import nodes

    return nodes.recipe_file(file_path, parent, claim)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for a recipe with a Context of its own that one as ``ctx``."""
    mark = metafunc.definition.get_closest_marker("recipe")
    if mark is None or "ctx" not in metafunc.fixturenames:
        return
    from pytest_orchestrator.plugin.collection import needs

    run = needs.recipe_of_mark(mark, metafunc.config)
    if not isinstance(run, str) and run.recipe.context == "recipe":
        metafunc.parametrize("ctx", [run.context], indirect=True, ids=[pytest.HIDDEN_PARAM])


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Expand uses in the arguments, and suggest a similar name for a missing recipe or step."""
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
    """Keep recipes whole and in order, and make ready to run them."""
    if session.config.getoption("recipe_var"):
        from pytest_orchestrator.plugin.collection import hints

        hints.check_vars(session.config)
    met_one = "pytest_orchestrator.plugin.collection.nodes" in sys.modules
    asking = [item for item in session.items if item.get_closest_marker("recipe")]
    if met_one or asking:
        from pytest_orchestrator.plugin.session import start

        start.keep_recipes_whole(session)
    if session.config.getoption("collectonly"):
        for item in asking:
            # VS Code takes who has this for one of several, and looks for the name of each.
            if "[" not in item.name and hasattr(item, "callspec"):
                del item.callspec


@pytest.fixture(scope="session")
def orchestrator_context(pytestconfig: pytest.Config) -> "Context":
    """The Context that all recipes and tests of this session share."""
    from pytest_orchestrator.plugin.session_state import state_of

    return state_of(pytestconfig).context


@pytest.fixture(scope="session")
def ctx(request: pytest.FixtureRequest, orchestrator_context: "Context") -> "Context":
    """The Context that all recipes and tests share; of a recipe that has its own, that one."""
    context: Context = getattr(request, "param", orchestrator_context)
    return context


_OURS = "pytest_orchestrator."


class PackageFinder:
    """Finds what is ours as Python itself would."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of this package is, and nothing for any other."""
        return PathFinder.find_spec(name, path, target) if name.startswith(_OURS) else None


def install_finder() -> None:
    """Ask this finder before pytest's; once in a process."""
    if PackageFinder not in sys.meta_path:
        sys.meta_path.insert(0, PackageFinder)


def show_scriptlets(config: pytest.Config) -> int:
    """Print the listing; return how pytest exits.

    Returns:
        0, or 1 where a file cannot be read.
    """
    from pytest_orchestrator.plugin.collection.file_matching import claimed
    from pytest_orchestrator.plugin.extensions import with_types
    from pytest_orchestrator.plugin.session_state import state_of
    from pytest_orchestrator.recipe.parsing.source import looks_like_recipe
    from pytest_orchestrator.scriptlets.discovery import take
    from pytest_orchestrator.scriptlets.listing import as_text

    root = config.rootpath
    found = claimed(
        [root],
        root,
        config.getini("recipe_files"),
        [root / name for name in config.getini("testpaths")],
    )
    paths = [path for path, claim in found if claim == "must be" or looks_like_recipe(path)]
    known = state_of(config).extensions
    inventory = with_types(take(root, paths, list(map(Path, config.getini("pythonpath")))), known)
    encoding = sys.stdout.encoding or "utf-8"  # which may not have all names of files
    shown = as_text(inventory).encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(f"{shown}\n")
    return 1 if inventory.has_error else 0


def check_settings(config: pytest.Config) -> None:
    """Read every setting once, so that a wrong one is told before anything is collected.

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

        _ = state_of(config).given
    serve_at(config)
    max_log(config)
    max_artifact(config)
    variables.resource_counts(config)
    runner.check(config)
    jobs(config)
    settings.junit_place(config)
    if config.getoption("recipe_resume") or config.getoption("recipe_rerun"):
        from pytest_orchestrator.plugin.session_state import state_of

        _ = state_of(config).resuming
    timeout_factor(config)
    settings.compare_last(config)
    settings.compare_factor(config)
