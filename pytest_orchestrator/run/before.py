"""The Context as it stood before a step of an earlier run, for that step to run on again."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from pytest_orchestrator.recipe.model import Recipe, Step
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
    """

    recipe: Recipe
    step: Step
    needs: Collection[tuple[Recipe, Step]]
    digests: Mapping[tuple[str, str], Mapping[str, str]]


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
    """Tell whether a step ran in a run."""
    old = _found(record, wanted.recipe, wanted.step)
    return old is not None and old.started is not None


def before(record: RunRecord, wanted: Wanted) -> Before | str:
    """Return what there was before a step, or why that is no good any more.

    Args:
        record: A run in which the step ran.
        wanted: The step.
    """
    steps: dict[tuple[str, str], StepRecord] = {}
    for recipe, step in wanted.needs:
        old = _found(record, recipe, step)
        if old is None or old.ended is None or not (is_done(old) or old.ended.meets):
            return f"'{step.name}', which it needs, did not pass there"
        steps[recipe.key, step.name] = old
    for recipe in {id(one): one for one, _ in (*wanted.needs, (wanted.recipe, None))}.values():
        if record.recipes[recipe.key].about.get("sha256") != recipe.sha256:
            return f"{recipe.id} was changed since then"
    for at, old in steps.items():
        assert old.ended is not None  # noqa: S101  # it was asked above
        why = changed(old.ended.digests, wanted.digests.get(at, {}))
        if why:
            return f"'{at[1]}', which it needs, would not do the same: {why}"
    return _contexts(record, wanted, steps)


def _contexts(
    record: RunRecord, wanted: Wanted, steps: Mapping[tuple[str, str], StepRecord]
) -> Before | str:
    own = _found(record, wanted.recipe, wanted.step)
    line = own.lines[0] if own else 0
    nodes = {node_of(step): step.name for step in steps.values()}
    contexts: dict[str, Replayed] = {}
    for scope in ("", wanted.recipe.key):
        if scope in record.changes.scopes:
            told = replayed(record.changes, lambda change: change.n < line, scope)
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
