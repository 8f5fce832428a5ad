"""Nodes of recipes and steps, and their fixtures.

A step is a ``pytest.Function`` so that fixtures, marks, reruns and debuggers treat it as
any test.
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
from pytest_orchestrator.execution import outcome
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.scheduling.serial import RecipeRun
from pytest_orchestrator.plugin.callables import callable_of, let_perform, nothing_named
from pytest_orchestrator.plugin.collection import recipe_needs
from pytest_orchestrator.plugin.collection.file_matching import Claim
from pytest_orchestrator.plugin.collection.hints import with_writers
from pytest_orchestrator.plugin.results import failures
from pytest_orchestrator.plugin.results.blocks import PROBLEMS_KEY
from pytest_orchestrator.plugin.results.failures import tell_output
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.recipe import Problem, Recipe, RecipeError, looks_like_recipe
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.reports import failure

_PARAMETRIZED = re.compile(
    r"has no parameter defined for test.*Requested fixture '(\w+)'", re.DOTALL
)


def fixture_problem(error: BaseException, recipe: Recipe, step: Step) -> RecipeError | None:
    """Return what is wrong with a fixture that a recipe names.

    Args:
        error: What the setup of the step raised.
        recipe: The recipe; it may name fixtures for all steps.
        step: The step.

    Returns:
        None where the error is another, or tells of a fixture that the recipe does not name.
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
        # Nobody names one that is used automatically or by another fixture.
        place = _place(name, recipe, step) or step.at["name"]
    else:
        return None
    if place is None:
        return None
    found = Problem(place, head, f" of step '{step.name}'", tail, hint)
    source = recipe.source(step)
    return RecipeError([found], source.id, source.text)


def _place(name: str, recipe: Recipe, step: Step) -> Place | None:
    if name in step.fixtures:
        return step.at.get("fixtures", step.at["name"])
    return recipe.at["fixtures"] if name in recipe.fixtures else None


def _available(error: pytest.FixtureLookupError) -> list[str]:
    """Return the names that pytest lists beside its own message."""
    _, _, names = str(getattr(error.formatrepr(), "errorstring", "")).partition(
        "available fixtures:"
    )
    return re.findall(r"\w+", names.partition("\n")[0])


_MOST = 100


def recipe_file(path: Path, parent: pytest.Collector, claim: Claim) -> "RecipeFile | None":
    """Return the node of a recipe, or None for a file that was only walked by and is none."""
    if claim == "may be" and not looks_like_recipe(path):
        state_of(parent.config).others += 1
        return None
    file: RecipeFile = RecipeFile.from_parent(parent, path=path)
    return file


