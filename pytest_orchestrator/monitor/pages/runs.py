"""Page with the list of runs."""

import hashlib
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dash import Input, Output, State, ctx, dcc, html, no_update

from pytest_orchestrator.monitor.pages.common import column, grid, number_column, row_classes
from pytest_orchestrator.monitor.pages.run import footer
from pytest_orchestrator.monitor.run_cache import MAX_RUNS, RunCache, RunListCache
from pytest_orchestrator.reports.text import look, sign

if TYPE_CHECKING:
    from dash import Dash

_COLUMNS = (
    column("id", "Run", cellClass="link", width=215, tooltipField="id"),
    column("state", "Verdict", width=130),
    column("recipes", "Recipes", flex=1.5, minWidth=160, tooltipField="recipes"),
    column(
        "dut",
        "DUT",
        flex=1,
        minWidth=90,
        tooltipField="dut",
        headerTooltip="Device under test (DUT)",
    ),
    column("start", "Started (UTC)", width=178),
    number_column("seconds", "Seconds", 1, filter=False),
    column("steps", "Steps", flex=1.2, minWidth=150, tooltipField="steps"),
)


def layout(run_cache: RunCache, run_list: RunListCache) -> Any:
    """Return the page with the list of runs."""
    rows = _rows(run_list)
    return html.Main(
        [
            html.Header([html.H1("Runs"), html.Span(str(run_cache.base), className="quiet")]),
            html.Div(
                [
                    html.Span("", id="runs-told", className="quiet"),
                    html.Button("Compare selected", id="runs-compare", disabled=True),
                ],
                className="tools",
            ),
            html.Div(
                grid(
                    "runs",
                    _COLUMNS,
                    rows,
                    rowClassRules=row_classes(),
                    rowSelection={"mode": "multiRow", "headerCheckbox": False},
                ),
                className="fill",
            ),
            dcc.Store(id="runs-seen", data=_digest(rows)),
            footer("runs-foot", f"Reading {run_cache.base}"),
        ],
        className="page",
    )


def register(app: "Dash", _: RunCache, run_list: RunListCache) -> None:
    """Register the callbacks that update the list, open a run and compare two runs."""

    @app.callback(
        Output("runs", "rowData"),
        Output("runs-seen", "data"),
        Output("runs-told", "children"),
        Input("tick", "data"),
        State("runs-seen", "data"),
        prevent_initial_call=True,
    )
    def refresh(_: int, seen: str) -> tuple[Any, ...]:
        rows = _rows(run_list)
        count = f"{len(rows)} runs" if len(rows) < MAX_RUNS else f"the newest {MAX_RUNS} runs"
        digest = _digest(rows)
        fresh = (rows, digest) if digest != seen else (no_update, no_update)
        return *fresh, count

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


def _rows(run_list: RunListCache) -> list[dict[str, Any]]:
    return [
        row | {"state": f"{sign(row['verdict'])} {row['verdict']}", "look": look(row["verdict"])}
        for row in run_list.rows()
    ]


def _digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()
