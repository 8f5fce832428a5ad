"""Page of all runs."""

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dash import Input, Output, State, ctx, dcc, html, no_update

from pytest_orchestrator.monitor.pages.common import column, grid, looks, number
from pytest_orchestrator.monitor.pages.run import footer
from pytest_orchestrator.monitor.run_cache import MOST, RunCache, RunListCache
from pytest_orchestrator.reports.text import look, sign

if TYPE_CHECKING:
    from dash import Dash

_COLUMNS = (
    column("id", "run", cellClass="link", width=215, tooltipField="id"),
    column("state", "verdict", width=130),
    column("recipes", "recipes", flex=1.5, minWidth=160, tooltipField="recipes"),
    column("dut", "dut", flex=1, minWidth=90, tooltipField="dut"),
    column("start", "started (UTC)", width=178),
    number("seconds", "seconds", 1, filter=False),
    column("steps", "steps", flex=1.2, minWidth=150, tooltipField="steps"),
)


def layout(watch: RunCache, shelf: RunListCache) -> Any:
    """Return the page."""
    rows = _rows(shelf)
    return html.Main(
        [
            html.Header([html.H1("Runs"), html.Span(str(watch.base), className="quiet")]),
            html.Div(
                [
                    html.Span("", id="runs-told", className="quiet"),
                    html.Button("compare two", id="runs-compare", disabled=True),
                ],
                className="tools",
            ),
            html.Div(
                grid(
                    "runs",
                    _COLUMNS,
                    rows,
                    rowClassRules=looks(),
                    rowSelection={"mode": "multiRow", "headerCheckbox": False},
                ),
                className="fill",
            ),
            dcc.Store(id="runs-seen", data=_digest(rows)),
            footer("runs-foot", f"source {watch.base}"),
        ],
        className="page",
    )


def register(app: "Dash", _: RunCache, shelf: RunListCache) -> None:
    """Keep the page as it is, and follow what is clicked."""

    @app.callback(
        Output("runs", "rowData"),
        Output("runs-seen", "data"),
        Output("runs-told", "children"),
        Input("tick", "data"),
        State("runs-seen", "data"),
        prevent_initial_call=True,
    )
    def refresh(_: int, seen: str) -> tuple[Any, ...]:
        rows = _rows(shelf)
        told = f"{len(rows)} runs" if len(rows) < MOST else f"the newest {MOST} runs"
        digest = _digest(rows)
        fresh = (rows, digest) if digest != seen else (no_update, no_update)
        return *fresh, told

    @app.callback(
        Output("url", "pathname", allow_duplicate=True),
        Input("runs", "cellClicked"),
        prevent_initial_call=True,
    )
    def open_run(cell: dict[str, Any]) -> Any:
        return f"/run/{quote(cell['rowId'])}" if cell and cell["colId"] == "id" else no_update

    @app.callback(
        Output("runs-compare", "disabled"),
        Output("url", "pathname", allow_duplicate=True),
        Input("runs", "selectedRows"),
        Input("runs-compare", "n_clicks"),
        prevent_initial_call=True,
    )
    def compare(rows: list[dict[str, Any]] | None, _: int) -> tuple[Any, Any]:
        two = sorted(row["id"] for row in rows or ())
        if len(two) != 2 or ctx.triggered_id != "runs-compare":
            return len(two) != 2, no_update
        return False, f"/compare/{quote(two[0])}/{quote(two[1])}"


def _rows(shelf: RunListCache) -> list[dict[str, Any]]:
    return [
        row | {"state": f"{sign(row['verdict'])} {row['verdict']}", "look": look(row["verdict"])}
        for row in shelf.rows()
    ]


def _digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()
