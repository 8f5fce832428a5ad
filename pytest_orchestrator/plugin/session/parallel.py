"""Parallel steps of a session: steps that run ahead of their items, and their reports.

A step has the same result and reports as in a sequential run; only its code may run before
pytest reaches its item.
"""

import ast
import inspect
import sysconfig
import types
from collections.abc import Generator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.execution.scheduling.tasks import FailFast, StepDependencies
from pytest_orchestrator.execution.scheduling.units import needs_of
from pytest_orchestrator.plugin.collection.needs import NEEDS, Needs, has_snapshot
from pytest_orchestrator.plugin.collection.nodes import StepItem
from pytest_orchestrator.plugin.interrupts import interrupt_text
from pytest_orchestrator.plugin.journal import baseline
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.reporting import header
from pytest_orchestrator.plugin.reporting.reports import manual_reports
from pytest_orchestrator.plugin.reporting.worker_reports import report_later, reporter_without_stops
from pytest_orchestrator.plugin.session.finally_steps import INTERRUPTS
from pytest_orchestrator.plugin.session_state import SERIAL, state_of
from pytest_orchestrator.recipe import Problem, RecipeError
from pytest_orchestrator.recipe.model.step import CodeStep

if TYPE_CHECKING:
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.recipe.model.step import Step

_INSTALLED = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_OURS = str(Path(__file__).parents[2])


def start(session: pytest.Session) -> "dict[str, str]":
    """Plan the steps that run ahead of their items; register the plugin that reports them.

    With ``--collect-only`` no step is planned and no plugin is registered.

    Returns:
        For each recipe that must run one step at a time, the reason, by the key of the recipe.
    """
    runs = [*state_of(session.config).runs.values()]
    if settings.slots(session.config)[0] == 1:  # without --recipe-jobs: panels alone
        runs = [run for run in runs if run.recipe.units is not None]
    usage = _RecipeUsage(session)
    durations = baseline.known_durations(session.config)
    for run in runs:
        why = _why_serial(session.config) or usage.why_serial(run)
        if why:
            usage.serial[run.recipe.key] = why
        if run.recipe.units is not None and not session.config.option.collectonly:
            usage.refuse_units(run, why)
        if why or session.config.option.collectonly:
            continue
        nodes = {step.name: run.recipe.node(step.name) for step in run.recipe.steps}
        seconds = {name: durations[node] for name, node in nodes.items() if node in durations}
        run.workers.plan(usage.dependencies(run), seconds)
        run.workers.fail_fast = _fail_fast(session, usage.counted(run))
    if not session.config.option.collectonly:
        session.config.pluginmanager.register(ParallelSession(session, runs), "orchestrator-jobs")
    return usage.serial


def _fail_fast(session: pytest.Session, counted: set[str]) -> FailFast:
    """Return the limit of failures that ``-x`` or ``--maxfail`` sets for the steps of a recipe.

    Args:
        session: The session.
        counted: Names of the steps whose failures count.
    """
    most: int = session.config.getoption("maxfail")
    if not most:
        return FailFast()
    return FailFast(counted, lambda: most - session.testsfailed, f"stopping after {most} failures")


def _why_serial(config: pytest.Config) -> str:
    """Return the reason why no recipe of the session may run parallel steps, or empty text."""
    for option, name in (("usepdb", "--pdb"), ("trace", "--trace")):
        if config.getoption(option, False):
            return name
    if config.getoption("capture", None) == "no":
        return "-s"
    return "a debugger is attached" if state_of(config).run_config.runs_inline else ""


