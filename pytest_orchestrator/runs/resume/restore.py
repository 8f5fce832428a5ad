"""Restored Context and results of an earlier run.

What steps that count still have changed in the Context is restored, and what somebody outside
of all steps has; what the others did is as if it had not been.

Each key is by itself, so what one change means to a later one of the same key is all that
has to be looked at: an increment adds what it added then, an item is taken out wherever it is.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from pytest_orchestrator.core.events import (
    AnyEvent,
    ContextRestored,
    RecipeStarted,
    StepFinished,
    StepStarted,
)
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.runs.record import Changes, Recorded, RunRecord, StepRecord
from pytest_orchestrator.runs.resume.plan import ResumePlan, changed, is_done, node_of, was_cut_off

_ABSENT: Final = object()


class Replayed(NamedTuple):
    """A Context that can be restored.

    Attributes:
        snapshot: As `Context.restore` takes it.
        by: Node ids of the steps that made the changes of each key, in their order.
        lost: Keys that are left out because something in them was secret.
    """

    snapshot: dict[str, Any]
    by: dict[str, tuple[str, ...]]
    lost: tuple[str, ...]


def replayed(changes: Changes, keep: Callable[[Recorded], bool], scope: str = "") -> Replayed:
    """Return a Context with those changes alone that are kept.

    Args:
        changes: What happened to it.
        keep: Tells whether a change is.
        scope: Key of the recipe whose own Context it is; empty is the one of the session.
    """
    values: dict[str, Any] = {}
    history: dict[str, list[dict[str, Any]]] = {}
    by: dict[str, tuple[str, ...]] = {}
    lost = []
    for key in changes.keys(scope):
        kept = [change for change in changes.history(key, scope) if keep(change)]
        if any(change.masked for change in kept):
            lost.append(key)
            continue
        done = list(_done(kept))
        if done:
            history[key] = [told for told, _ in done]
            by[key] = tuple(who for _, who in done)
            if done[-1][0]["op"] != "delete":
                values[key] = _value(history[key])
    return Replayed({"version": 1, "values": values, "history": history}, by, tuple(lost))


def _done(changes: Iterable[Recorded]) -> Iterator[tuple[dict[str, Any], str]]:
    """Give each change with what it means after those before it."""
    value: Any = _ABSENT
    for change in changes:
        told: dict[str, Any] = {"ts": change.ts, "who": change.who, "op": change.op}
        told |= {"old": None, "new": None}
        if change.op == "append" and (value is _ABSENT or isinstance(value, list)):
            value = [] if value is _ABSENT else value
            told |= {"new": change.new, "index": len(value)}
            value.append(change.new)
        elif change.op == "pop":
            index = _place(value, change)
            if index is None:
                continue
            told |= {"old": value.pop(index), "index": index}
        elif change.op == "delete":
            if value is _ABSENT:
                continue
            told["old"], value = value, _ABSENT
        else:
            new = _new(value, change)
            told |= {"op": "set" if change.op == "append" else change.op, "new": _own_list(new)}
            told["old"], value = None if value is _ABSENT else value, _own_list(new)
        yield told, change.by


def _new(value: Any, change: Recorded) -> Any:
    """Return what a key has after a change that does not look at its items."""
    if change.op == "append":  # to what was a list only by a change that is left out
        return [change.new]
    if change.op != "increment":
        return change.new
    now = value if type(value) in (int, float) else 0
    then = change.old if type(change.old) in (int, float) else 0
    # A sum of floats is not the same again by another way.
    return change.new if now == then else now + (change.new - then)


def _place(value: Any, change: Recorded) -> int | None:
    """Return where the item is now that a change took out then; None where it never was."""
    if not isinstance(value, list):
        return None
    index = change.index or 0
    if index < len(value) and value[index] == change.old:
        return index
    return value.index(change.old) if change.old in value else None


def _own_list(value: Any) -> Any:
    """Return a list that later changes may change; its items are never changed."""
    return [*value] if isinstance(value, list) else value


def _value(history: list[dict[str, Any]]) -> Any:
    """Return what the changes of a key end with."""
    value: Any = None
    for told in history:
        if told["op"] == "append":
            value = [] if value is None else value
            value.append(told["new"])
        elif told["op"] == "pop":
            value.pop(told["index"])
        else:
            value = _own_list(told["new"])
    return value


_OF_THE_RUN: Final = frozenset({"time", "resources", "where", "logs", "attempts", "artifacts"})


def restored(
    record: RunRecord, how: ResumePlan, recipes: Collection[Recipe], scope: str = ""
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
    record: RunRecord, how: ResumePlan, recipes: Collection[Recipe], run: str
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
            told = _own_part(restored(record, how, recipes, scope), below)
            yield ContextRestored(snapshot=told.snapshot, run=record.id, scope=scope, by=told.by)
    yield ContextRestored(snapshot=below.snapshot, run=record.id, by=below.by)


def _own_part(told: Replayed, below: Replayed) -> Replayed:
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


class ContextBefore(NamedTuple):
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


def context_before(record: RunRecord, wanted: Wanted) -> ContextBefore | str:
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
) -> ContextBefore | str:
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
    return ContextBefore(record, contexts, steps)


def _found(record: RunRecord, recipe: Recipe, step: Step) -> StepRecord | None:
    old = record.recipes.get(recipe.key)
    return None if old is None else old.steps.get(step.name)
