"""Dash application of the monitor."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from pytest_orchestrator.monitor.auth import require_token
from pytest_orchestrator.monitor.pages import comparison, graph, run, runs
from pytest_orchestrator.monitor.run_cache import RunCache, RunListCache

if TYPE_CHECKING:
    from flask import Flask

_SECOND = 1000


def application(base: Path, token: str, hosts: Collection[str]) -> "Flask":
    """Return the web application of the monitor.

    Args:
        base: The folder that has the runs.
        token: What the printed link has.
        hosts: Names and addresses, without a port, by which it may be asked.
    """
    graph.prepare()
    app = Dash(
        __name__,
        title="runs",
        update_title="",
        serve_locally=True,
        use_pages=False,
        suppress_callback_exceptions=True,
        add_log_handler=False,
        enable_mcp=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    watch = RunCache(base)
    shelf = RunListCache(watch)
    app.layout = html.Div(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Interval(id="pulse", interval=_SECOND),
            dcc.Store(id="tick"),
            html.Div(id="page"),
        ]
    )
    app.callback(Output("page", "children"), Input("url", "pathname"))(
        lambda path: _page(path or "/", watch, shelf)
    )
    # Dash drops an answer once it has asked again, so a page asks when it has all answers.
    once_answered = ClientsideFunction("monitor", "once_answered")
    app.clientside_callback(
        once_answered,
        Output("tick", "data"),
        Input("pulse", "n_intervals"),
        prevent_initial_call=True,
    )
    for page in (runs, comparison, run):
        page.register(app, watch, shelf)
    server: Flask = app.server
    server.debug = False  # whatever FLASK_DEBUG says
    require_token(server, token, hosts, app.csp_hashes())
    return server


def _page(path: str, watch: RunCache, shelf: RunListCache) -> Any:
    """Return the page that an address asks for."""
    match path.strip("/").split("/"):
        case [""]:
            return runs.layout(watch, shelf)
        case ["run", name]:
            return run.layout(watch, name)
        case ["compare", a, b]:
            return comparison.layout(watch, a, b)
        case _:
            return html.Main([html.P("There is no such page."), dcc.Link("all runs", href="/")])
