"""The run of a recipe in a session: what it is given, and who is told of it."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_orchestrator.execution.scheduling.serial import RecipeRun
from pytest_orchestrator.plugin import comparing, following, progress, settings
from pytest_orchestrator.recipe import Recipe

if TYPE_CHECKING:
    from pytest_orchestrator.context.context import Context
    from pytest_orchestrator.execution.environment import Environment
    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.execution.notifications import Follow
    from pytest_orchestrator.plugin.state import State


def new_run(state: "State", recipe: Recipe) -> RecipeRun:
    """Return a run of a recipe.

    Args:
        state: The state of the session.
        recipe: The recipe.
    """
    context, env = _context(state, recipe), _environment(state, recipe)
    logs, resources = state.folder.logs(recipe), state.folder.resources(recipe)
    number, first = settings.slots(state.config)[0], env.slot
    if number == 1 or first is None:
        return RecipeRun(recipe, context, env, logs, resources)
    from pytest_orchestrator.execution.scheduling.parallel import ParallelRun

    return ParallelRun(
        recipe,
        context,
        env,
        slots=_slots(state, number, first),
        variables=lambda step: {"PYTEST_CURRENT_TEST": f"{recipe.node(step.name)} (call)"},
        logs=logs,
        resources=resources,
    )


def _context(state: "State", recipe: Recipe) -> "Context":
    if recipe.context != "recipe":
        return state.context
    # Where workers share the Context, one of them may have asked for it before.
    return state.followed(state.scopes.setdefault(recipe.key, state.context.layer(recipe.key)))


def _environment(state: "State", recipe: Recipe) -> "Environment":
    env = msgspec.structs.replace(
        state.environment,
        artifacts=state.folder.artifacts(recipe),
        follow=_follow(state, recipe, state.folder.logs(recipe)),
        judge=comparing.judge_of(state.config, recipe),
    )
    return env if state.keeper is None else state.keeper.told_by(env, recipe)


def _follow(state: "State", recipe: Recipe, logs: Path) -> "Follow | None":
    """Return what tells of the steps of a recipe; None where nobody listens."""
    told: list[Follow] = []
    if state.follower is not None:
        told.append(partial(state.follower.happened, recipe))
    shown = progress.of(state.config)
    if shown is not None:
        told.append(partial(shown.happened, recipe, logs, partial(_is_over, state, recipe)))
    return following.together(told)


def _is_over(state: "State", recipe: Recipe, step: str) -> bool:
    return state.run(recipe).known(step) is not None


def _slots(state: "State", number: int, first: "Slot") -> "list[Slot]":
    """Return as many slots as steps run at the same time; all recipes share them."""
    while len(state.slots) < number:
        state.slots.append(first.another() if state.slots else first)
    return state.slots
