"""The Context of an earlier run with some of its changes left out: as if they had not been.

Each key is by itself, so what one change means to a later one of the same key is all that
has to be looked at: an increment adds what it added then, an item is taken out wherever it is.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from pytest_orchestrator.run.changes import Changes, Recorded

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
            told |= {"op": "set" if change.op == "append" else change.op, "new": _own(new)}
            told["old"], value = None if value is _ABSENT else value, _own(new)
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


def _own(value: Any) -> Any:
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
            value = _own(told["new"])
    return value
