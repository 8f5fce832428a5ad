"""Context tab: tree of keys, history of a key, time slider."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dash import Input, Output, State, dcc, html, no_update

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.monitor.pages.common import Selection, column, grid, read_run
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html.context_view import Branch, tree
from pytest_orchestrator.reports.text import json_text
from pytest_orchestrator.runs.changes import Changes, RecordedChange
from pytest_orchestrator.runs.record import RunRecord, StepRecord

if TYPE_CHECKING:
    from dash import Dash

LABEL = "Context"

_RECENT_SECONDS: Final = 5.0
_MAX_KEYS: Final = 2_000
_VALUE_LENGTH: Final = 400
_HISTORY_LENGTH: Final = 50
_SIGNS: Final = {"append": "+ ", "pop": "- item ", "delete": "deleted"}
_COLUMNS: Final = (
    column(
        "name",
        "Key",
        flex=1.4,
        minWidth=200,
        sortable=False,
        filter=False,
        tooltipField="id",
        cellClassRules={f"level-{one}": f"params.data.level === {one}" for one in range(1, 9)},
    ),
    column("value", "Value", flex=2, minWidth=150, sortable=False, tooltipField="value"),
    column("who", "Changed by", flex=1, minWidth=110, sortable=False, tooltipField="who"),
    column("when", "Time", width=92, sortable=False, filter=False),
)
_HISTORY_COLUMNS: Final = ("Time", "Changed by", "Operation", "Old", "New")

Row = dict[str, Any]


def layout(view: RunView, _: Selection) -> Any:
    """Return the content of the Context tab."""
    steps = ended_steps(view.record)
    table = grid(
        "context",
        _COLUMNS,
        rows(view.record, None),
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
            dcc.Store(id="context-seen", data=version(view, None)),
            dcc.Store(id="context-key"),
            html.Div(
                [
                    html.Span(id="as-of-text", className="quiet"),
                    html.Div(slider, id="as-of-line"),
                ],
                className="as-of",
            ),
            html.Div(table, className="fill"),
            html.Div(history(view.record.changes, None), id="key-history", className="history"),
        ],
        className="fill column",
    )


def version(view: RunView, place: int | None) -> list[Any]:
    """Return a value that changes whenever the shown content changes.

    Args:
        view: The run.
        place: Position of the slider; None at its end.
    """
    changes = view.record.changes
    keys = sum(len(changes.keys(scope)) for scope in changes.scopes)
    return [view.record.lines, keys, place, len(ended_steps(view.record))]


def register(app: "Dash", run_cache: RunCache) -> None:
    """Register the callbacks that update the tree and show the history of the selected key."""

    @app.callback(
        Output("context", "rowData"),
        Output("context", "rowTransaction"),
        Output("as-of", "max"),
        Output("as-of", "value"),
        Output("as-of-text", "children"),
        Output("context-seen", "data"),
        Input("tick", "data"),
        Input("as-of", "value"),
        State("run", "data"),
        State("context-seen", "data"),
    )
    def refresh(_: int, value: int, run: str, seen: list[Any]) -> Any:
        return read_run(run_cache, run, lambda view: updates(view, value, seen))

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
    def show_history(name: str | None, _: Any, run: str) -> Any:
        return read_run(run_cache, run, lambda view: history(view.record.changes, name))


def updates(view: RunView, value: int, seen: list[Any]) -> tuple[Any, ...]:
    """Return the new content of the tab: changed rows if the slider is at its end, else all.

    The slider counts as moved if its position differs from the one in `seen`. The trigger of the
    callback is no proof, because a periodic request may overtake the reply to a move.

    Args:
        view: The run.
        value: Position of the slider.
        seen: Return value of `version` for the content that the page shows.
    """
    steps = ended_steps(view.record)
    is_moved = value != (seen[3] if seen[2] is None else seen[2])
    is_live = value >= seen[3] if is_moved else seen[2] is None
    place = None if is_live else value
    fresh = version(view, place)
    # An unchanged position is not sent: it would undo a move made before this reply arrives.
    end = (len(steps), len(steps) if is_live and value != len(steps) else no_update)
    if fresh == seen:
        old = _rows_to_fade(view.record, seen[0]) if is_live else []
        update = {"update": old} if old else no_update
        return no_update, update, *end, _as_of(steps, place), no_update
    if is_live and fresh[1:3] == seen[1:3]:
        update = {"update": changed_rows(view.record, seen[0])}
        return no_update, update, *end, _as_of(steps, place), fresh
    return rows(view.record, place), no_update, *end, _as_of(steps, place), fresh


def _as_of(steps: Sequence[StepRecord], place: int | None) -> str:
    if place is None:
        return "Now"
    if place == 0:
        return "Before the end of the first step"
    return f"After step {place} of {len(steps)}: {steps[place - 1].name}"


def ended_steps(run: RunRecord) -> list[StepRecord]:
    """Return the steps that have ended in this run, in the order of their ends."""
    done = [step for step in run.steps if step.ended is not None]
    return sorted(done, key=lambda step: step.lines[1])


def rows(run: RunRecord, place: int | None) -> list[Row]:
    """Return the rows of all Contexts as a flattened tree.

    Args:
        run: The run.
        place: Number of ended steps whose state is shown; None shows the present state.
    """
    line = None
    if place is not None:
        steps = ended_steps(run)
        line = steps[place - 1].lines[1] if place else _first(steps)
    shown: list[Row] = []
    for scope in run.changes.scopes:
        if scope:
            shown.append(_branch(f"{scope}\n", f"Context of {scope}", 0))
        values = None if line is None else run.changes.values(scope, line)
        keys = [*values] if values is not None else _own(run.changes, scope)
        shown += [_row(run.changes, node, values) for node in _tree_nodes(scope, keys)]
    return shown


def _first(steps: Sequence[StepRecord]) -> int:
    return min((step.lines[0] for step in steps), default=0)


def _own(changes: Changes, scope: str) -> list[str]:
    """Return the keys of a Context; for a recipe's Context, only keys that were written in it."""
    return [key for key in changes.keys(scope) if not scope or changes.last(key, scope)]


