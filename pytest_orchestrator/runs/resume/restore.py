"""Restoring of the Context and the results of an earlier run.

The Context is rebuilt from the changes of the steps that are restored, and from the changes that
were made outside all steps. The changes of all other steps are left out.

Each key is rebuilt separately: its kept changes are applied again in their order. An increment adds
the same difference as before, and `pop` removes the same item at whatever index it is now.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from pytest_orchestrator.core.events import (
    AnyEvent,
    ContextRestored,
    StepFinished,
    StepStarted,
)
from pytest_orchestrator.recipe.model.recipe import Recipe, unit_scope
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.runs.changes import Changes, JoinedChanges, RecordedChange, scope_below
from pytest_orchestrator.runs.record import ElementRecord, RunRecord, StepRecord
from pytest_orchestrator.runs.resume.plan import ResumePlan, changed, is_done, node_of, was_cut_off

_ABSENT: Final = object()


class Replayed(NamedTuple):
    """Context rebuilt from recorded changes.

    Attributes:
        snapshot: The snapshot for `Context.restore`.
        by: Node ids of the steps that made the changes of each key, in their order.
        lost: Keys that are left out because a change of them contained a secret.
    """

    snapshot: dict[str, Any]
    by: dict[str, tuple[str, ...]]
    lost: tuple[str, ...]


def replayed(changes: Changes, keep: Callable[[RecordedChange], bool], scope: str = "") -> Replayed:
    """Rebuild a Context from the changes that are kept.

    Args:
        changes: All changes of the Contexts of the run.
        keep: Returns True for a change that is kept.
        scope: Key of the recipe whose own Context it is; empty for the session's.
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
        applied = list(_applied(kept))
        if applied:
            history[key] = [fields for fields, _ in applied]
            by[key] = tuple(node for _, node in applied)
            if applied[-1][0]["op"] != "delete":
                values[key] = _value(history[key])
    return Replayed({"version": 1, "values": values, "history": history}, by, tuple(lost))


def _applied(changes: Iterable[RecordedChange]) -> Iterator[tuple[dict[str, Any], str]]:
    """Apply changes in order; yield each entry of the rebuilt history with its node id."""
    value: Any = _ABSENT
    for change in changes:
        entry: dict[str, Any] = {"ts": change.ts, "who": change.who, "op": change.op}
        entry |= {"old": None, "new": None}
        if change.op == "append" and (value is _ABSENT or isinstance(value, list)):
            value = [] if value is _ABSENT else value
            entry |= {"new": change.new, "index": len(value)}
            value.append(change.new)
        elif change.op == "pop":
            index = _index_now(value, change)
            if index is None:
                continue
            entry |= {"old": value.pop(index), "index": index}
        elif change.op == "delete":
            if value is _ABSENT:
                continue
            entry["old"], value = value, _ABSENT
        else:
            new = _new(value, change)
            entry |= {"op": "set" if change.op == "append" else change.op, "new": _own_list(new)}
            entry["old"], value = None if value is _ABSENT else value, _own_list(new)
        yield entry, change.by


def _new(value: Any, change: RecordedChange) -> Any:
    """Return the value of a key after a change that replaces the whole value."""
    if change.op == "append":  # the change that made the value a list is left out
        return [change.new]
    if change.op != "increment":
        return change.new
    now = value if type(value) in (int, float) else 0
    then = change.old if type(change.old) in (int, float) else 0
    # The recorded sum if possible: adding a difference of floats may round to another one.
    return change.new if now == then else now + (change.new - then)


def _index_now(value: Any, change: RecordedChange) -> int | None:
    """Return the index in `value` of the item that a `pop` removed; None if it is missing."""
    if not isinstance(value, list):
        return None
    index = change.index or 0
    if index < len(value) and value[index] == change.old:
        return index
    return value.index(change.old) if change.old in value else None


def _own_list(value: Any) -> Any:
    """Return a copy of a list, as later changes modify it; return other values unchanged."""
    return [*value] if isinstance(value, list) else value


def _value(history: list[dict[str, Any]]) -> Any:
    """Return the value of a key after all changes in a history."""
    value: Any = None
    for entry in history:
        if entry["op"] == "append":
            value = [] if value is None else value
            value.append(entry["new"])
        elif entry["op"] == "pop":
            value.pop(entry["index"])
        else:
            value = _own_list(entry["new"])
    return value


_NOT_RESTORED: Final = frozenset({"time", "resources", "where", "logs", "attempts", "artifacts"})


