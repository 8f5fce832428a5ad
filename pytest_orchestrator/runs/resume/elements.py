"""Elements of ``foreach`` that passed in an earlier run, and are kept in a resumed run."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from pytest_orchestrator.core.events import ElementFinished
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.mask_stream import MASK
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.recipe.model.recipe import unit_scope
from pytest_orchestrator.runs.record import ElementRecord, RunRecord, StepRecord
from pytest_orchestrator.runs.resume.plan import node_of

_NOT_KEPT = frozenset({"time", "resources", "where", "logs", "attempts", "artifacts"})


class KeptElement(msgspec.Struct, frozen=True):
    """Element that passed in an earlier run and does not run again.

    Attributes:
        result: Its result.
        outputs: The values of the step's ``outputs`` for it, by key.
        changes: The changes of the Context that its step code made: ``key``, ``op``, ``old``,
            ``new``, ``index``.
    """

    result: StepResult
    outputs: dict[str, Json]
    changes: tuple[dict[str, Any], ...] = ()


class KeptElements(msgspec.Struct, frozen=True):
    """Elements of a step that passed in the run that this run resumes.

    Attributes:
        digest: Digest of the list; if the list is another one now, no element is kept.
        elements: The elements, by index.
    """

    digest: str
    elements: Mapping[int, KeptElement]


def kept_elements(record: RunRecord, step: StepRecord) -> KeptElements | None:
    """Return the elements of a step that passed in a run; None if there are none."""
    from pytest_orchestrator.runs.block import element_result

    events = list(restored_events(record, step))
    if not events:
        return None
    elements = {
        event.element: KeptElement(element_result(event), event.outputs, event.changes)
        for event in events
    }
    return KeptElements(events[0].digest, elements)


def restored_events(record: RunRecord, step: StepRecord) -> Iterator[ElementFinished]:
    """Yield the event with which a resumed run keeps an element, for each element that passed.

    An element is left out if its result or a change of the Context that it made is secret, because
    the journal has only its mask.

    Args:
        record: The earlier run.
        step: The step in that run.
    """
    for one in step.elements.values():
        event = one.event
        if event.outcome != "passed":
            continue
        changes = _changes(record, step, one)
        if changes is None or MASK in f"{event.result}{event.outputs}":
            continue
        block = {name: value for name, value in event.block.items() if name not in _NOT_KEPT}
        ran_in = event.restored or record.id
        yield msgspec.structs.replace(
            event, block=block | {"state": "restored"}, restored=ran_in, changes=changes
        )


def _scopes(step: StepRecord) -> set[str]:
    """Return the scopes of the Contexts that a step may have written."""
    unit = step.about.get("unit")
    return {"", step.recipe, *([unit_scope(step.recipe, unit)] if unit else ())}


def _changes(
    record: RunRecord, step: StepRecord, one: ElementRecord
) -> tuple[dict[str, Any], ...] | None:
    """Return the changes that the step code made for an element; None if one is secret."""
    if one.event.restored:
        return one.event.changes
    (first, last), node = one.lines, node_of(step)
    own = [
        change
        for scope in _scopes(step) & set(record.changes.scopes)
        for key in record.changes.keys(scope)
        for change in record.changes.history(key, scope)
        if first < change.n < last and change.by == node
    ]
    if any(change.masked for change in own):
        return None
    names = ("key", "op", "old", "new", "index")
    ordered = sorted({change.n: change for change in own}.items())
    return tuple({name: getattr(change, name) for name in names} for _, change in ordered)