class _RecipeUsage:
    """Index of the items of a session by the recipes that the items use."""

    def __init__(self, session: pytest.Session) -> None:
        self._config = session.config
        self._steps: dict[str, list[StepItem]] = {}
        self._needed: dict[str, set[str]] = {}
        self._refused: dict[str, set[str]] = {}
        self._first: dict[str, pytest.Item] = {}
        self.serial: dict[str, str] = {}
        self._fixtures = _UserFixtures(session.config)
        for item in session.items:
            self._note(item)

    def _note(self, item: pytest.Item) -> None:
        needs = item.stash.get(NEEDS, None)
        if isinstance(item, StepItem):
            recipe = item.recipe.key
            self._steps.setdefault(recipe, []).append(item)
        elif isinstance(needs, Needs):
            recipe = needs.run.recipe.key
        else:
            return
        self._first.setdefault(recipe, item)
        if not isinstance(needs, Needs):
            return
        for run, steps in needs.asked:
            self._first.setdefault(run.recipe.key, item)
            self._needed.setdefault(run.recipe.key, set()).update(step.name for step in steps)
        if needs.refused and isinstance(item, StepItem):
            self._refused.setdefault(recipe, set()).add(item.step.name)

    def _wanted(self, run: "RecipeRun") -> "list[Step]":
        """Return the selected and needed steps without a restored result, in recipe order."""
        recipe = run.recipe
        chosen = {item.step.name for item in self._steps.get(recipe.key, ())}
        names = (chosen | self._needed.get(recipe.key, set())) - self._refused.get(
            recipe.key, set()
        )
        restored = run.results
        return [step for step in recipe.steps if step.name in names and step.name not in restored]

    def dependencies(self, run: "RecipeRun") -> dict[str, StepDependencies]:
        """Return the dependencies of each step that may run ahead, by the name of the step."""
        wanted = self._wanted(run)
        counts = {step.name for step in wanted} | self._refused.get(run.recipe.key, set())
        only_selected = self._config.getoption("recipe_needs") == "none"

        def of(step: "Step") -> StepDependencies:
            needs = [need for need in step.needs if need in counts or not only_selected]
            after = [other for other in step.after if other in counts]
            own, units = needs_of(run.recipe, step, needs)
            return StepDependencies(own, after, units)

        found = {step.name: of(step) for step in wanted}
        for step in run.recipe.final:  # those of a unit run when the unit has ended
            own = [one.name for one in wanted if one.unit == step.unit]
            if step.unit and own:
                found[step.name] = StepDependencies(step.needs, (*step.after, *own))
        return found

    def refuse_units(self, run: "RecipeRun", why: str) -> None:
        """Refuse a panel whose units cannot start together, or take turns, in this session.

        Args:
            run: The run of a recipe with units.
            why: The reason why its steps run one at a time; empty if they do not.

        Raises:
            UsageError: The message names the step and the cure.
        """
        wanted = self._wanted(run)
        slots = 1 if why else run.workers.slots
        for step in wanted:
            units = {one.unit for one in wanted if one.unit and step.at == one.at}
            most, cause = slots, why or f"--recipe-jobs={slots}"
            for name, number in step.resources.items():
                count = run.config.resource_units.get(name, number) // number
                if count < most:
                    most, cause = count, f"resource '{name}'"
            key = "scope" if step.scope == "together" and len(units) > most else ""
            if why and step.turn and len(units) > 1:
                key = "turn"
            if not key:
                continue
            base = step.name.partition("[")[0]
            head = f"step '{base}' of {len(units)} units needs {len(units)} slots at once"
            if key == "turn":
                head = f"step '{base}' has a turn, and its units run one step at a time"
            problem = Problem(
                step.at[key], head, hint=f"{cause}; one unit alone: -k unit:{step.unit}"
            )
            source = run.recipe.source(step)
            raise pytest.UsageError(str(RecipeError([problem], source.id, source.text)))

    def counted(self, run: "RecipeRun") -> set[str]:
        """Return the names of the steps whose failures count for ``-x`` and ``--maxfail``.

        Steps that may be rerun, or that are expected to fail, do not count.
        """
        if self._config.getoption("reruns", 0) or (
            self._config.pluginmanager.has_plugin("rerunfailures") and self._config.getini("reruns")
        ):
            return set()
        items = self._steps.get(run.recipe.key, ())
        marks = ("flaky", "xfail")  # failures of items with these marks do not stop a session
        return {item.step.name for item in items if not any(map(item.get_closest_marker, marks))}

    def why_serial(self, run: "RecipeRun") -> str:
        """Return the reason why a recipe cannot run parallel steps, or empty text."""
        recipe = run.recipe
        if recipe.fixtures:
            return f"fixture '{recipe.fixtures[0]}'"
        for step in self._wanted(run):
            if step.fixtures:
                return f"step '{step.name}' has fixture '{step.fixtures[0]}'"
            if isinstance(step, CodeStep) and step.isolation == "inline":
                return f"step '{step.name}' is inline"
        items = self._steps.get(recipe.key, [])
        for item in items:
            if has_snapshot(item):
                return f"the Context is restored before step '{item.name}'"
            if mark := _blocking_mark(item):
                return f"step '{item.name}' is marked {mark}"
            if name := self._fixtures.function_scoped(item):
                return f"fixture '{name}' is set up for each step"
        if items and self._first[recipe.key] is not items[0]:
            return "a test uses it before its own steps"
        return ""


