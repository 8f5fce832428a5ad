"""Context tab: key tree, history, time slider."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.monitor.pages.common import Asked, column, grid, look_at
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html.context_view import Branch, tree
from pytest_orchestrator.reports.html.timeline import moment
from pytest_orchestrator.reports.text import told
from pytest_orchestrator.runs.record import Changes, Recorded, RunRecord, StepRecord

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Context"

_LATELY: Final = 5.0
_MOST: Final = 2_000
_VALUE: Final = 400
_HISTORY: Final = 50
_SIGNS: Final = {"append": "+ ", "pop": "- item ", "delete": "deleted"}
_COLUMNS: Final = (
    column(
        "name",
        "key",
        flex=1.4,
        minWidth=200,
        sortable=False,
        filter=False,
        tooltipField="id",
        cellClassRules={f"level-{one}": f"params.data.level === {one}" for one in range(1, 9)},
    ),
    column("value", "value", flex=2, minWidth=150, sortable=False, tooltipField="value"),
    column("who", "last writer", flex=1, minWidth=110, sortable=False, tooltipField="who"),
    column("when", "when", width=92, sortable=False, filter=False),
)


def layout(sight: RunView, _: Asked) -> Any:
    """Return the tab."""
    steps = ended(sight.record)
    table = grid(
        "context",
        _COLUMNS,
        rows(sight.record, None),
        rowClassRules={"row-lately": "params.data.lately", "row-branch": "params.data.branch"},
        rowSelection={"mode": "singleRow", "checkboxes": False, "enableClickSelection": True},
    )
    slider = dcc.Slider(
        min=0,
        max=len(steps),
        step=1,
        value=len(steps),
        marks=None,
        id="as-of",
        updatemode="mouseup",
        allow_direct_input=False,
    )
    return html.Div(
        [
            dcc.Store(id="context-seen", data=version(sight, None)),
            dcc.Store(id="context-key"),
            html.Div(
                [html.Span(id="as-of-told", className="quiet"), html.Div(slider, id="as-of-line")],
                className="as-of",
            ),
            html.Div(table, className="fill"),
            html.Div(history(sight.record.changes, None), id="key-history", className="history"),
        ],
        className="fill column",
    )


def version(sight: RunView, place: int | None) -> list[Any]:
    """Return what tells whether what is shown is up to date.

    Args:
        sight: The run.
        place: That of the slider; None where it is at its end, which is told as well.
    """
    changes = sight.record.changes
    keys = sum(len(changes.keys(scope)) for scope in changes.scopes)
    return [sight.record.lines, keys, place, len(ended(sight.record))]


def register(app: "Dash", watch: RunCache) -> None:
    """Keep the tree as it is, or as it was where the slider says so."""

    @app.callback(
        Output("context", "rowData"),
        Output("context", "rowTransaction"),
        Output("as-of", "max"),
        Output("as-of", "value"),
        Output("as-of-told", "children"),
        Output("context-seen", "data"),
        Input("tick", "data"),
        Input("as-of", "value"),
        State("run", "data"),
        State("context-seen", "data"),
    )
    def refresh(_: int, value: int, run: str, seen: list[Any]) -> Any:
        return look_at(watch, run, lambda sight: refreshed(sight, value, seen))

    @app.callback(
        Output("context-key", "data"),
        Input("context", "cellClicked"),
        prevent_initial_call=True,
    )
    def pick(cell: dict[str, Any] | None) -> Any:
        return cell["rowId"] if cell else no_update

    @app.callback(
        Output("key-history", "children"),
        Input("context-key", "data"),
        Input("context-seen", "data"),
        State("run", "data"),
        prevent_initial_call=True,
    )
    def tell(name: str | None, _: Any, run: str) -> Any:
        return look_at(watch, run, lambda sight: history(sight.record.changes, name))


def refreshed(sight: RunView, value: int, seen: list[Any]) -> tuple[Any, ...]:
    """Return what changed: of a slider at its end the newest rows, else all as it was.

    Whether somebody has moved the slider is told by where it was put last, not by what has
    asked: an answer to a move may have been overtaken by the next question of the page.

    Args:
        sight: The run.
        value: Where the slider is.
        seen: What `version` returned for what the page shows.
    """
    steps = ended(sight.record)
    is_moved = value != (seen[3] if seen[2] is None else seen[2])
    is_live = value >= seen[3] if is_moved else seen[2] is None
    place = None if is_live else value
    fresh = version(sight, place)
    # To put it where it is would undo a move that is made before this answer comes.
    end = (len(steps), len(steps) if is_live and value != len(steps) else no_update)
    if fresh == seen:
        old = _faded(sight.record, seen[0]) if is_live else []
        update = {"update": old} if old else no_update
        return no_update, update, *end, _as_of(steps, place), no_update
    if is_live and fresh[1:3] == seen[1:3]:
        update = {"update": changed(sight.record, seen[0])}
        return no_update, update, *end, _as_of(steps, place), fresh
    return rows(sight.record, place), no_update, *end, _as_of(steps, place), fresh


def _as_of(steps: Sequence[StepRecord], place: int | None) -> str:
    if place is None:
        return "as it is now"
    if place == 0:
        return "as it was before the first step ended"
    return f"as of step {place} of {len(steps)}: {steps[place - 1].name}"


def ended(run: RunRecord) -> list[StepRecord]:
    """Return the steps that ended in this run, in the order they did."""
    done = [step for step in run.steps if step.ended is not None]
    return sorted(done, key=lambda step: step.lines[1])


def rows(run: RunRecord, place: int | None) -> list[dict[str, Any]]:
    """Return the rows of all Contexts, as branches have them.

    Args:
        run: The run.
        place: Number of steps that have ended; None is now.
    """
    before = None
    if place is not None:
        steps = ended(run)
        before = steps[place - 1].lines[1] if place else _first(steps)
    found: list[dict[str, Any]] = []
    for scope in run.changes.scopes:
        if scope:
            found.append(_branch(f"{scope}\n", f"Context of {scope}", 0))
        values = None if before is None else run.changes.values(scope, before)
        keys = [*values] if values is not None else _own(run.changes, scope)
        found += [_row(run.changes, at, values) for at in _places(scope, keys)]
    return found


def _first(steps: Sequence[StepRecord]) -> int:
    return min((step.lines[0] for step in steps), default=0)


def _own(changes: Changes, scope: str) -> list[str]:
    """Return the keys of a Context; of a recipe's own those that it has written."""
    return [key for key in changes.keys(scope) if not scope or changes.last(key, scope)]


