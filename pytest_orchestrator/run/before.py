"""The Context as it stood before a step of an earlier run, for that step to run on again."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.run.fates import changed, is_done, node_of
from pytest_orchestrator.run.record import RunRecord, StepRecord
from pytest_orchestrator.run.replay import Replayed, replayed


class Wanted(NamedTuple):
    """A step that is to run without what it needs.

    Attributes:
        recipe: Its recipe, as it is now.
        step: The step.
        needs: The steps that it needs and that do not run, each with its recipe.
        digests: Of these steps as they are now, by key of their recipe and by name.
        again: Node ids of steps that run again, so that what they wrote is not restored.
    """

    recipe: Recipe
    step: Step
    needs: Collection[tuple[Recipe, Step]]
    digests: Mapping[tuple[str, str], Mapping[str, str]]
    again: Collection[str] = ()


class Before(NamedTuple):
    """What there was before a step.

    Attributes:
        record: The run.
        contexts: The Context of the session, and the recipe's own where it has one.
        steps: What became of the steps that it needs, by key of their recipe and by name.
    """

    record: RunRecord
    contexts: Mapping[str, Replayed]
    steps: Mapping[tuple[str, str], StepRecord]


def had(record: RunRecord, wanted: Wanted) -> bool:
    """Tell whether a step ran in a run, after all that it needs."""
    old = _found(record, wanted.recipe, wanted.step)
    return (
        old is not None
        and old.started is not None
        and len(_steps(record, wanted)) == len(wanted.needs)
    )


def before(record: RunRecord, wanted: Wanted) -> Before | str:
    """Return what there was before a step, or why that is no good any more.

    Args:
        record: A run that had the step.
        wanted: The step.
    """
    steps = _steps(record, wanted)
    for recipe in {one.key: one for one, _ in wanted.needs}.values():
        if record.recipes[recipe.key].about.get("sha256") != recipe.sha256:
            return f"{recipe.id} was changed since then"
    for at, old in steps.items():
        why = changed(old.ended.digests if old.ended else {}, wanted.digests.get(at, {}))
        if why:
            return f"'{at[1]}', which it needs, would not do the same now: {why}"
    return _contexts(record, wanted, steps)


def _steps(record: RunRecord, wanted: Wanted) -> dict[tuple[str, str], StepRecord]:
    """Return what a step needs, as far as that had passed."""
    found: dict[tuple[str, str], StepRecord] = {}
    for recipe, step in wanted.needs:
        old = _found(record, recipe, step)
        if old is not None and old.ended is not None and (is_done(old) or old.ended.meets):
            found[recipe.key, step.name] = old
    return found


def _contexts(
    record: RunRecord, wanted: Wanted, steps: Mapping[tuple[str, str], StepRecord]
) -> Before | str:
    own = _found(record, wanted.recipe, wanted.step)
    line = own.lines[0] if own else 0
    nodes = {node_of(step): step.name for step in steps.values()}
    contexts: dict[str, Replayed] = {}
    for scope in ("", wanted.recipe.key):
        if scope in record.changes.scopes:
            told = replayed(
                record.changes,
                lambda change: change.n < line and change.by not in wanted.again,
                scope,
            )
            for key in told.lost:
                for change in record.changes.history(key, scope):
                    if change.masked and change.by in nodes and change.n < line:
                        name = nodes[change.by]
                        return f"what '{name}' wrote to '{key}' is secret, and in no journal"
            contexts[scope] = told
    return Before(record, contexts, steps)


def _found(record: RunRecord, recipe: Recipe, step: Step) -> StepRecord | None:
    old = record.recipes.get(recipe.key)
    return None if old is None else old.steps.get(step.name)