class _UserFixtures:
    """Fixtures of the user's conftest files and plugins.

    pytest has no public API for the scope of a fixture before its setup. So the scope is read from
    the source of the fixture function; a scope that is computed is known only at the setup.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._scopes: dict[int, bool] = {}

    def function_scoped(self, item: StepItem) -> str:
        """Return the name of the item's first function-scoped user fixture, or empty text."""
        names = {*item.fixturenames} & self._functions.keys()
        for name in item.fixturenames if names else ():
            visible = [
                (len(folder.parts), function)
                for folder, function in self._functions.get(name, ())
                if item.path.is_relative_to(folder)
            ]
            if visible and self._is_function_scoped(max(visible, key=lambda pair: pair[0])[1]):
                return name
        return ""

    @cached_property
    def _functions(self) -> dict[str, list[tuple[Path, types.FunctionType]]]:
        """The user's fixture functions by name, each with the folder whose tests may request it."""
        functions: dict[str, list[tuple[Path, types.FunctionType]]] = {}
        definition = type(pytest.fixture(lambda: None))
        for plugin in self._config.pluginmanager.get_plugins():
            path = Path(getattr(plugin, "__file__", None) or "/")
            folder = path.parent if path.name == "conftest.py" else Path(path.anchor)
            for member in vars(plugin).values() if isinstance(plugin, types.ModuleType) else ():
                function = inspect.unwrap(member) if type(member) is definition else None
                if isinstance(function, types.FunctionType) and _is_users(function):
                    functions.setdefault(member.name, []).append((folder, function))
        return functions

    def _is_function_scoped(self, function: types.FunctionType) -> bool:
        if id(function) not in self._scopes:
            self._scopes[id(function)] = _scope_in_source(function) == "function"
        return self._scopes[id(function)]


def _scope_in_source(function: types.FunctionType) -> str:
    """Return the scope in the source of a fixture's decorator; empty if computed or unreadable."""
    from pytest_orchestrator.recipe.analysis.source_files import Module

    code = function.__code__
    tree = Module(Path(code.co_filename)).tree
    for node in ast.walk(tree) if tree else ():
        if (
            not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            or node.name != code.co_name
        ):
            continue
        for decorator in node.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if getattr(called, "attr", getattr(called, "id", "")) != "fixture":
                continue
            arguments = {word.arg: word.value for word in getattr(decorator, "keywords", ())}
            scope = arguments.get("scope", ast.Constant(value="function"))
            if node.decorator_list[0].lineno == code.co_firstlineno and None not in arguments:
                return str(scope.value) if isinstance(scope, ast.Constant) else ""
    return ""