def adopt(record: RunRecord, earlier: RunRecord, keys: Collection[str]) -> None:
    """Add recipes to the record of a run that did not select them, from the run that it resumed.

    Args:
        record: The record of the run.
        earlier: The run that it resumed; its record is used up.
        keys: Keys of the recipes; those that the earlier run does not have are ignored.
    """
    from pytest_orchestrator.runs.resume.elements import restored_events

    nodes = set()
    for recipe in (earlier.recipes[key] for key in keys if key in earlier.recipes):
        record.recipes[recipe.key] = recipe
        for step in recipe.steps.values():
            nodes.add(node_of(step))
            kept = restored_events(earlier, step)  # with their changes: lines are of the other run
            step.elements = {one.element: ElementRecord(one, (0, 0)) for one in kept}
            if was_cut_off(step):
                step.cut_off_in = step.cut_off_in or earlier.id
            if step.ended is not None:
                step.ended = replace(step.ended, restored=ran_in(earlier, step))
    record.changes = JoinedChanges(record.changes, earlier.changes, nodes)


def restored(record: RunRecord, plan: ResumePlan, scope: str = "") -> Replayed:
    """Return the Context with which a resumed run continues.

    Args:
        record: The earlier run.
        plan: The decisions on the steps; changes of steps without a decision are left out.
        scope: Key of the recipe whose own Context it is; empty for the session's.
    """
    steps = {node_of(each): each for each in record.steps}

    def keep(change: RecordedChange) -> bool:
        step = steps.get(change.by)
        if step is None:
            return not change.by
        return plan.of(step.recipe, step.name).kind == "restored"

    return replayed(record.changes, keep, scope)


def ran_in(record: RunRecord, step: StepRecord) -> str:
    """Return the id of the run that executed a step: `record`, or the run it was restored from."""
    return (step.ended.restored if step.ended else None) or record.id


def opening(record: RunRecord, plan: ResumePlan, run: str) -> Iterator[AnyEvent]:
    """Yield the events with which the journal of a resumed run restores the earlier run.

    Other recipes of the earlier run are left out: a later run resumes them from that run. The
    session's Context comes last, so a journal with it is complete.

    Args:
        record: The earlier run.
        plan: The decisions on the steps of the current recipes, whose start the journal has.
        run: Id of the resumed run.
    """
    for key in (one for one in plan.decisions if one in record.recipes):
        for step in record.recipes[key].steps.values():
            fate = plan.of(key, step.name)
            if fate.kind == "restored" and step.ended is not None:
                yield restored_event(record, step, run)
                continue
            if step.elements and fate.keeps_elements:
                from pytest_orchestrator.runs.resume.elements import restored_events

                yield from restored_events(record, step)
            if was_cut_off(step) or fate.kind == "refused":
                where = step.cut_off_in or record.id
                yield StepStarted(recipe=key, step=step.name, cut_off_in=where)
    below = restored(record, plan)
    for scope in record.changes.scopes:
        under = scope_below(scope)
        if scope in plan.decisions or under in plan.decisions:
            own = _own_part(restored(record, plan, scope), restored(record, plan, under))
            yield ContextRestored(snapshot=own.snapshot, run=record.id, scope=scope, by=own.by)
    yield ContextRestored(snapshot=below.snapshot, run=record.id, by=below.by)


def _own_part(context: Replayed, below: Replayed) -> Replayed:
    """Return the part of a rebuilt Context with the keys that the recipe itself changed.

    Other keys must stay in the session's Context, so that the recipe sees later changes of them.
    """
    history = below.snapshot["history"]
    own = {key for key, each in context.snapshot["history"].items() if each != history.get(key)}
    parts = {
        name: {key: each for key, each in context.snapshot[name].items() if key in own}
        for name in ("values", "history")
    }
    return context._replace(snapshot=context.snapshot | parts)


def restored_event(record: RunRecord, step: StepRecord, run: str) -> StepFinished:
    """Return the event with which a resumed run restores the outcome of a step.

    Args:
        record: The earlier run, from which the step is restored.
        step: The step in that run; it has ended.
        run: Id of the resumed run.
    """
    from pytest_orchestrator.runs.block import seconds_in

    assert step.ended is not None  # noqa: S101  # said above
    # Plain data, so that fields that another version has added are restored, too. Times, figures
    # and logs belong to the earlier run and are left out.
    old, where = step.ended.block, ran_in(record, step)
    block = {name: value for name, value in old.items() if name not in _NOT_RESTORED}
    block["run"] = {**old.get("run", {}), "id": run, "resumed_from": where}
    if seconds := seconds_in(step.block, step.ended):
        block["run"]["seconds"] = seconds
    block["step"] = {**old.get("step", {}), "state": "restored"}
    if "elements" in old:
        block["elements"] = [_restored_element(one, where) for one in old["elements"]]
    return replace(step.ended, block=block, restored=where)


def _restored_element(element: dict[str, Any], run: str) -> dict[str, Any]:
    """Return the part of a block for an element, as a run shows it that has restored its step."""
    kept = {name: value for name, value in element.items() if name not in _NOT_RESTORED}
    if kept["state"] == "passed":
        kept["state"] = "restored"
    return {"restored": run, **kept}