def changed(run: RunRecord, after: int) -> list[dict[str, Any]]:
    """Return the rows of the keys that changed after a line, each as `rows` has it."""
    changes, found = run.changes, []
    for scope in changes.scopes:
        keys = _own(changes, scope)
        if any(changes.last(key, scope) > after for key in keys):
            found += [
                _row(changes, at)
                for at in _places(scope, keys)
                if at.key is not None and changes.last(at.key, scope) > after
            ]
    return found


def _faded(run: RunRecord, line: int) -> list[dict[str, Any]]:
    """Return the rows of keys that stop to be new: those that changed some seconds ago."""
    now = time.time()
    if not run.last or now - moment(run.last) > 2 * _LATELY:
        return []
    return changed(run, max(0, line - 200))


class _Place(NamedTuple):
    """Where a row stands in the tree, which no key tells alone: a chain of names is one name."""

    scope: str
    path: str
    key: str | None
    name: str
    level: int


def _places(scope: str, keys: Sequence[str]) -> Iterator[_Place]:
    yield from _below(scope, tree(keys[:_MOST]), "", int(bool(scope)))


def _below(scope: str, branches: Iterable[Branch], head: str, level: int) -> Iterator[_Place]:
    for branch in branches:
        path = f"{head}.{branch.name}" if head else branch.name
        yield _Place(scope, path, branch.key, branch.name, level)
        yield from _below(scope, branch.branches, path, level + 1)


def _branch(name: str, shown: str, level: int) -> dict[str, Any]:
    return {"id": name, "name": shown, "level": level, "branch": True}


def _row(changes: Changes, at: _Place, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the row of a place as it is, or with one of the values as they were."""
    if at.key is None:
        return _branch(f"{at.scope}\n{at.path}.", at.name, at.level)
    row = {"id": f"{at.scope}\n{at.key}", "name": at.name, "level": at.level}
    blank = {"value": "", "who": "", "when": "", "lately": False}
    if values is not None:
        return row | blank | {"value": told(values[at.key], _VALUE)}
    change = changes.latest(at.key, at.scope)
    if change is None:
        return row | blank
    return row | {
        "value": _value(change),
        "who": change.who,
        "when": change.ts[11:19],
        "lately": time.time() - moment(change.ts) < _LATELY,
    }


def _value(change: Recorded) -> str:
    sign = _SIGNS.get(change.op, "")
    return sign if change.op == "delete" else sign + told(change.new, _VALUE)


def history(changes: Changes, name: str | None) -> Any:
    """Return the last changes of a key, old and new side by side."""
    scope, _, key = (name or "").partition("\n")
    if not key or scope not in changes.scopes or key not in changes.keys(scope):
        return html.P("Select a key to see its history.", className="quiet")
    every = changes.history(key, scope)
    head = html.Thead(html.Tr([html.Th(one) for one in ("when", "who", "what", "old", "new")]))
    table = html.Table([head, html.Tbody(list(_changes(every[: -_HISTORY - 1 : -1])))])
    left = len(every) - _HISTORY
    return [html.H3(key), table, html.P(f"and {left} before") if left > 0 else ""]


def _changes(each: Iterable[Recorded]) -> Iterator[Any]:
    for one in each:
        old = "" if one.old is None else told(one.old, _VALUE)
        new = "" if one.new is None else told(one.new, _VALUE)
        cells = [one.ts[11:23], one.who, one.op + (" (masked)" if one.masked else "")]
        yield html.Tr([*(html.Td(cell) for cell in cells), html.Td(old), html.Td(new)])