class RecipeFile(pytest.Module):
    """One recipe; its children are its steps, the ``finally`` steps last.

    Attributes:
        recipe: The recipe, of a matrix that of the first cell.
        idle: Stands for what runs a step, before it runs and after it: of that a session would
            have one for each step otherwise.
    """

    recipe: Recipe
    idle: Callable[..., Any]

    def collect(self) -> "Iterator[StepItem]":
        """Read the recipe; nothing of the user's is imported or run."""
        recipes = state_of(self.config).cells(self.path)
        self.recipe = recipes[0]
        recipe_needs.check_recipe_needs(self.recipe, state_of(self.config))
        if self.config.getini("recipe_validate"):
            from pytest_orchestrator.plugin.collection import hints

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
        """Return a new item for a step of this recipe, or of a cell of its matrix."""
        name = recipe.node(step.name).rpartition("::")[2]
        function: Callable[..., Any] = self.idle
        if recipe.fixtures or step.fixtures:  # which pytest reads from it
            function = callable_of(recipe.source(step).path, name, step.line, asks=True)
            pytest.mark.usefixtures(*step.fixtures)(function)
        item: StepItem = StepItem.from_parent(
            self, name=name, callobj=function, recipe=recipe, step=step
        )
        for tag in step.tags:
            item.add_marker(_mark(self.config, tag))
        if step.is_final and self.config.pluginmanager.has_plugin("rerunfailures"):
            item.add_marker(pytest.mark.flaky(reruns=0))  # once, whatever becomes of it
        if step.xfail is not None:
            item.add_marker(pytest.mark.xfail(reason=step.xfail))
        return item

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Tell the problems of a recipe, without any frame."""
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
            # As text the same report from two workers is told once.
            return str(error)
        shown: Any = excinfo.getrepr(style="value")
        failures.blame(shown, self.path, error.problems[0].place.line, error.summary)
        return shown


class StepItem(pytest.Function):
    """One step.

    Attributes:
        recipe: The recipe that it belongs to.
        step: The step.
        result: What became of it; None until it has run.
    """

    parent: RecipeFile

    def __init__(self, *, recipe: Recipe, step: Step, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.recipe = recipe
        self.step = step
        self._result: StepResult | None = None
        self._serial: RecipeRun | None = None

    @cached_property  # reports keep it, three for each step
    def id(self) -> Any:
        """The node id in parts, as pytest 9.2 parses it from its cache; older ones have no such id.

        The part in brackets is no part of the name there, so without this no cell of a matrix
        equals what ``--lf``, ``--ff``, ``--nf`` and ``--sw`` have kept.
        """
        own = super().id
        return type(own).parse(self.nodeid) if self.recipe.cell else own

    def setup(self) -> None:
        """Make what runs the step, where it is not there yet."""
        if self.obj is self.parent.idle:
            self.obj = callable_of(self.source, self.name, self.step.line, asks=False)
        let_perform(self.obj, self.perform)
        super().setup()

    def forget(self) -> None:
        """Let go what there was to run the step, and what became of it."""
        self.result = None
        if not (self.recipe.fixtures or self.step.fixtures):
            self.obj = self.parent.idle

    @property
    def result(self) -> StepResult | None:
        """What became of the step, as it may be told: without what is secret."""
        return self._result

    @result.setter
    def result(self, result: StepResult | None) -> None:
        self._result = state_of(self.config).masked(result)

    @property
    def run(self) -> RecipeRun:
        """The run of the recipe that this step belongs to."""
        if self._serial is None:
            self._serial = state_of(self.config).run(self.recipe)
        return self._serial

    @property
    def source(self) -> Path:
        """The file that the step stands in."""
        return self.recipe.source(self.step).path

    def reportinfo(self) -> tuple[Path, int, str]:
        """Return the step's place in the recipe, and its title; pytest counts lines from 0.

        Editors combine the line with the path of the item, which is that of the recipe. So a step
        of a used file has the line of its use; messages of failures name the line in the used file.
        The title contains the recipe, so that steps of the same name differ and pytest does not
        take a dot in a name for the one between a class and its method.
        """
        part, line = self.step.part, self.step.line
        while part is not None:
            part, line = part.outer, part.place.line
        return self.path, line - 1, f"{self.name} in {self.recipe.id}"

    def perform(self, fixture: Callable[[str], object] = nothing_named) -> None:
        """Run the step, or take the result that it already has, and tell pytest of it.

        Args:
            fixture: Gives the value of a fixture by its name.
        """
        __tracebackhide__ = True
        run, again = self.run, self.result is not None
        blocker = run.blocker(self.step, self._awaited())
        if blocker is not None:
            self.result = run.block(self.step, blocker)
        else:
            values = fixtures_of(fixture, run, self.step)
            try:
                self.result = run.result(self.step, values, again=again)
            except (KeyboardInterrupt, pytest.exit.Exception, pytest.fail.Exception) as interrupt:
                self.result = run.results.get(self.step.name)
                # pytest names the last frame: the line of the recipe, not one of ours.
                raise outcome.user_frames(interrupt)  # noqa: B904
            tell_output(self.result, self)
            if self.config.getoption("recipe_needs") == "none":
                self.result = with_writers(run, self.step, self.result)
        if self.result.failure is None:
            self.warn_of_leftovers(self.result)
        else:
            # Where warnings are errors this one must not hide the failure itself.
            with contextlib.suppress(LeftoverWarning):
                self.warn_of_leftovers(self.result)
        self._raise(self.result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        """Show a failed step: its own text, or the traceback of the user's code."""
        if isinstance(excinfo.value, Raised):
            return self._with_aftermath(failures.explained_there(self.config, excinfo.value))
        shown = super().repr_failure(excinfo)
        result = self.result
        if result and result.failure and result.failure.exception is excinfo.value:
            return self._with_aftermath(shown)
        # What the user's code raised, `pytest.fail` too, is blamed on the user's line.
        if result and result.failure and result.failure.exception is None:
            place = failure.place_of(self.step, result)
            failures.blame(shown, self.source, place.line, result.failure.reason)
        return shown

    def _with_aftermath(self, shown: Any) -> Any:
        """Add to a traceback what the step wrote and used, and how to repeat it."""
        if self.result is not None and hasattr(shown, "addsection"):
            text = failures.aftermath(self.config, self.recipe, self.step, self.result)
            shown.addsection(self.recipe.node(self.step.name), text)
            failures.as_shown(self.config, shown, self.source)
        return shown

    def told(self) -> Any:
        """Return what is shown of a step that failed outside pytest's protocol, or None."""
        if self.result is None or self.result.failure is None:
            return None
        return self.repr_failure(
            failures.raised(failures.failure_text(self.config, self.recipe, self.step, self.result))
        )

    def explained(self, error: BaseException) -> Any:
        """Return what is shown for a fixture that the recipe names and cannot have, or None."""
        problem = fixture_problem(error, self.recipe, self.step)
        if problem is None:
            return None
        shown = super().repr_failure(failures.raised(problem.render()))
        failures.blame(
            shown, self.source, problem.problems[0].place.line, problem.problems[0].short
        )
        return shown

    def _awaited(self) -> list[str]:
        """Return the needs that count: with ``--recipe-needs=none`` only selected ones."""
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
        told = failures.failure_text(self.config, self.recipe, self.step, result)
        raise pytest.fail.Exception(told, pytrace=False) from None

    def warn_of_leftovers(self, result: StepResult) -> None:
        """Tell what a step left running when it ended by itself."""
        __tracebackhide__ = True
        process = result.ended.process if result.ended else None
        if process is not None and process.left:
            warnings.warn_explicit(
                f"step '{self.name}' left running: {named(process.left)}; ended",
                LeftoverWarning,
                str(self.source),
                self.step.line,
            )


def fixtures_of(fixture: Callable[[str], object], run: RecipeRun, step: Step) -> dict[str, object]:
    """Return the values of the fixtures that a step names, by name."""
    names = dict.fromkeys((*run.recipe.fixtures, *step.fixtures))
    return {name: fixture(name) for name in names}


def _mark(config: pytest.Config, tag: str) -> pytest.MarkDecorator:
    """Return the marker of a tag, registered so that ``--strict-markers`` knows it."""
    tags = state_of(config).tags
    if tag not in tags:
        tags.add(tag)
        config.addinivalue_line("markers", f"{tag}: tag of a recipe")
    mark: pytest.MarkDecorator = getattr(pytest.mark, tag)
    return mark