def _blocking_mark(item: StepItem) -> str:
    """Return the name of a mark that may skip an item or that requests a fixture, or empty text.

    The result is also empty for a step that was restored from an earlier run.
    """
    result = item.run.results.get(item.step.name)
    if result is not None and result.restored:
        return ""
    for name in ("skip", "skipif", "usefixtures"):
        if item.get_closest_marker(name):
            return name
    xfails = item.iter_markers("xfail")
    return "xfail(run=False)" if any(not mark.kwargs.get("run", True) for mark in xfails) else ""


class ParallelSession(Plugin):
    """Plugin that cancels and reports the steps that run ahead of their items."""

    def __init__(self, session: pytest.Session, runs: "list[RecipeRun]") -> None:
        self._session = session
        self._runs = runs
        self._late_reasons: dict[str, str] = {}
        self._last: RecipeRun | None = None
        self._stopped = False

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Wait for the last recipe's steps before another recipe; at an interrupt, cancel all."""
        run = _run_of(item)
        try:
            if self._last is not None and self._last is not run:
                self._last.settle()
            self._last = run
            return (yield)
        except INTERRUPTS as interrupt:
            self._cancel(interrupt_text(interrupt))
            raise

    @pytest.hookimpl(wrapper=True, specname="pytest_runtest_protocol")
    def pytest_runtest_protocol_around(self) -> Generator[None, object, object]:
        """Report the steps whose items will not run, after the item that stops the session."""
        try:
            return (yield)
        finally:
            self._report_unrequested()

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self) -> None:
        """Cancel the steps that run ahead as soon as a report stops the session."""
        stop = self._session.shouldfail or self._session.shouldstop
        if stop and not self._stopped:
            self._stopped = True
            self._cancel(str(stop))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        """Cancel and report the steps that still run ahead when the session ends."""
        self._cancel("the session ended")
        self._report_unrequested()
        if hasattr(self._session.config, "workeroutput"):  # a worker has no terminal
            self._session.config.workeroutput[SERIAL] = self._late_reasons
        return (yield)

    def pytest_fixture_setup(self, fixturedef: Any, request: pytest.FixtureRequest) -> None:
        """Make a recipe run one step at a time if its steps set up a function-scoped fixture."""
        item = request.node
        if fixturedef.scope != "function" or not isinstance(item, StepItem):
            return
        run = item.run
        if run.workers.has_plan and not run.begun and _is_users(fixturedef.func):
            run.workers.drop_plan()
            why = f"fixture '{fixturedef.argname}' is set up for each step"
            self._late_reasons[item.recipe.key] = why

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the recipes that fixtures forced to run one step at a time, with the reasons."""
        header.show_serial_recipes(terminalreporter, self._late_reasons)

    def _cancel(self, cause: str) -> None:
        for run in self._runs:
            run.cancel(cause)

    def _report_unrequested(self) -> None:
        """Report the steps that started ahead of items that will not run."""
        names = {(run.recipe.key, name) for run in self._runs for name in run.unrequested}
        if not names:
            return
        worker = hasattr(self._session.config, "workerinput")
        steps = [item for item in self._session.items if isinstance(item, StepItem)]
        with reporter_without_stops(self._session) as send:
            for item in steps:
                if item.result is None and (item.recipe.key, item.step.name) in names:
                    item.result = item.run.results[item.step.name]
                    for report in manual_reports(item):
                        report_later(item.config, report) if worker else send(report=report)


def _run_of(item: pytest.Item) -> "RecipeRun | None":
    needs = item.stash.get(NEEDS, None)
    return item.run if isinstance(item, StepItem) else getattr(needs, "run", None)


def _is_users(function: Any) -> bool:
    """Return True if a fixture function is the user's: not from this plugin or site-packages."""
    code = getattr(function, "__code__", None)
    path = str(Path(code.co_filename).resolve()) if code else ""
    return not path.startswith((_OURS, *_INSTALLED))
