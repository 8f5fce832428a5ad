"""Context tab: the keys as a tree, at present or after any step, and the history of a key."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from msgspec import Struct

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.monitor.address import Address, chosen_recipe, step_key
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.html.context_view import Branch, tree
from pytest_orchestrator.reports.text import cut, json_text
from pytest_orchestrator.runs.changes import Changes, RecordedChange
from pytest_orchestrator.runs.record import RunRecord, StepRecord

LABEL: Final = "Context"

_ROWS: Final = 300
_RECENT_SECONDS: Final = 5.0
_VALUE_LENGTH: Final = 300
_HISTORY_VALUE_LENGTH: Final = 2_000
_HISTORY: Final = 50
_WHOLE_HISTORY: Final = 2_000
WHOLE: Final = "all"
"""Value of `state` in the address that shows the whole history of a key."""
_SEPARATOR: Final = "::"


class Row(Struct, frozen=True):
    """Row of a key, or of the common beginning of several keys.

    Attributes:
        name: The part of the dotted key at this node.
        level: Its depth in the tree.
        key: Its key in URLs; empty for a branch.
        value: Its value; empty for a branch.
        who: The writer of its last change.
        step: Key of the step that made it; empty without one.
        ts: Time of it, in ISO 8601 UTC.
        mark: Empty; ``recent``, or ``deleted``.
    """

    name: str
    level: int
    key: str = ""
    value: str = ""
    who: str = ""
    step: str = ""
    ts: str = ""
    mark: str = ""


class Change(Struct, frozen=True):
    """Change in the history of a key; `step` is the key of the step that made it."""

    ts: str
    who: str
    step: str
    op: str
    old: str
    new: str
    masked: bool


class History(Struct, frozen=True):
    """Changes of a key, newest first, and the number of earlier ones."""

    name: str
    scope: str
    changes: list[Change]
    left_out: int
    can_show_more: bool


class Content(Struct, frozen=True):
    """Content of the tab.

    Attributes:
        part: The rows of this page.
        keys: Number of keys.
        every: Number of keys without the filters.
        trail: Branches above the first row of this page.
        steps: Number of steps that have ended.
        at: Number of them after which the values are shown; None for the present values.
        moment: Text of that.
        is_live: True if the run goes on.
        history: History of the chosen key; None without one.
    """

    part: Part[Row]
    keys: int
    every: int
    trail: list[Row]
    steps: int
    at: int | None
    moment: str
    is_live: bool
    history: History | None


def content(view: RunView, one: Address) -> Content:
    """Return the content of the tab.

    Args:
        view: The run.
        one: The address of the page: `at` is the number of ended steps whose state is shown,
            `key` the key with the history.
    """
    run = view.record
    steps = ended_steps(run)
    at = int(one.at) if one.at.isascii() and one.at.isdigit() and len(one.at) < 9 else None
    at = None if at is None or at > len(steps) else at
    place = _Moment(run, steps, at)
    recipe = chosen_recipe(view, one) if one.recipe else None
    words = one.q.lower().split()
    rows: list[Row] = []
    keys = every = 0
    for scope in run.changes.scopes:
        names = place.keys(scope)
        every += len(names)
        if recipe is not None and scope != recipe.key:
            # Without a Context of its own, a recipe writes that of the session.
            names = [name for name in names if not scope and place.is_by(name, recipe.key)]
        if words:
            names = [name for name in names if place.has(name, scope, words)]
        keys += len(names)
        if scope and names:
            rows.append(Row(f"Context of {scope}", 0))
        rows += place.rows(scope, names)
    shown = part(rows, one.page, _ROWS)
    start = (shown.page - 1) * _ROWS
    return Content(
        shown._replace(rows=[place.filled(row) for row in shown.rows]),
        keys,
        every,
        _trail(rows, start),
        len(steps),
        at,
        place.text,
        run.state == "running",
        _history(run, one, place.steps),
    )


def ended_steps(run: RunRecord) -> list[StepRecord]:
    """Return the steps that have ended in this run, in the order of their ends."""
    done = [step for step in run.steps if step.ended is not None]
    return sorted(done, key=lambda step: step.lines[1])


def _trail(rows: Sequence[Row], start: int) -> list[Row]:
    """Return the branches above a row, from the root on."""
    found: list[Row] = []
    level = rows[start].level if start < len(rows) else 0
    for row in reversed(rows[:start]):
        if level == 0:
            break
        if row.level < level:
            found.append(row)
            level = row.level
    return found[::-1]


class _Moment:
    """Context at a moment of a run: at present, or after a number of ended steps."""

    def __init__(self, run: RunRecord, steps: Sequence[StepRecord], at: int | None) -> None:
        self._changes, self._at = run.changes, at
        self.steps = {
            step.about.get("node") or f"{step.recipe}::{step.name}": step_key(step)
            for step in run.steps
        }
        self._now = time.time()
        self._line: int | None = None
        self._first = 0
        self.text = "Now" if run.state == "running" else "At the end of the run"
        if at == 0:
            self._line = min((step.lines[0] for step in steps), default=0)
            self.text = "Before the first step"
        elif at is not None:
            step = steps[at - 1]
            self._first, self._line = step.lines
            self.text = f"After step {at:,} of {len(steps):,}: {cut(step.name, 80)}"
        self._values: dict[str, dict[str, Any]] = {}

    def keys(self, scope: str) -> list[str]:
        """Return the keys of a Context; of that of a recipe, only keys that were written in it."""
        own = self._changes.own_keys(scope)
        if self._line is None:
            return own
        self._values[scope] = values = self._changes.values(scope, self._line)
        return [key for key in own if key in values]

    def is_by(self, key: str, recipe: str) -> bool:
        """Return True if a step of a recipe made the last change of a key of the session."""
        change = self._last(key, "")
        step = self.steps.get(change.by, "") if change else ""
        return step.rpartition(_SEPARATOR)[0] == recipe

    def has(self, key: str, scope: str, words: Iterable[str]) -> bool:
        """Return True if a key, its value and its writer together have all words."""
        change = self._last(key, scope)
        value, who = self._value(key, scope, change), change.who if change else ""
        text = f"{key} {value} {who}".lower()
        return all(word in text for word in words)

    def rows(self, scope: str, keys: Sequence[str]) -> list[Row]:
        """Return the rows of keys, without values."""
        nodes = _nodes(tree(keys), int(bool(scope)))
        return [Row(name, level, _url_key(scope, key)) for name, level, key in nodes]

    def filled(self, row: Row) -> Row:
        """Return a row with its value and its last change."""
        if not row.key:
            return row
        scope, key = _scope_and_key(self._changes, row.key)
        change = self._last(key, scope)
        value = self._value(key, scope, change)
        if change is None:
            return Row(row.name, row.level, row.key, value)
        return Row(
            cut(row.name, 200),
            row.level,
            row.key,
            value,
            cut(change.who, 80),
            self.steps.get(change.by, ""),
            change.ts,
            self._mark(change),
        )

    def _mark(self, change: RecordedChange) -> str:
        if self._line is not None:
            return "recent" if self._first and change.n > self._first else ""
        if change.op == "delete":
            return "deleted"
        age = self._now - epoch_seconds(change.ts)
        return "recent" if age < _RECENT_SECONDS else ""

    def _last(self, key: str, scope: str) -> RecordedChange | None:
        if self._line is None:
            return self._changes.latest(key, scope)
        line = self._line
        before = [one for one in self._changes.history(key, scope) if one.n < line]
        return before[-1] if before else None

    def _value(self, key: str, scope: str, change: RecordedChange | None) -> str:
        values: Mapping[str, Any] | None = self._values.get(scope)
        if values is not None:
            return json_text(values[key], _VALUE_LENGTH) if key in values else ""
        if change is None or change.op == "delete":
            return ""
        text = json_text(change.new, _VALUE_LENGTH)
        if change.op == "append":
            return f"… and {text}"
        return f"without item {change.index}" if change.op == "pop" else text


class _Node(NamedTuple):
    name: str
    level: int
    key: str | None


def _nodes(branches: Iterable[Branch], level: int) -> Iterator[_Node]:
    for branch in branches:
        yield _Node(branch.name, level, branch.key)
        yield from _nodes(branch.branches, level + 1)


def _url_key(scope: str, key: str | None) -> str:
    if key is None:
        return ""
    return f"{scope}{_SEPARATOR}{key}" if scope else key


def _scope_and_key(changes: Changes, text: str) -> tuple[str, str]:
    """Return the scope and the key that a URL names; both empty for an unknown key."""
    for scope in changes.scopes:
        key = text.removeprefix(f"{scope}{_SEPARATOR}") if scope else text
        if (not scope or key != text) and key in changes.keys(scope):
            return scope, key
    return "", ""


def _history(run: RunRecord, one: Address, steps: Mapping[str, str]) -> History | None:
    """Return the last changes of the chosen key, newest first; None without a key."""
    scope, key = _scope_and_key(run.changes, one.key) if one.key else ("", "")
    if not key:
        return None
    every = run.changes.history(key, scope)
    most = _WHOLE_HISTORY if one.state == WHOLE else _HISTORY
    shown = [
        Change(
            change.ts,
            cut(change.who, 80),
            steps.get(change.by, ""),
            change.op,
            _text(change.old),
            "" if change.op in ("delete", "pop") else _text(change.new),
            change.masked,
        )
        for change in every[: -most - 1 : -1]
    ]
    left_out = len(every) - len(shown)
    return History(key, scope, shown, left_out, bool(left_out) and most == _HISTORY)


def _text(value: Any) -> str:
    return "" if value is None else json_text(value, _HISTORY_VALUE_LENGTH)
