"""A run that goes on from another one: the Context and the results that it begins with.

What steps that count still have changed in the Context is restored, and what somebody outside
of all steps has; what the others did is as if it had not been.
"""

from collections.abc import Collection, Iterator
from typing import Any, Final

from msgspec.structs import replace

from pytest_orchestrator.core.events import (
    AnyEvent,
    ContextRestored,
    RecipeStarted,
    StepFinished,
    StepStarted,
)
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.run.changes import Recorded
from pytest_orchestrator.run.fates import Plan, is_done, node_of, was_cut_off
from pytest_orchestrator.run.record import RunRecord, StepRecord
from pytest_orchestrator.run.replay import Replayed, replayed

_OF_THE_RUN: Final = frozenset({"time", "resources", "where", "logs", "attempts", "artifacts"})


def restored(
    record: RunRecord, how: Plan, recipes: Collection[Recipe], scope: str = ""
) -> Replayed:
    """Return the Context that a run goes on with.

    Args:
        record: The earlier run.
        how: What becomes of the steps.
        recipes: Those of today; what others did stays.
        scope: Key of the recipe whose own Context it is; empty is the one of the session.
    """
    steps = {
        node_of(each): each for recipe in record.recipes.values() for each in recipe.steps.values()
    }
    known = {recipe.key for recipe in recipes}

    def keep(change: Recorded) -> bool:
        step = steps.get(change.by)
        if step is None:
            return not change.by
        if step.recipe in known:
            return how.of(step.recipe, step.name).kind == "restored"
        return is_done(step)

    return replayed(record.changes, keep, scope)


def ran_in(record: RunRecord, step: StepRecord) -> str:
    """Return the id of the run in which a step ran that is restored from this one."""
    return (step.ended.restored if step.ended else None) or record.id


def opening(
    record: RunRecord, how: Plan, recipes: Collection[Recipe], run: str
) -> Iterator[AnyEvent]:
    """Give the events by which the journal of a run takes over what it goes on from.

    Steps of recipes that are not in it are taken over too: a later run may go on from there.
    The Context of the session comes last: whoever finds it finds all.

    Args:
        record: The earlier run.
        how: What becomes of the steps of today's recipes, whose beginnings are written.
        recipes: These recipes.
        run: Id of the run that goes on.
    """
    known = {recipe.key for recipe in recipes}
    for recipe in record.recipes.values():
        if recipe.key not in known:
            steps = tuple(step.about for step in recipe.steps.values())
            yield RecipeStarted(
                recipe=recipe.key, about=recipe.about, steps=steps, digests=recipe.digests
            )
        for step in recipe.steps.values():
            fate = how.of(recipe.key, step.name)
            counts = fate.kind == "restored" if recipe.key in known else is_done(step)
            if counts and step.ended is not None:
                yield taken(record, step, run)
            elif was_cut_off(step) or fate.kind == "refused":
                where = step.cut_off_in or record.id
                yield StepStarted(recipe=recipe.key, step=step.name, cut_off_in=where)
    below = restored(record, how, recipes)
    for scope in record.changes.scopes:
        if scope:
            told = _own(restored(record, how, recipes, scope), below)
            yield ContextRestored(snapshot=told.snapshot, run=record.id, scope=scope, by=told.by)
    yield ContextRestored(snapshot=below.snapshot, run=record.id, by=below.by)


def _own(told: Replayed, below: Replayed) -> Replayed:
    """Return what a recipe has of its own: else it would not see what becomes of the rest."""
    history = below.snapshot["history"]
    own = {key for key, each in told.snapshot["history"].items() if each != history.get(key)}
    parts = {
        name: {key: each for key, each in told.snapshot[name].items() if key in own}
        for name in ("values", "history")
    }
    return told._replace(snapshot=told.snapshot | parts)


def taken(record: RunRecord, step: StepRecord, run: str) -> StepFinished:
    """Return the event by which a run takes over what became of a step.

    Args:
        record: The run that it is restored from.
        step: The step there; it has ended.
        run: Id of the run that takes it over.
    """
    assert step.ended is not None  # noqa: S101  # said above
    return replace(step.ended, block=block(record, step, run), restored=ran_in(record, step))


def block(record: RunRecord, step: StepRecord, run: str) -> dict[str, Any]:
    """Return the block of a step that is restored, as a later run tells it.

    Times, figures and logs are those of another run, and stay there.

    Args:
        record: The run that it is restored from.
        step: The step there.
        run: Id of the later run.
    """
    old = step.block or {}
    told = {name: value for name, value in old.items() if name not in _OF_THE_RUN}
    about = {**old.get("run", {}), "id": run, "resumed_from": ran_in(record, step)}
    if seconds := old.get("time", {}).get("seconds"):
        about["seconds"] = seconds
    return {**told, "run": about, "step": {**old.get("step", {}), "state": "restored"}}


def seconds_of(step: StepRecord) -> float:
    """Return how long the body of a step took, in whatever run it ran."""
    block = step.block or {}
    return float(block.get("time", block.get("run", {})).get("seconds", 0.0))
