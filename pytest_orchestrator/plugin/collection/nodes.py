"""Pytest nodes for recipes and steps, and error messages for the fixtures that these name.

A step is a ``pytest.Function``, so that fixtures, marks, reruns and debuggers work as for any
test.
"""

import contextlib
import difflib
import re
import types
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import LeftoverWarning, StepResult, named
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.execution import outcome
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.plugin.callables import (
    callable_of,
    no_fixtures,
    set_callback,
    show_names,
)
from pytest_orchestrator.plugin.collection import recipe_needs
from pytest_orchestrator.plugin.collection.file_matching import Claim
from pytest_orchestrator.plugin.options.runner import debugger
from pytest_orchestrator.plugin.results import failures
from pytest_orchestrator.plugin.results.blocks import PROBLEMS_KEY
from pytest_orchestrator.plugin.results.failures import show_output
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.recipe import Problem, Recipe, RecipeError, looks_like_recipe
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.model.step import Step

_PARAMETRIZED = lazy_pattern(
    r"has no parameter defined for test.*Requested fixture '(\w+)'", re.DOTALL
)


def fixture_problem(error: BaseException, recipe: Recipe, step: Step) -> RecipeError | None:
    """Return a setup error as a problem in the recipe, if a fixture of the recipe causes it.

    Args:
        error: The exception of the step's setup.
        recipe: The recipe; it may name fixtures for all steps.
        step: The step.

    Returns:
        The problem at its place in the recipe; None if the exception has another cause, or
        concerns an unknown fixture that the recipe does not name.
    """
    if isinstance(error, pytest.FixtureLookupError):
        name = str(error.argname)
        near = difflib.get_close_matches(name, _available(error), n=1)
        head, tail = f"fixture '{name}'", " not found"
        hint = f"did you mean '{near[0]}'?" if near else "see `pytest --fixtures`"
        place = _place(name, recipe, step)
    elif match := _PARAMETRIZED.search(str(error)):
        name = match[1]
        head, tail = f"fixture '{name}'", " has parameters, and a step is one item"
        hint = "write a step for each value, or a fixture without parameters"
        # An autouse fixture, or one that another fixture requests, is not named in the recipe.
        place = _place(name, recipe, step) or step.at["name"]
    else:
        return None
    if place is None:
        return None
    problem = Problem(place, head, f" of step '{step.name}'", tail, hint)
    source = recipe.source(step)
    return RecipeError([problem], source.id, source.text)


def _place(name: str, recipe: Recipe, step: Step) -> Place | None:
    if name in step.fixtures:
        return step.at.get("fixtures", step.at["name"])
    return recipe.at["fixtures"] if name in recipe.fixtures else None


def _available(error: pytest.FixtureLookupError) -> list[str]:
    """Return the names of the available fixtures that pytest's error message lists."""
    _, _, names = str(getattr(error.formatrepr(), "errorstring", "")).partition(
        "available fixtures:"
    )
    return re.findall(r"\w+", names.partition("\n")[0])


_MOST = 100
"""Problems of a file that reports list by place; a generated recipe may have thousands."""


def recipe_file(path: Path, parent: pytest.Collector, claim: Claim) -> "RecipeFile | None":
    """Return the collector of a recipe.

    The result is None for the station file, and if a "may be" file does not look like a recipe.
    """
    station = state_of(parent.config).station_file
    if station is not None and path == station.path:
        return None
    if claim == "may be" and not looks_like_recipe(path):
        state_of(parent.config).others += 1
        return None
    file: RecipeFile = RecipeFile.from_parent(parent, path=path)
    return file