def changed_rows(run: RunRecord, after: int) -> list[Row]:
    """Return table rows, like those of `rows`, for the keys that changed after a journal line."""
    changes, shown = run.changes, []
    for scope in changes.scopes:
        keys = _own(changes, scope)
        if any(changes.last(key, scope) > after for key in keys):
            shown += [
                _row(changes, node)
                for node in _tree_nodes(scope, keys)
                if node.key is not None and changes.last(node.key, scope) > after
            ]
    return shown


def _rows_to_fade(run: RunRecord, line: int) -> list[Row]:
    """Return new rows for recently changed keys, so that their highlight ends in time."""
    now = time.time()
    if not run.last or now - epoch_seconds(run.last) > 2 * _RECENT_SECONDS:
        return []
    return changed_rows(run, max(0, line - 200))


class _TreeNode(NamedTuple):
    """Node of the tree of keys: a key or a branch.

    The name may have several parts of the key: parts without a branch are joined into one node,
    such as ``a.b.c``.
    """

    scope: str
    path: str
    key: str | None
    name: str
    level: int


def _tree_nodes(scope: str, keys: Sequence[str]) -> Iterator[_TreeNode]:
    yield from _below(scope, tree(keys[:_MAX_KEYS]), "", int(bool(scope)))


def _below(scope: str, branches: Iterable[Branch], head: str, level: int) -> Iterator[_TreeNode]:
    for branch in branches:
        path = f"{head}.{branch.name}" if head else branch.name
        yield _TreeNode(scope, path, branch.key, branch.name, level)
        yield from _below(scope, branch.branches, path, level + 1)


def _branch(name: str, shown: str, level: int) -> Row:
    return {"id": name, "name": shown, "level": level, "branch": True}


def _row(changes: Changes, node: _TreeNode, values: Mapping[str, Any] | None = None) -> Row:
    """Return the row of a node with its value in ``values``, or with its present value."""
    if node.key is None:
        return _branch(f"{node.scope}\n{node.path}.", node.name, node.level)
    row = {"id": f"{node.scope}\n{node.key}", "name": node.name, "level": node.level}
    blank = {"value": "", "who": "", "when": "", "lately": False}
    if values is not None:
        return row | blank | {"value": json_text(values[node.key], _VALUE_LENGTH)}
    change = changes.latest(node.key, node.scope)
    if change is None:
        return row | blank
    return row | {
        "value": _value(change),
        "who": change.who,
        "when": change.ts[11:19],
        "lately": time.time() - epoch_seconds(change.ts) < _RECENT_SECONDS,
    }


def _value(change: RecordedChange) -> str:
    sign = _SIGNS.get(change.op, "")
    return sign if change.op == "delete" else sign + json_text(change.new, _VALUE_LENGTH)


def history(changes: Changes, name: str | None) -> Any:
    """Return a table of the last changes of a key, newest first; a hint if none is selected."""
    scope, _, key = (name or "").partition("\n")
    if not key or scope not in changes.scopes or key not in changes.keys(scope):
        return html.P("Select a key to see its history.", className="quiet")
    every = changes.history(key, scope)
    head = html.Thead(html.Tr([html.Th(title) for title in _HISTORY_COLUMNS]))
    table = html.Table([head, html.Tbody(list(_changes(every[: -_HISTORY_LENGTH - 1 : -1])))])
    left = len(every) - _HISTORY_LENGTH
    return [html.H3(key), table, html.P(f"and {left} earlier changes") if left > 0 else ""]


def _changes(each: Iterable[RecordedChange]) -> Iterator[Any]:
    for one in each:
        old = "" if one.old is None else json_text(one.old, _VALUE_LENGTH)
        new = "" if one.new is None else json_text(one.new, _VALUE_LENGTH)
        cells = [one.ts[11:23], one.who, one.op + (" (masked)" if one.masked else "")]
        yield html.Tr([*(html.Td(cell) for cell in cells), html.Td(old), html.Td(new)])
