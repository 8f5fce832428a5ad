"""Breaks of a session: the steps before which ``--recipe-break`` holds, and their conditions."""

import os
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from pytest_orchestrator.core.extras import CI, is_ci
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.plugin.questions.given import targets_of
from pytest_orchestrator.plugin.questions.presenter import terminal_of
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.recipe.expressions.expression import Expression, ExpressionError, bare
from pytest_orchestrator.recipe.expressions.names import BEFORE, unknown

if TYPE_CHECKING:
    from pytest_orchestrator.execution.scheduling.hold import Decision, Hold
    from pytest_orchestrator.recipe.model.recipe import Recipe

OPTION: Final = "--recipe-break"
_IF: Final = " if "


class Break(NamedTuple):
    """One value of the option.

    Attributes:
        target: The step, as `targets_of` names it.
        condition: The expression that must be true; None without one.
    """

    target: str
    condition: Expression | None


def break_of(text: str) -> Break:
    """Return the break in a value of the option: ``STEP``, or ``STEP if EXPR``.

    Raises:
        pytest.UsageError: The text has another form, or the expression is wrong.
    """
    target, word, rest = text.partition(_IF)
    target = target.strip()
    if not target or (word and not rest.strip()) or any(map(str.isspace, target)):
        raise pytest.UsageError(f"{OPTION}: {text!r} is neither STEP nor 'STEP if EXPRESSION'")
    if not word:
        return Break(target, None)
    place = Place(1, len(text) - len(rest) + 1)
    try:
        condition = bare(rest, place)
    except ExpressionError as error:
        raise _wrong(text, place, str(error)) from None
    problem = unknown(condition.reads, condition.text, BEFORE, {})
    if problem is not None:
        raise _wrong(text, place, "".join(problem))
    return Break(target, condition)


def _wrong(text: str, place: Place, why: str) -> pytest.UsageError:
    return pytest.UsageError(f"{OPTION}: {why}\n  {text}\n  {' ' * (place.column - 1)}^")


def breaks_of(config: pytest.Config) -> list[Break]:
    """Return the breaks of a session, in the order of the options.

    Raises:
        pytest.UsageError: A value of the option is wrong.
    """
    return [break_of(text) for text in config.getoption("recipe_break") or ()]


def held_steps(config: pytest.Config, recipe: "Recipe") -> set[str]:
    """Return the names of the steps of a recipe that breaks name."""
    wanted = {one.target for one in breaks_of(config)}
    steps = (*recipe.steps, *recipe.final)
    return {one.name for one in steps if not wanted.isdisjoint(targets_of(recipe, one.name))}


def hold(config: pytest.Config, held: "Hold") -> "Decision | None":
    """Show the prompt of a step, unless the conditions of all its breaks are false.

    Args:
        config: The configuration of the session.
        held: The hold before the step.

    Returns:
        The decision of the person; None if the hold is over before.
    """
    from pytest_orchestrator.plugin.questions import prompt

    why = "" if held.failed else _why(config, held)
    return "continue" if why is None else prompt.decision(config, held, why)


def _why(config: pytest.Config, held: "Hold") -> str | None:
    """Return why the run holds, empty if the step alone is named; None if it does not."""
    targets = targets_of(held.run.recipe, held.step.name)
    for _, condition in (one for one in breaks_of(config) if one.target in targets):
        if condition is None:
            return ""
        try:
            if condition.holds(held.names()):
                return f"{condition.text} is true"
        except ExpressionError as error:
            return f"{condition.text} has no value: {error}"
    return None


def check_terminal(config: pytest.Config) -> None:
    """Check the values of the option, and that a person is at the terminal of this process.

    Raises:
        pytest.UsageError: A value is wrong, or no person can use the prompt.
    """
    breaks_of(config)
    reason = "" if not is_ci() else CI
    if config.getoption("dist", "no") != "no" or hasattr(config, "workerinput"):
        reason = "workers of pytest-xdist have none: add -n0 (--recipe-jobs works)"
    elif config.getoption("recipe_batch"):
        reason = "the page of a station has none: run pytest with the recipe"
    elif not reason:
        with terminal_of(config) as found:
            if isinstance(found, str) or not os.isatty(1):
                reason = "standard input and output of pytest are none"
    if reason:
        raise pytest.UsageError(f"{OPTION} holds for a person at a terminal; {reason}")


def check_steps(config: pytest.Config) -> None:
    """Check that each break names a collected step; if a recipe has errors, check nothing.

    Raises:
        pytest.UsageError: A break names none; the message has the nearest name.
    """
    from pytest_orchestrator.recipe import RecipeError

    state = state_of(config)
    try:
        recipes = [cell for path in [*state.recipes] for cell in state.cells(path)]
    except RecipeError:
        return
    targets = {
        target
        for recipe in recipes
        for step in (*recipe.steps, *recipe.final)
        for target in targets_of(recipe, step.name)
    }
    for one in breaks_of(config):
        if one.target not in targets:
            near = nearest(one.target, targets)
            raise pytest.UsageError(f"{OPTION}: no collected step is '{one.target}'{near}")