class RecipeFile(pytest.Module):
    """Collector of a recipe; its children are the steps, with the ``finally`` steps last.

    Attributes:
        recipe: The recipe; with a matrix, that of the first cell.
        idle: Placeholder function of each step without fixtures, before and after the step runs.
            The steps share it, so that a session does not hold a function for each step.
    """

    recipe: Recipe
    idle: Callable[..., Any]

    def collect(self) -> "Iterator[StepItem]":
        """Return an item for each step of each cell; import and run no code of the user."""
        recipes = state_of(self.config).cells(self.path)
        self.recipe = recipes[0]
        recipe_needs.check_needs_in(self.recipe, state_of(self.config))
        from pytest_orchestrator.plugin.collection import hints

        hints.warn_of_slips(self.recipe)
        if self.config.getini("recipe_validate"):
            hints.check_dataflow(self.recipe, self.config)
        self.obj = types.ModuleType(self.path.stem)
        self.idle = callable_of(self.path, "step", 1, asks=False)
        for tag in self.recipe.tags:
            self.add_marker(_mark(self.config, tag))
        if self.recipe.fixtures:
            self.add_marker(pytest.mark.usefixtures(*self.recipe.fixtures))
        return (
            self.item(recipe, step) for recipe in recipes for step in (*recipe.steps, *recipe.final)
        )

    def item(self, recipe: Recipe, step: Step) -> "StepItem":
        """Return a new item for a step of the recipe or of one cell of its matrix."""
        name = recipe.node(step.name).rpartition("::")[2]
        function: Callable[..., Any] = self.idle
        if recipe.fixtures or step.fixtures:  # pytest reads its parameters at collection
            function = callable_of(
                recipe.source(step).path,
                name,
                step.line,
                asks=True,
                watched=bool(debugger(self.config)),
            )
            if step.fixtures:
                pytest.mark.usefixtures(*step.fixtures)(function)
        item: StepItem = StepItem.from_parent(
            self, name=name, callobj=function, recipe=recipe, step=step
        )
        for tag in step.tags:
            item.add_marker(_mark(self.config, tag))
        if step.is_final and self.config.pluginmanager.has_plugin("rerunfailures"):
            item.add_marker(pytest.mark.flaky(reruns=0))  # finally steps run once
        if step.xfail is not None:
            item.add_marker(pytest.mark.xfail(reason=step.xfail))
        return item

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Return the text or longrepr of a collection error; a recipe error has no traceback."""
        error = excinfo.value
        if isinstance(error, pytest.UsageError):
            return str(error)
        if not isinstance(error, RecipeError):
            return super().repr_failure(excinfo)
        self.stash[PROBLEMS_KEY] = [
            [error.path, one.place.line, one.place.column, self.nodeid, one.text]
            for one in error.problems[:_MOST]
        ]
        if hasattr(self.config, "workerinput"):
            # xdist removes duplicates of collection errors by their text.
            return str(error)
        representation: Any = excinfo.getrepr(style="value")
        path, summary, state = self.path, error.summary, state_of(self.config)
        if state.station_file is not None and state.is_of_station(error):
            path, summary = state.station_file.path, f"{error.path}:{summary}"
        failures.blame(representation, path, error.problems[0].place.line, summary)
        return representation


class StepItem(pytest.Function):
    """Item of a step.

    Attributes:
        recipe: The recipe of the step.
        step: The step.
        result: The masked result of the step; None until it has run.
    """

    parent: RecipeFile

    def __init__(self, *, recipe: Recipe, step: Step, **kwargs: Any) -> None:
        # pytest need not look for fixtures in the parameters of a function that has none.
        self.nofuncargs = not (recipe.fixtures or step.fixtures)
        super().__init__(**kwargs)
        del self.nofuncargs
        self.recipe = recipe
        self.step = step
        self._result: StepResult | None = None
        self._run: RecipeRun | None = None

    @cached_property  # the three reports of a step share one object
    def id(self) -> Any:
        """The node id in parts (pytest 9.2), as pytest parses it from the ids in its cache.

        pytest separates the brackets from the name when it parses an id. Without this property
        the id of a step in a matrix cell would differ from the one that ``--lf``, ``--ff``,
        ``--nf`` and ``--sw`` have stored.
        """
        own = super().id
        return type(own).parse(self.nodeid) if "[" in self.name else own

    def setup(self) -> None:
        """Give the item the function that pytest calls, and set the item up."""
        if self.obj is self.parent.idle:
            watched = bool(debugger(self.config))
            self.obj = callable_of(
                self.source, self.name, self.step.line, asks=False, watched=watched
            )
        set_callback(self.obj, self.perform)
        if self.run.gate.has_condition:
            self._skip_with_recipe()
        super().setup()

    def runtest(self) -> None:
        """Run the step; under a debugger its function has the names of expressions."""
        if debugger(self.config):
            show_names(self.obj, self._names(), self._value)
        super().runtest()

    def _names(self) -> tuple[object, ...]:
        """Return `ctx`, `vars` and `steps` as the expressions of the step read them."""
        run = self.run
        with contextlib.suppress(ExpressionError):  # the step will raise the error
            names = run.scope.before(self.step, run.context, 1, {})
            return run.context, names["vars"], names["steps"]
        return run.context, {}, {}

    def _value(self) -> object:
        """Return `result`: what the step code has returned; None if it has returned nothing."""
        ended = self.result.ended if self.result else None
        return None if ended is None else ended.exact_value

    def _skip_with_recipe(self) -> None:
        """Skip the step before its fixtures are set up if the recipe skips all its steps."""
        __tracebackhide__ = True
        reason = self.run.skip_reason(self.step)
        if reason is not None and self.run.gate.fails:
            place = self.recipe.at.get("requires", Place(1, 1))
            text = f"{self.recipe.id}:{place.line}:{place.column}: {reason}"
            pytest.fail(text, pytrace=False)
        if reason is not None:
            pytest.skip(reason)

    def forget(self) -> None:
        """Release the result, and the function if the step has no fixtures, to save memory."""
        self._result = None
        if not (self.recipe.fixtures or self.step.fixtures):
            self.obj = self.parent.idle

    @property
    def result(self) -> StepResult | None:
        """The result of the step with secrets masked; None until the step has run."""
        return self._result

    @result.setter
    def result(self, result: StepResult | None) -> None:
        state = state_of(self.config)
        self._result = state.masked(result) if state.has_secrets else result

    @property
    def run(self) -> RecipeRun:
        """The recipe run that this step belongs to."""
        if self._run is None:
            self._run = state_of(self.config).run(self.recipe)
        return self._run

    @property
    def source(self) -> Path:
        """The file that contains the step: the recipe, or a file that it uses."""
        return self.recipe.source(self.step).path

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the recipe's path, the step's line in it, counted from 0, and the step's title.

        Editors combine the line with the path of the item, which is that of the recipe. So a step
        of a used file has the line of its use; messages of failures name the line in the used file.
        The title contains the recipe, so that steps of the same name differ and pytest does not
        take a dot in a name for the one between a class and its method.
        """
        uses = self.step.uses
        line = uses[-1].place.line if uses else self.step.line
        return self.path, line - 1, f"{self.name} in {self.recipe.id}"

    def perform(self, fixture: Callable[[str], object] = no_fixtures) -> None:
        """Run the step or take its existing result; raise an exception unless the step passed.

        Args:
            fixture: Function that returns the value of a fixture by its name.
        """
        __tracebackhide__ = True
        run, again = self.run, self.result is not None
        blocker = run.blocker(self.step, self._effective_needs())
        if blocker is not None:
            self.result = run.block(self.step, blocker)
        else:
            values = fixtures_of(fixture, run, self.step)
            try:
                self.result = run.result(self.step, values, again=again)
            except (KeyboardInterrupt, pytest.exit.Exception, pytest.fail.Exception) as interrupt:
                self.result = run.results.get(self.step.name)
                # pytest reports the last frame, so that must be the recipe, not this plugin.
                raise outcome.user_frames(interrupt)  # noqa: B904
            show_output(self.result, self)
            if self.config.getoption("recipe_needs") == "none":
                from pytest_orchestrator.plugin.collection.hints import with_writers

                self.result = with_writers(run, self.step, self.result)
        if self.result.failure is None:
            self.warn_of(self.result)
        else:
            # If warnings are errors, a warning must not replace the failure.
            with contextlib.suppress(LeftoverWarning):
                self.warn_of(self.result)
        self._raise(self.result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Return the failure text of the step, or the traceback if user code raised."""
        from pytest_orchestrator.reports import failure

        if isinstance(excinfo.value, Raised):
            return self._with_aftermath(failures.explained_there(self.config, excinfo.value))
        representation = super().repr_failure(excinfo)
        result = self.result
        if result and result.failure and result.failure.exception is excinfo.value:
            return self._with_aftermath(representation)
        # An exception of user code keeps its own line; any other failure gets that of the recipe.
        if result and result.failure and result.failure.exception is None:
            place = failure.place_of(self.step, result)
            source = failure.source_of(self.recipe, self.step, result).path
            failures.blame(representation, source, place.line, result.failure.reason)
        return representation

    def _with_aftermath(self, representation: Any) -> Any:
        """Add the step's output, resource usage and repeat command to a traceback; return it."""
        if self.result is not None and hasattr(representation, "addsection"):
            failures.set_message(representation, self.result)
            text = failures.aftermath(self.config, self.recipe, self.step, self.result)
            representation.addsection(self.recipe.node(self.step.name), text)
        return representation

    def failure_repr(self) -> Any:
        """Return the longrepr of a step run outside pytest's protocol; None without a failure."""
        if self.result is None or self.result.failure is None:
            return None
        return self.repr_failure(
            failures.raised(failures.failure_text(self.config, self.recipe, self.step, self.result))
        )

    def fixture_error_repr(self, error: BaseException) -> Any:
        """Return the longrepr for an unusable fixture of the recipe; None for other errors."""
        problem = fixture_problem(error, self.recipe, self.step)
        if problem is None:
            return None
        representation = super().repr_failure(failures.raised(problem.render()))
        failures.blame(
            representation, self.source, problem.problems[0].place.line, problem.problems[0].short
        )
        return representation

    def _effective_needs(self) -> list[str]:
        """Return the names of the needed steps; with ``--recipe-needs=none``, the selected ones."""
        if self.config.getoption("recipe_needs") != "none":
            return list(self.step.needs)
        chosen = state_of(self.config).selected.get(self.recipe.key, set())
        return [need for need in self.step.needs if need in chosen]

    def _raise(self, result: StepResult) -> None:
        __tracebackhide__ = True
        if result.outcome in ("skipped", "blocked"):
            pytest.skip(result.reason)
        if result.failure is None:
            return
        raised = result.failure.exception
        if isinstance(raised, Raised) and raised.is_expected:
            pytest.xfail(raised.report["wasxfail"].removeprefix("reason: "))
        if raised is not None:
            raise raised
        text = failures.failure_text(self.config, self.recipe, self.step, result)
        raise pytest.fail.Exception(text, pytrace=False) from None

    def warn_of(self, result: StepResult) -> None:
        """Warn of what the step left running when it ended by itself; if it passed, of the rest."""
        __tracebackhide__ = True
        process = result.ended.process if result.ended else None
        found: list[tuple[str, type[Warning]]] = []
        if result.failure is None:
            found += [(f": {text}", pytest.PytestWarning) for text in result.warnings]
        if process is not None and process.left:
            found.append((f" left running: {named(process.left)}; ended", LeftoverWarning))
        for text, kind in found:
            whole = f"step '{self.name}'{text}"
            warnings.warn_explicit(whole, kind, str(self.source), self.step.line)


def fixtures_of(fixture: Callable[[str], object], run: RecipeRun, step: Step) -> dict[str, object]:
    """Return the values of the fixtures of a recipe and its step, by the fixture's name."""
    names = dict.fromkeys((*run.recipe.fixtures, *step.fixtures))
    return {name: fixture(name) for name in names}


def _mark(config: pytest.Config, tag: str) -> pytest.MarkDecorator:
    """Register a tag as a marker for ``--strict-markers``; return its decorator."""
    tags = state_of(config).tags
    if tag not in tags:
        tags.add(tag)
        config.addinivalue_line("markers", f"{tag}: tag of a recipe")
    mark: pytest.MarkDecorator = getattr(pytest.mark, tag)
    return mark