class SelectedStep(NamedTuple):
    """Selected step whose needed steps are not selected.

    Attributes:
        recipe: Current recipe of the step.
        step: The step.
        needs: The needed steps that do not run, each with its recipe.
        digests: Current digests of all steps of these recipes, by key of the recipe and by name.
        again: Node ids of steps that run again, so that their changes are not restored.
    """

    recipe: Recipe
    step: Step
    needs: Collection[tuple[Recipe, Step]]
    digests: Mapping[tuple[str, str], Mapping[str, str]]
    again: Collection[str] = ()


class ContextBefore(NamedTuple):
    """State of an earlier run just before one of its steps.

    Attributes:
        record: The run.
        contexts: The Contexts by scope: the session's, and the recipe's own if it has one.
        steps: The records of the needed steps, by key of their recipe and by name.
    """

    record: RunRecord
    contexts: Mapping[str, Replayed]
    steps: Mapping[tuple[str, str], StepRecord]


def had(record: RunRecord, wanted: SelectedStep) -> bool:
    """Return True if a step ran in a run and all its needed steps had passed there."""
    old = _record_of(record, wanted.recipe, wanted.step)
    return (
        old is not None
        and old.started is not None
        and len(_steps(record, wanted)) == len(wanted.needs)
    )


def context_before(record: RunRecord, wanted: SelectedStep) -> ContextBefore | str:
    """Return the state of a run before a step, or the reason why that state cannot be used.

    Args:
        record: A run for which `had` returns True.
        wanted: The step.
    """
    steps, stale = _steps(record, wanted), _stale(record, wanted)
    for at, old in steps.items():
        if why := stale.get(node_of(old)):
            return f"'{at[1]}', which it needs, would not do the same now: {why}"
    return _contexts(record, wanted, steps, stale)


def _stale(record: RunRecord, wanted: SelectedStep) -> dict[str, str]:
    """Return why steps of a run would not do the same now, by node id; also of steps that are gone.

    As in a resumed run, a step is compared by its digests, and one that comes after such a step
    is such a step, too.
    """
    stale: dict[str, str] = {}
    recipes = [wanted.recipe, *(recipe for recipe, _ in wanted.needs)]
    for recipe in {each.key: each for each in recipes}.values():
        old = record.recipes[recipe.key].steps
        ran = {name for name, each in old.items() if each.ended and each.ended.digests}
        today = {step.name: step for step in (*recipe.steps, *recipe.final)}
        whys = dict.fromkeys(old.keys() - today, "it is no longer in the recipe")
        for name in (each for each in today if each in old):
            ended, before = old[name].ended, (*today[name].needs, *today[name].after)
            late = (f"it comes after {each}" for each in before if each in ran and whys.get(each))
            now = wanted.digests.get((recipe.key, name), {})
            whys[name] = changed(ended.digests if ended else {}, now) or next(late, "")
        stale |= {node_of(old[name]): why for name, why in whys.items() if why}
    return stale


def _steps(record: RunRecord, wanted: SelectedStep) -> dict[tuple[str, str], StepRecord]:
    """Return the records of those needed steps that had passed in a run."""
    passed: dict[tuple[str, str], StepRecord] = {}
    for recipe, step in wanted.needs:
        old = _record_of(record, recipe, step)
        if old is not None and old.ended is not None and (is_done(old) or old.ended.meets):
            passed[recipe.key, step.name] = old
    return passed


def _contexts(
    record: RunRecord,
    wanted: SelectedStep,
    steps: Mapping[tuple[str, str], StepRecord],
    stale: Collection[str],
) -> ContextBefore | str:
    own = _record_of(record, wanted.recipe, wanted.step)
    line = own.lines[0] if own else 0
    left_out = {*wanted.again, *stale}
    nodes = {node_of(step): step.name for step in steps.values()}
    contexts: dict[str, Replayed] = {}
    unit = [unit_scope(wanted.recipe.key, wanted.step.unit)] if wanted.step.unit else []
    for scope in ("", wanted.recipe.key, *unit):
        if scope in record.changes.scopes:
            context = replayed(
                record.changes,
                lambda change: change.n < line and change.by not in left_out,
                scope,
            )
            for key in context.lost:
                for change in record.changes.history(key, scope):
                    if change.masked and change.by in nodes and change.n < line:
                        name = nodes[change.by]
                        return f"what '{name}' wrote to '{key}' is secret, and in no journal"
            contexts[scope] = context
    return ContextBefore(record, contexts, steps)


def _record_of(record: RunRecord, recipe: Recipe, step: Step) -> StepRecord | None:
    old = record.recipes.get(recipe.key)
    return None if old is None else old.steps.get(step.name)
